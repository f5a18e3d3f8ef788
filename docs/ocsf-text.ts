// Renders docs/ocsf.md: where each field of an event is in OCSF and in ECS, found by the code.
import type { z } from 'zod'
import { asset } from '../contracts/asset.ts'
import { connectorError } from '../contracts/connector-error.ts'
import { finding } from '../contracts/finding.ts'
import { ecsOfAsset } from '../sinks/ecs/asset.ts'
import { ecsOfFinding } from '../sinks/ecs/finding.ts'
import { ocsfOfConnectorError } from '../sinks/ocsf/application-error.ts'
import { ocsfOfResource } from '../sinks/ocsf/cloud-resources-inventory-info.ts'
import { ocsfOfDevice } from '../sinks/ocsf/inventory-info.ts'
import { ocsfOfFinding } from '../sinks/ocsf/vulnerability-finding.ts'
import {
  ASSETS,
  CLASSES,
  ERRORS,
  FINDINGS,
  LEGEND,
  NOT_CARRIED,
  PREFACE,
  RULES,
  VALUES,
} from './ocsf-words.ts'
import { type Mapping, type Words, placesOf } from './standard-fields.ts'

/** One column: its title, the mapping, and events in which the field is tried. */
export type Column<T> = readonly [title: string, mapping: Mapping<T>, events: readonly Words[]]

const MACHINE: Words = { ...ASSETS, kind: ['HOST', 'VIRTUAL_MACHINE'] }
const CONTAINER: Words = { ...ASSETS, kind: ['CONTAINER', 'CONTAINER_IMAGE'] }
const CVE: Words = { ...FINDINGS, 'asset.kind': ['HOST', 'VIRTUAL_MACHINE'] }
const ADVISORY: Words = { ...CVE, vuln_id: ['PRISMA-2026-1', 'PRISMA-2026-2'] }

/** For each field the places in every column; a field that is nowhere has empty lists. */
export function rowsOf<T>(
  schema: z.ZodType<T>,
  columns: readonly Column<T>[],
): ReadonlyMap<string, readonly (readonly string[])[]> {
  const found = columns.map(([, mapping, events]) =>
    events.map((words) => placesOf(schema, mapping, words)),
  )
  const fields = [...(found[0]?.[0]?.keys() ?? [])]
  return new Map(
    fields.map((field) => [
      field,
      found.map((tries) => [...new Set(tries.flatMap((places) => places.get(field) ?? []))]),
    ]),
  )
}

export const findingRows = () =>
  rowsOf(finding, [
    ['OCSF 2002', (event) => ocsfOfFinding(event), [CVE, ADVISORY]],
    ['ECS', (event) => ecsOfFinding(event), [CVE]],
  ])
export const assetRows = () =>
  rowsOf(asset, [
    ['OCSF 5001', (event) => ocsfOfDevice(event), [MACHINE]],
    ['OCSF 5023', (event) => ocsfOfResource(event), [CONTAINER]],
    ['ECS', (event) => ecsOfAsset(event), [MACHINE, CONTAINER]],
  ])
export const errorRows = () =>
  rowsOf(connectorError, [['OCSF 6008', (event) => ocsfOfConnectorError(event), [ERRORS]]])

const cellOf = (places: readonly string[]): string =>
  places.map((place) => `\`${place}\``).join(', ')

function tableOf(
  titles: readonly string[],
  rows: ReadonlyMap<string, readonly (readonly string[])[]>,
): string {
  const lines = [...rows].map(([field, columns]) => [
    `\`${field}\``,
    ...columns.map((places) =>
      places.length === 0 ? (NOT_CARRIED[field] ?? '–') : cellOf(places),
    ),
  ])
  return gridOf([['field', ...titles], ...lines])
}

function gridOf([head = [], ...lines]: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...lines]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')
}

/** The whole page, with a newline at its end. */
export const ocsfText = (): string =>
  [
    PREFACE,
    `${gridOf(CLASSES)}\n`,
    `${gridOf(VALUES)}\n`,
    LEGEND,
    '## Findings\n',
    `${tableOf(['OCSF Vulnerability Finding (2002)', 'ECS'], findingRows())}\n`,
    '## Assets\n',
    `${tableOf(
      ['OCSF Device Inventory Info (5001)', 'OCSF Cloud Resources Inventory Info (5023)', 'ECS'],
      assetRows(),
    )}\n`,
    '## Connector errors\n',
    `${tableOf(['OCSF Application Error (6008)'], errorRows())}\n`,
    RULES,
  ].join('\n')
