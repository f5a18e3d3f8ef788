// Servers go away, or refuse by every code they have: the pipeline waits and goes on.
import { setTimeout as pause } from 'node:timers/promises'
import type { ConnectorError } from '../../contracts/connector-error.ts'
import type { StackAddresses } from '../support/global-setup.ts'
import { waitFor } from '../support/wait-for.ts'
import type { Arena } from './arena.ts'
import { type Attacks, fight } from './battle.ts'
import { type Door, openDoor } from './door.ts'
import { type KafkaProxy, openKafkaProxy } from './kafka-proxy.ts'
import { evolveBetweenRuns, killInstance } from './progress.ts'
import type { Form, Scenario, ScenarioReport } from './scenario.ts'
import { readTopics } from './topics.ts'

const GONE_MS = { SHORT: 3_500, LONG: 10_000 } as const
/** The broker's own bound of patience is longer: sessions and transactions end meanwhile. */
const BROKER_GONE_MS = { SHORT: 8_000, LONG: 120_000 } as const
const BETWEEN_MS = 1_500
const TERMINATE_EVERY_MS = 400
const MIGRATED_TIMEOUT_MS = 60_000
const EVOLVE_TIMEOUT_MS = 10_000

type Servers = { readonly postgres: Door; readonly registry: Door; readonly kafka: KafkaProxy }
type Outage = (arena: Arena, servers: Servers, form: Form) => Promise<void>

const REFUSING = ['asset', 'finding', 'run'] as const

const OUTAGES: Readonly<Record<string, Outage>> = {
  'PostgreSQL gone': async (_, { postgres }, form) => {
    await postgres.close()
    await pause(GONE_MS[form])
    await postgres.open()
  },
  'PostgreSQL 53100, disk full': async ({ query }, _, form) => {
    await query(
      `create function exposure.full_disk() returns trigger language plpgsql as
       $$ begin raise exception 'could not extend file' using errcode = '53100'; end $$`,
    )
    for (const table of REFUSING) {
      await query(
        `create trigger full_disk before insert or update on exposure.${table}
         for each statement execute function exposure.full_disk()`,
      )
    }
    await pause(GONE_MS[form])
    await query('drop function exposure.full_disk cascade')
  },
  'PostgreSQL 53300, too many connections': async (arena, _, form) => {
    await arena.query(`alter database ${arena.database} connection limit 0`)
    await terminate(arena)
    await pause(GONE_MS[form])
    await arena.query(`alter database ${arena.database} connection limit -1`)
  },
  'PostgreSQL 57P01, terminated': async (arena, _, form) => {
    const endMs = Date.now() + GONE_MS[form]
    while (Date.now() < endMs) {
      await terminate(arena)
      await pause(TERMINATE_EVERY_MS)
    }
  },
  'registry gone': async (arena, { registry }, form) => {
    await registry.close()
    // One that starts now cannot know its schemas.
    for (const stage of ['transformers', 'sinks'] as const) {
      const [victim] = arena.fleet.instances(stage)
      if (victim !== undefined) await killInstance(arena, victim)
    }
    await pause(GONE_MS[form])
    await registry.open()
  },
  'broker gone': async (_, { kafka }, form) => {
    kafka.setRule(() => 'cut-before')
    await pause(BROKER_GONE_MS[form])
    kafka.setRule(() => 'pass')
  },
}

const terminate = ({ query, database }: Arena) =>
  query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = '${database}' and usename = '${database}'`,
  )

async function attack(arena: Arena, servers: Servers, form: Form): Promise<Attacks> {
  await waitFor(() => arena.query('select 1 from exposure.finding limit 1').then(() => true), {
    what: 'the tables of the sink',
    timeoutMs: MIGRATED_TIMEOUT_MS,
  })
  const counts: Attacks = {}
  const placed = Object.entries(OUTAGES).map((entry) => ({ entry, place: arena.random.next() }))
  const order = placed.toSorted((a, b) => a.place - b.place)
  for (const {
    entry: [name, outage],
  } of order) {
    const moved = evolveBetweenRuns(arena, 2, EVOLVE_TIMEOUT_MS)
    await outage(arena, servers, form)
    await moved
    counts[name] = 1
    await pause(BETWEEN_MS)
  }
  return counts
}

/** Operations must have heard of it. That nothing was dead-lettered, the checker says. */
async function toldOf({ stack, prefix }: Arena): Promise<string[]> {
  const { connectorErrors } = await readTopics(stack, prefix, ['connectorErrors'])
  const told = connectorErrors.flatMap(({ value }) => (value as ConnectorError | null) ?? [])
  const away = told.filter((event) => event.error_type === 'SINK_UNAVAILABLE')
  return away.length > 0 ? [] : ['operations were not told that the store was away']
}

async function run(seed: number, stack: StackAddresses, form: Form): Promise<ScenarioReport> {
  const postgresUrl = new URL(stack.postgresUrl)
  const registryUrl = new URL(stack.registryUrl)
  const postgres = await openDoor(postgresUrl.hostname, Number(postgresUrl.port))
  const registry = await openDoor(registryUrl.hostname, Number(registryUrl.port))
  const kafka = await openKafkaProxy(stack.brokers)
  try {
    postgresUrl.host = postgres.address
    registryUrl.host = registry.address
    const through = {
      brokers: kafka.brokers,
      registryUrl: registryUrl.href,
      postgresUrl: postgresUrl.href,
    }
    return await fight(
      {
        name: 'outages',
        arena: { through },
        instances: { producers: 1, transformers: 2, sinks: 1 },
        attack: (arena) => attack(arena, { postgres, registry, kafka }, form),
        judge: toldOf,
      },
      seed,
      stack,
    )
  } finally {
    await Promise.all([postgres.end(), registry.end(), kafka.close()])
  }
}

export const outages: Scenario = {
  name: 'outages',
  says: 'PostgreSQL, registry and broker gone, PostgreSQL answering 53100, 53300 and 57P01',
  run,
}
