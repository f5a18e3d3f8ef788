// `exposure connections ...`: which connections there are, who polls them, pause, resume, apply.
import { streamKey } from '../contracts/envelope.ts'
import { PipelineError } from '../contracts/errors.ts'
import { topicName } from '../contracts/topics.ts'
import { accessOf, definitionOf, settingsOf } from '../producers/definitions.ts'
import { connectorOf } from '../producers/sources.ts'
import { type RunCheckpoint, loadCheckpoints } from '../runtime/checkpoint.ts'
import { kafkaSettings } from '../runtime/config.ts'
import type { ConnectionConfig } from '../runtime/connection-config.ts'
import {
  type Definition,
  type KnownConnection,
  connectionRecord,
  definitionChanges,
  isPaused,
  loadConnections,
} from '../runtime/connections.ts'
import { changeConnections } from '../runtime/connections-change.ts'
import { producerGroup } from '../runtime/connections-owner.ts'
import { createKafka } from '../runtime/kafka/client.ts'
import { type GroupMember, groupMembers } from '../runtime/kafka/group-members.ts'
import { openLogReader } from '../runtime/kafka/log-reader.ts'
import { createLogger } from '../runtime/log.ts'
import { UsageError, parse } from './command.ts'
import { type ExposureConfig, loadConfig } from './config.ts'

const MEMBER_CHARACTERS = 8

/** Kafka as the commands use it. */
export function openAccess(config: ExposureConfig) {
  const settings = kafkaSettings(config.kafka)
  const log = createLogger('connections')
  const reader = openLogReader(settings, log)
  const producers = createKafka(settings, 'exposure-connections', log)
  const access = accessOf({ prefix: settings.prefix, producers, reader })
  return { ...access, settings, log, reader, close: () => reader.close() }
}
export type Access = ReturnType<typeof openAccess>

const CONFIG = { config: { type: 'string' } } as const

/** The one name that a command takes. @throws UsageError without it */
export function oneName(positionals: readonly string[], command: string): string {
  const [name] = positionals
  if (name === undefined) throw new UsageError(`${command} takes the name of a connection`)
  return name
}

export async function applyConnections(args: readonly string[]): Promise<number> {
  const config = loadConfig(parse(args, CONFIG).values.config)
  const access = openAccess(config)
  try {
    const wanted = config.connections.map((connection) => definitionOf(connection))
    let written: string[] = []
    let others: string[] = []
    await changeConnections(access, async (known) => {
      const changes = definitionChanges(access.prefix, wanted, known)
      written = changes.flatMap(({ key, value }) => (value === null ? [] : [key]))
      others = known.flatMap(({ name }) => (wanted.some((one) => one.name === name) ? [] : [name]))
      return changes
    })
    console.log(
      `connections: ${written.length} written, ${wanted.length - written.length} as before`,
    )
    for (const name of written) console.log(`  written ${name}`)
    for (const name of others) {
      console.log(`  ${name} is not in the file and stays until it is removed`)
    }
    return 0
  } finally {
    await access.close()
  }
}

export const pauseConnection = (args: readonly string[]): Promise<number> => setPaused(args, true)
export const resumeConnection = (args: readonly string[]): Promise<number> => setPaused(args, false)

async function setPaused(args: readonly string[], paused: boolean): Promise<number> {
  const { values, positionals } = parse(args, CONFIG, 1)
  const name = oneName(positionals, `connections ${paused ? 'pause' : 'resume'}`)
  const access = openAccess(loadConfig(values.config))
  try {
    const definition = await setPauseOf(access, name, paused)
    const state = paused ? 'paused: it is not polled, and nothing of it is closed' : 'polled again'
    if (!paused && definition.settings.paused === true) {
      throw new PipelineError('CONFIGURATION', 'CONFIG', `exposure.yaml pauses ${name}`, {
        remediation: 'Take `paused: true` out there, then `exposure connections apply`.',
      })
    }
    console.log(`${name} is ${state}`)
    return 0
  } finally {
    await access.close()
  }
}

/** Writes the operator's word; resolves with the definition as it stands then. */
export async function setPauseOf(
  access: Access,
  name: string,
  paused: boolean,
): Promise<Definition> {
  let now = definitionNamed(await loadConnections(access.prefix, access.readToEnd), name)
  await changeConnections(access, async (known) => {
    const definition = definitionNamed(known, name)
    now = { ...definition, paused }
    return definition.paused === paused ? [] : [connectionRecord(access.prefix, now)]
  })
  return now
}

/** @throws PipelineError CONFIGURATION when there is none, or one of another version */
export function definitionNamed(known: readonly KnownConnection[], name: string): Definition {
  const definition = known.find((one) => one.name === name)?.definition
  if (definition !== null && definition !== undefined) return definition
  const names = known.map((one) => one.name)
  const text =
    definition === null
      ? `${name} was defined by another version of exposure-stream`
      : `there is no connection ${name}`
  throw new PipelineError('CONFIGURATION', 'CONFIG', text, {
    remediation:
      definition === null
        ? 'Use that version, or a newer one.'
        : `There is: ${names.length === 0 ? 'none' : names.join(', ')}.`,
  })
}

export async function listConnections(args: readonly string[]): Promise<number> {
  const access = openAccess(loadConfig(parse(args, CONFIG).values.config))
  const { prefix, settings, readToEnd, log } = access
  try {
    const known = await loadConnections(prefix, readToEnd)
    const checkpoints = await loadCheckpoints(prefix, readToEnd)
    const members = await groupMembers(settings, producerGroup(prefix), log)
    if (known.length === 0) console.log('no connections: exposure connections apply')
    for (const one of known.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      const owner = ownerOf(members, topicName(prefix, 'connections'), one.partition)
      for (const line of linesOf(one, owner, checkpoints)) console.log(line)
    }
    return 0
  } finally {
    await access.close()
  }
}

function ownerOf(members: readonly GroupMember[], topic: string, partition: number): string | null {
  const owner = members.find(({ partitions }) => partitions.get(topic)?.includes(partition))
  return owner ? `${owner.host} (${owner.memberId.slice(-MEMBER_CHARACTERS)})` : null
}

function linesOf(
  { name, definition }: KnownConnection,
  owner: string | null,
  checkpoints: ReadonlyMap<string, RunCheckpoint>,
): string[] {
  const config = definition === null ? null : readableSettings(definition)
  if (definition === null || config === null) {
    return [`${name}: defined by another version of exposure-stream`]
  }
  const { vendor, host } = definition
  const paused = isPaused(definition)
  const polled = owner === null ? 'nobody polls' : `polled by ${owner}`
  const state = paused ? 'paused' : `active, ${polled}`
  const { streams } = config
  const all = connectorOf(vendor).sources.map(({ stream }) => stream)
  const enabled = all.filter((stream) => streams?.[stream]?.enabled !== false)
  return [
    `${name}  ${vendor}  ${host}  ${state}`,
    ...enabled.map((stream) => {
      const last = checkpoints.get(streamKey({ connection: name, stream }))
      return `  ${stream.padEnd(22)} ${last === undefined ? 'no run yet' : runText(last)}`
    }),
  ]
}

/** Null: in a form of another version. */
function readableSettings(definition: Definition): ConnectionConfig | null {
  try {
    return settingsOf(definition)
  } catch (error) {
    if (error instanceof PipelineError) return null
    throw error
  }
}

function runText({ verdict, fetched, startedAtMs, runId }: RunCheckpoint): string {
  const began = new Date(startedAtMs).toISOString()
  return `${verdict ?? 'under way'}, ${fetched} units, run ${runId} of ${began}`
}
