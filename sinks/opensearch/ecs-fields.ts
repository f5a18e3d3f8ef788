// Every field of the ECS documents that sinks/ecs makes, with its type in an index.
import type { Fields } from './fields.ts'

const DOCUMENT: Fields = {
  ecs: { version: 'keyword' },
  event: {
    id: 'keyword',
    kind: 'keyword',
    category: 'keyword',
    type: 'keyword',
    action: 'keyword',
    severity: 'long',
    module: 'keyword',
    dataset: 'keyword',
    provider: 'keyword',
    created: 'date',
    url: 'keyword',
  },
  observer: { vendor: 'keyword', product: 'keyword', type: 'keyword' },
  message: 'text',
  host: {
    id: 'keyword',
    name: 'keyword',
    hostname: 'keyword',
    ip: 'ip',
    mac: 'keyword',
    architecture: 'keyword',
    type: 'keyword',
    os: { name: 'keyword', version: 'keyword', kernel: 'keyword', type: 'keyword' },
  },
  cloud: {
    provider: 'keyword',
    account: { id: 'keyword', name: 'keyword' },
    region: 'keyword',
    availability_zone: 'keyword',
    instance: { id: 'keyword' },
    service: { name: 'keyword' },
  },
  container: {
    id: 'keyword',
    name: 'keyword',
    image: { name: 'keyword', tag: 'keyword', hash: { all: 'keyword' } },
  },
  resource: { id: 'keyword', name: 'keyword', type: 'keyword' },
  exposure: 'flat',
}

export const ECS_ASSET_FIELDS: Fields = DOCUMENT

export const ECS_FINDING_FIELDS: Fields = {
  ...DOCUMENT,
  tags: 'keyword',
  vulnerability: {
    id: 'keyword',
    enumeration: 'keyword',
    classification: 'keyword',
    score: { base: 'float', version: 'keyword' },
    severity: 'keyword',
    status: 'keyword',
    description: 'text',
    reference: 'keyword',
    scanner: { vendor: 'keyword' },
    category: 'keyword',
  },
  package: {
    name: 'keyword',
    version: 'keyword',
    path: 'keyword',
    type: 'keyword',
    license: 'keyword',
    fixed_version: 'keyword',
  },
}
