// Words of CSPM that several of its streams use: providers, grades, types of assets, resource ids.
import type { Criticality } from '../../contracts/asset.ts'
import type { AssetKind, Severity } from '../../contracts/event-meta.ts'
import { providerOf, resourceIdOf } from '../cloud.ts'
import { severityOf } from '../severity.ts'

/** The cloud, or null for what is none: `Github`, `other`. */
export function cloudProviderOf(text: string | null): string | null {
  const provider = providerOf(text)
  return provider === 'other' ? null : provider
}

/** The letters are not documented; the better the earlier. */
const GRADES: Readonly<Record<string, Severity>> = {
  A: 'INFORMATIONAL',
  B: 'LOW',
  C: 'MEDIUM',
  D: 'HIGH',
  F: 'CRITICAL',
}

/** The risk grade as a level; the vendor's own word is kept. */
export function gradeOf(grade: string | null): Criticality | null {
  if (grade === null) return null
  const level = GRADES[grade.toUpperCase()] ?? severityOf(grade, null).severity
  return { level, score: null, raw: grade }
}

/** ARN, Azure's id or Google's full name where the item has one; else the vendor's own name. */
export function fullNameOf(id: string | null, rrn: string | null): string | null {
  const bare = id?.replace(/^[0-9a-f-]{36}-(?=\/subscriptions\/)/i, '') ?? null
  const isFull = /^(arn:|\/subscriptions\/|\/\/[a-z0-9-]+\.googleapis\.com\/)/i.test(bare ?? '')
  return resourceIdOf(isFull ? bare : (rrn ?? bare))
}

const MACHINES = /^(ec2 instance|azure virtual machine|(google )?compute (engine )?instance)$/i
const KINDS: readonly (readonly [RegExp, AssetKind])[] = [
  [MACHINES, 'VIRTUAL_MACHINE'],
  [/lambda function|function app|cloud function|serverless function/i, 'SERVERLESS_FUNCTION'],
  [/(container|docker|ecr|registry) image/i, 'CONTAINER_IMAGE'],
]

/** By the vendor's name of an asset type. */
export const kindOfType = (type: string | null): AssetKind =>
  KINDS.find(([pattern]) => pattern.test(type ?? ''))?.[1] ?? 'CLOUD_RESOURCE'
