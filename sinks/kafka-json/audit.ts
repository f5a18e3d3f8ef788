// What the JSON topic tells of entities, for `exposure reconcile`: the last event of each.
import { z } from 'zod'
import type { AuditKind, SinkAudit } from '../../contracts/ports.ts'
import type { KafkaRecord } from '../../contracts/processing.ts'
import { TOPICS } from '../../contracts/topics.ts'
import { openAdmin } from '../../runtime/kafka/admin.ts'
import { type LogReader, openLogReader } from '../../runtime/kafka/log-reader.ts'
import type { KafkaSettings } from '../../runtime/kafka/types.ts'
import type { Logger } from '../../runtime/log.ts'
import { KeySample } from '../../runtime/sink-sample.ts'

/** Kept while choosing some: what is dropped leaves about half of it. */
const KEPT_FACTOR = 4
/** The topic of a broker that stands still. */
const STALL_MS = 30_000
const KEPT_MS = Number(TOPICS.ocsf.config['retention.ms'])

const revision = { unmapped: z.object({ revision: z.int() }) }
const told: Readonly<Record<string, z.ZodType<Told>>> = {
  '2002': z
    .object({ finding_info: z.object({ uid: z.string() }), ...revision })
    .transform((event) => toldOf('finding', event.finding_info.uid, event)),
  '5001': z
    .object({ device: z.object({ uid: z.string() }), ...revision })
    .transform((event) => toldOf('asset', event.device.uid, event)),
  '5023': z
    .object({ resources: z.tuple([z.object({ uid_alt: z.string() })]), ...revision })
    .transform((event) => toldOf('asset', event.resources[0].uid_alt, event)),
}

type Told = { readonly kind: AuditKind; readonly uid: string; readonly revision: number }
const toldOf = (kind: AuditKind, uid: string, event: { unmapped: { revision: number } }): Told => ({
  kind,
  uid,
  revision: event.unmapped.revision,
})

/** Reads the whole topic for every question. @throws PipelineError when Kafka is away */
export async function auditJsonTopic(
  topic: string,
  kafka: KafkaSettings,
  log: Logger,
): Promise<SinkAudit> {
  // The sink makes it when it is opened first.
  const isThere = await hasTopic(topic, kafka, log)
  const reader = openLogReader(kafka, log)
  const readTold = async (onTold: OnTold) => {
    if (isThere) await readTopic(reader, topic, onTold)
  }
  return {
    keptMs: KEPT_MS,
    keepsForgotten: true,
    // Events and the group's offset are one transaction.
    storedOffset: async () => null,
    count: async () => null,
    async revisions(kind, uids) {
      const wanted = new Set(uids)
      const revisions = new Map<string, number>()
      await readTold((one) => {
        if (one.kind !== kind || !wanted.has(one.uid)) return
        revisions.set(one.uid, Math.max(one.revision, revisions.get(one.uid) ?? one.revision))
      })
      return revisions
    },
    async sample(kind, n, seed) {
      const chosen = new KeySample<null>(KEPT_FACTOR * n, seed)
      const sinceMs = Date.now() - KEPT_MS
      await readTold((one, { timestampMs }) => {
        // What is older is only there because its segment is not full.
        if (one.kind === kind && timestampMs >= sinceMs) chosen.set(one.uid, null)
      })
      return chosen
        .entries()
        .slice(0, n)
        .map(([uid]) => uid)
    },
    close: () => reader.close(),
  }
}

async function hasTopic(topic: string, kafka: KafkaSettings, log: Logger): Promise<boolean> {
  const admin = await openAdmin(kafka, log)
  try {
    return await admin.hasTopic(topic)
  } finally {
    await admin.close()
  }
}

type OnTold = (told: Told, record: KafkaRecord) => void

async function readTopic(reader: LogReader, topic: string, onTold: OnTold): Promise<void> {
  for (const partition of await reader.partitions(topic)) {
    await reader.readToEnd(
      topic,
      partition,
      (record) => {
        const one = toldBy(record)
        if (one !== null) onTold(one, record)
      },
      { stallMs: STALL_MS },
    )
  }
}

/** Null: of no entity, or written by somebody else. */
function toldBy({ headers, value }: KafkaRecord): Told | null {
  const schema = told[headers['ocsf-class'] ?? '']
  if (schema === undefined || value === null) return null
  try {
    const parsed = schema.safeParse(JSON.parse(value.toString()))
    return parsed.success ? parsed.data : null
  } catch {
    return null // no JSON
  }
}
