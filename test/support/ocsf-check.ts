// Holds OCSF events against the JSON Schemas of their version, and against what those cannot say.
import { readFileSync } from 'node:fs'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import type { OcsfEvent, OcsfVersion } from '../../sinks/ocsf/event.ts'

type Json = Readonly<Record<string, unknown>>
type Schema = Json & { readonly properties?: Readonly<Record<string, Json>> }
type Names = readonly [sibling: string, names: Readonly<Record<string, string>>]
type Bundle = {
  readonly classes: Readonly<Record<string, Schema>>
  readonly defs: Readonly<Record<string, Schema>>
  readonly cloudDefs: Readonly<Record<string, Schema>>
  readonly names: Readonly<Record<string, Readonly<Record<string, Names>>>>
}

const bundles = new Map<OcsfVersion, Bundle>()
const validators = new Map<string, ValidateFunction | null>()

/** The schemas of a version, as test/support/standards has them. */
function bundleOf(version: OcsfVersion): Bundle {
  const known = bundles.get(version)
  if (known !== undefined) return known
  const file = new URL(`./standards/ocsf-${version}.json`, import.meta.url)
  const bundle = JSON.parse(readFileSync(file, 'utf8')) as Bundle
  bundles.set(version, bundle)
  return bundle
}

const defsOf = (bundle: Bundle, profiles: readonly string[]) =>
  profiles.includes('cloud') ? { ...bundle.defs, ...bundle.cloudDefs } : bundle.defs

function validatorOf(version: OcsfVersion, schema: string): ValidateFunction | null {
  const name = `${version} ${schema}`
  const known = validators.get(name)
  if (known !== undefined) return known
  const bundle = bundleOf(version)
  const found = bundle.classes[schema]
  const validate =
    found === undefined
      ? null
      : new Ajv2020({ strict: false, allErrors: true }).compile({
          ...found,
          $defs: defsOf(bundle, schema.split(' ')),
        })
  validators.set(name, validate)
  return validate
}

/** What is wrong with the event, as its reader gets it; empty: nothing. */
export function ocsfFaults(event: OcsfEvent, version: OcsfVersion): string[] {
  const read = JSON.parse(JSON.stringify(event)) as Json
  const metadata = read['metadata'] as Json
  const profiles = (metadata['profiles'] ?? []) as readonly string[]
  const schema = [String(read['class_uid']), ...profiles].join(' ')
  const validate = validatorOf(version, schema)
  if (validate === null) return [`no class with these profiles: ${schema}`]
  validate(read)
  const errors = (validate.errors ?? []).map(
    ({ instancePath, message, params }) =>
      `${instancePath} ${message} ${JSON.stringify(params).slice(0, 80)}`,
  )
  return [
    ...errors,
    ...(metadata['version'] === version ? [] : ['metadata.version is another']),
    ...typeFaults(read),
    ...profileFaults(read, profiles),
    ...emptyFaults('', read),
    ...nameFaults(version, profiles, read),
  ]
}

const typeFaults = (read: Json): string[] =>
  read['type_uid'] === Number(read['class_uid']) * 100 + Number(read['activity_id'])
    ? []
    : ['type_uid is not class and activity']

/** A profile is named exactly where its attribute is used. */
const profileFaults = (read: Json, profiles: readonly string[]): string[] =>
  [
    ['cloud', 'cloud'],
    ['host', 'device'],
  ].flatMap(([profile = '', attribute = '']) =>
    profiles.includes(profile) === attribute in read ? [] : [`${profile} and ${attribute}`],
  )

/** Nothing is said by what is empty. */
function emptyFaults(path: string, value: unknown): string[] {
  if (value === null) return [`${path} is null`]
  if (typeof value !== 'object') return []
  const inner = Object.entries(value)
  if (inner.length === 0) return [`${path} is empty`]
  return inner.flatMap(([name, one]) => emptyFaults(`${path}/${name}`, one))
}

/** Names stand beside their numbers and are the schema's; beside 99 stands one of the source. */
function nameFaults(version: OcsfVersion, profiles: readonly string[], read: Json): string[] {
  const bundle = bundleOf(version)
  const defs = defsOf(bundle, profiles)
  const walk = (path: string, schema: Schema, own: string, value: unknown): string[] => {
    if (Array.isArray(value)) {
      return value.flatMap((one, index) => walk(`${path}/${index}`, schema, own, one))
    }
    if (typeof value !== 'object' || value === null) return []
    const object = value as Json
    const faults = Object.entries(bundle.names[own] ?? {}).flatMap(
      ([attribute, [sibling, all]]) => {
        const number = object[attribute] as number | undefined
        const name = object[sibling] as string | undefined
        if (number === undefined) return []
        const isRight = number === 99 ? Boolean(name) && name !== 'Other' : name === all[number]
        const isBare = name === undefined && number !== 99 && !SPOKEN.has(attribute)
        return isRight || isBare ? [] : [`${path}/${sibling} is ${name} at ${number}`]
      },
    )
    const inner = Object.entries(schema.properties ?? {}).flatMap(([name, property]) => {
      const ref = refOf(property)
      const next = ref === null ? undefined : defs[ref]
      return ref === null || next === undefined
        ? []
        : walk(`${path}/${name}`, next, ref, object[name])
    })
    return [...faults, ...inner]
  }
  const uid = String(read['class_uid'])
  return walk('', bundle.classes[[uid, ...profiles].join(' ')] ?? {}, uid, read)
}

/** Numbers whose names people search for: both are always there. */
const SPOKEN = new Set(['activity_id', 'severity_id', 'class_uid', 'category_uid', 'type_uid'])

function refOf(property: Json): string | null {
  const items = (property['items'] ?? property) as Json
  const ref = items['$ref']
  return typeof ref === 'string' ? (ref.split('/').at(-1) ?? null) : null
}
