// Running one transformer over one made-up unit, and holding what it says against the contract.
import avsc from 'avsc'
import { expect } from 'vitest'
import { asset } from '../../contracts/asset.ts'
import type { RawFacts } from '../../contracts/envelope.ts'
import { finding } from '../../contracts/finding.ts'
import type { Observation, Transformer } from '../../contracts/ports.ts'
import { type SchemaName, avroOf } from '../../contracts/schemas.ts'
import { TRANSFORMERS } from '../../transformers/transformers.ts'
import { assetEvent } from './events.ts'

/** 2026-01-15T00:00:00Z: when every unit of these tests was fetched. */
export const FETCHED_MS = Date.UTC(2026, 0, 15)
export const TENANT = 'acme'

/** The Avro type of a registered schema. */
export const avroType = (name: SchemaName): avsc.Type =>
  avsc.Type.forSchema(avroOf(name) as avsc.Schema)

const avro = { Asset: avroType('Asset'), Finding: avroType('Finding') }
const assetState = asset.omit({ meta: true })
const findingState = finding.omit({ meta: true })
const { meta } = assetEvent('ast_x')

export function transformerOf(stream: string): Transformer {
  const found = TRANSFORMERS.find((transformer) => transformer.stream === stream)
  if (!found) throw new Error(`no transformer of ${stream}`)
  return found
}

const factsOf = ({ vendor, product, stream }: Transformer): RawFacts => ({
  connection: 'prod',
  vendor,
  product,
  tenant: TENANT,
  stream,
  unit: 'unit-1',
  assetNativeId: 'native-1',
  runId: 'run-1',
  fetchedAtMs: FETCHED_MS,
  endpoint: '/listing',
  page: 1,
  contentType: 'application/json',
  columns: null,
  tooLargeBytes: null,
})

/** What the transformer of `stream` says of these bytes. */
export function observeBytes(stream: string, body: Buffer): Observation {
  const transformer = transformerOf(stream)
  return transformer.transform({ facts: factsOf(transformer), body })
}

/** As observeBytes; what it says must fit the contract to the letter. */
export function observe(stream: string, unit: unknown): Observation {
  const observation = observeBytes(stream, Buffer.from(JSON.stringify(unit)))
  expectValid(observation)
  return observation
}

/** Strictly valid by zod and by Avro: no field missing or too many, no text changed on the way. */
export function expectValid(observation: Observation): void {
  for (const state of observation.assets) {
    expect(assetState.safeParse(state).error).toBeUndefined()
    expectAvro(avro.Asset, { ...state, meta })
  }
  for (const state of observation.findings) {
    expect(findingState.safeParse(state).error).toBeUndefined()
    expectAvro(avro.Finding, { ...state, meta })
  }
}

function expectAvro(type: avsc.Type, value: object): void {
  expect(type.isValid(value, { noUndeclaredFields: true })).toBe(true)
  // Avro's records are class instances; JSON makes them plain again.
  expect(JSON.parse(JSON.stringify(type.fromBuffer(type.toBuffer(value))))).toEqual(
    JSON.parse(JSON.stringify(value)),
  )
}
