// When connector-error events go out, and when they do not, by a clock that the test moves.
import { describe, expect, it } from 'vitest'
import { FAILURES, PipelineError } from '../../contracts/errors.ts'
import type { OutRecord } from '../../contracts/processing.ts'
import { type ErrorScope, fingerprintOf } from '../../runtime/error-event.ts'
import { faultScope } from '../../runtime/error-reporter.ts'
import { createLogger } from '../../runtime/log.ts'
import { FLUSH_MS, MINUTE_MS, away, forbidden, reporterWith, scope } from '../support/reporter.ts'

describe('one condition', () => {
  it('is RAISED once, then ONGOING at most once a minute with all that was counted', async () => {
    const { reporter, clock, events } = reporterWith()
    for (let second = 0; second <= 150; second++) {
      reporter.raise(forbidden, scope)
      clock.nowMs += 1_000
    }
    const sent = await events()
    expect(sent.map(({ state, occurrences }) => [state, occurrences])).toEqual([
      ['RAISED', 1],
      ['ONGOING', 61],
      ['ONGOING', 121],
    ])
    expect(new Set(sent.map((event) => event.fingerprint)).size).toBe(1)
    expect(new Set(sent.map((event) => event.first_at)).size).toBe(1)
    expect(new Set(sent.map((event) => event.error_id)).size).toBe(3)
    expect(reporter.open()).toMatchObject([{ occurrences: 151 }])
  })

  it('is in the log when it begins, with its next step, and when it is over', async () => {
    const log = createLogger('test').child({}, { level: 'silent' })
    const lines: unknown[][] = []
    log.info = (...line: unknown[]) => void lines.push(line)
    const { reporter, clock, events } = reporterWith({ log })
    for (let minute = 0; minute < 3; minute++) {
      reporter.raise(forbidden, scope)
      clock.nowMs += MINUTE_MS
    }
    reporter.clear({})
    await events()
    const where = {
      type: 'ACCESS_FORBIDDEN',
      connection: 'prisma',
      stream: 'compute.hosts',
      sink: null,
    }
    const { remediation } = FAILURES.ACCESS_FORBIDDEN
    expect(lines).toEqual([
      [{ ...where, nextStep: remediation }, forbidden.message],
      [where, 'over'],
    ])
  })

  it('carries what happened and the next step', async () => {
    const { reporter, clock, records, events } = reporterWith()
    const http = {
      method: 'GET',
      url: 'https://host/hosts',
      status: 429,
      retryAfterMs: 7_000,
      requestId: 'r1',
      vendorCode: 'c',
      vendorMessage: 'm',
      vendorExtra: 'e',
    }
    const error = new PipelineError('TOO_MANY_REQUESTS', 'FETCH', 'x'.repeat(5_000), {
      http,
      retryAfterMs: 7_000,
      violations: ['a: b'],
    })
    reporter.raise(error, scope, { topic: 't', partition: 1, offset: 2, key: 'k' })
    const [event] = await events()
    expect(event).toMatchObject({
      state: 'RAISED',
      error_type: 'TOO_MANY_REQUESTS',
      severity: 'LOW',
      retryable: true,
      next_attempt_at: clock.nowMs + 7_000,
      connection_id: 'prisma',
      run_id: 'run-1',
      remediation: FAILURES.TOO_MANY_REQUESTS.remediation,
      http: { method: 'GET', url: 'https://host/hosts', status: 429, retry_after_ms: 7_000 },
      record: { topic: 't', partition: 1, offset: 2, key: 'k' },
      violations: ['a: b'],
      version: '1.2.3',
    })
    expect(event?.message).toHaveLength(2_048)
    expect(records[0]).toMatchObject({
      topic: 'p.exposure.connector-errors',
      key: event?.fingerprint,
      headers: { ce_type: 'exposure.connector-error.raised.v1', ce_subject: event?.fingerprint },
    })
  })

  it('is CLEARED with the same fingerprint, and RAISED anew afterwards', async () => {
    const { reporter, clock, states, events } = reporterWith()
    reporter.raise(forbidden, scope)
    clock.nowMs += 1_000
    reporter.clear({ connection: 'prisma' })
    reporter.clear({ connection: 'prisma' })
    reporter.raise(forbidden, scope)
    expect(await states()).toEqual([
      ['ACCESS_FORBIDDEN', 'RAISED'],
      ['ACCESS_FORBIDDEN', 'CLEARED'],
      ['ACCESS_FORBIDDEN', 'RAISED'],
    ])
    const [raised, cleared, again] = await events()
    expect(cleared).toMatchObject({
      fingerprint: raised?.fingerprint,
      first_at: raised?.first_at,
      last_at: clock.nowMs,
      severity: 'INFORMATIONAL',
    })
    expect(again).toMatchObject({ occurrences: 1, first_at: clock.nowMs })
  })

  it('left open by an earlier process goes on, and can be cleared', async () => {
    const before = reporterWith()
    before.reporter.raise(forbidden, scope)
    const { reporter, clock, states, events } = reporterWith({ open: await before.events() })
    clock.nowMs += MINUTE_MS
    reporter.raise(forbidden, scope)
    reporter.clear({ connection: 'prisma', stream: 'compute.hosts' })
    expect(await states()).toEqual([
      ['ACCESS_FORBIDDEN', 'ONGOING'],
      ['ACCESS_FORBIDDEN', 'CLEARED'],
    ])
    expect((await events())[0]).toMatchObject({ occurrences: 2 })
  })
})

describe('conditions', () => {
  it('differ by connection, vendor, stream, sink, stage and failure, and by nothing else', () => {
    const of = (change: Partial<ErrorScope>) =>
      fingerprintOf({ ...scope, ...change }, 'FETCH', 'NOT_FOUND')
    expect(of({ runId: 'run-2', product: 'other' })).toBe(of({}))
    const others = [
      of({ connection: 'b' }),
      of({ vendor: 'cortex' }),
      of({ stream: null }),
      of({ sink: 's' }),
      fingerprintOf(scope, 'AUTH', 'NOT_FOUND'),
      fingerprintOf(scope, 'FETCH', 'BAD_REQUEST'),
    ]
    expect(new Set([of({}), ...others]).size).toBe(7)
    expect(of({})).toMatch(/^[0-9a-f]{32}$/)
  })

  it('of a log-in belong to the connection, all others to the stream', () => {
    const source = { vendor: 'cortex', product: 'cortex-xdr', stream: 'xdr.endpoints' } as const
    const login = new PipelineError('NOT_FOUND', 'AUTH', 'no such host')
    expect(faultScope('c', source, login)).toMatchObject({ connection: 'c', stream: null })
    expect(faultScope('c', source, away)).toMatchObject({ stream: 'xdr.endpoints' })
  })

  it('are cleared only where the filter fits', async () => {
    const { reporter, clock, states } = reporterWith()
    reporter.raise(forbidden, scope)
    reporter.raise(away, { ...scope, stream: null })
    clock.nowMs += 1_000
    reporter.clear({ connection: 'other' })
    reporter.clear({ connection: 'prisma', stages: ['SINK'] })
    reporter.clear({ connection: 'prisma', failures: ['NOT_FOUND'] })
    reporter.clear({ connection: 'prisma', quietMs: 1_001 })
    expect((await states()).map(([, state]) => state)).toEqual(['RAISED', 'RAISED'])
    reporter.clear({ connection: 'prisma', stream: null, quietMs: 1_000 })
    expect((await states()).at(-1)).toEqual(['TEMPORARY_FAILURE', 'CLEARED'])
    expect(reporter.open().map((event) => event.error_type)).toEqual(['ACCESS_FORBIDDEN'])
  })
})

describe('a temporary failure', () => {
  it('becomes a disconnection after the time set, which says the minutes', async () => {
    const { reporter, clock, states, events } = reporterWith()
    for (let minute = 0; minute < 15; minute++) {
      reporter.raise(away, scope)
      clock.nowMs += MINUTE_MS
    }
    expect((await states()).filter(([type]) => type === 'TEMPORARY_DISCONNECTED')).toEqual([])
    reporter.raise(away, scope)
    const sent = (await events()).filter((e) => e.error_type === 'TEMPORARY_DISCONNECTED')
    expect(sent).toMatchObject([{ state: 'RAISED', stream: null, severity: 'CRITICAL' }])
    expect(sent[0]?.remediation).toBe(
      FAILURES.TEMPORARY_DISCONNECTED.remediation.replace(' N ', ' 15 '),
    )
  })

  it('is no disconnection while other calls of the connection succeed', async () => {
    const { reporter, clock, states } = reporterWith()
    for (let minute = 0; minute < 60; minute++) {
      reporter.raise(away, scope)
      clock.nowMs += MINUTE_MS
      reporter.succeeded('prisma')
    }
    expect((await states()).some(([type]) => type === 'TEMPORARY_DISCONNECTED')).toBe(false)
  })
})

describe('a disconnection', () => {
  const forMinutes = ({ reporter, clock }: ReturnType<typeof reporterWith>, minutes: number) => {
    for (let minute = 0; minute <= minutes; minute++) {
      reporter.raise(away, scope)
      clock.nowMs += MINUTE_MS
    }
  }

  it('is over with the first success', async () => {
    const made = reporterWith()
    forMinutes(made, 15)
    made.reporter.succeeded('other')
    expect((await made.states()).at(-1)).toEqual(['TEMPORARY_DISCONNECTED', 'RAISED'])
    made.reporter.succeeded('prisma')
    expect((await made.states()).at(-1)).toEqual(['TEMPORARY_DISCONNECTED', 'CLEARED'])
    expect(made.reporter.open().map((event) => event.error_type)).toEqual(['TEMPORARY_FAILURE'])
  })

  it('is measured from the start of this process, not from what one before it met', async () => {
    const before = reporterWith()
    before.reporter.raise(away, scope)
    const clock = { nowMs: before.clock.nowMs + 24 * 60 * MINUTE_MS }
    const nowMs = () => clock.nowMs
    const { reporter } = reporterWith({ open: await before.events(), nowMs })
    const types = () => reporter.open().map((event) => event.error_type)
    reporter.raise(away, scope)
    expect(types()).toEqual(['TEMPORARY_FAILURE'])
    clock.nowMs += 15 * MINUTE_MS
    reporter.raise(away, scope)
    expect(types()).toContain('TEMPORARY_DISCONNECTED')
  })
})

describe('texts of others', () => {
  it('are cut, and lose what a store or Avro cannot take', async () => {
    const { reporter, events } = reporterWith()
    const odd = (length: number) => `a\0b\ud800${'x'.repeat(length)}`
    const http = {
      method: 'GET',
      url: odd(9_000),
      status: 500,
      retryAfterMs: null,
      requestId: odd(9_000),
      vendorCode: odd(1),
      vendorMessage: odd(9_000),
      vendorExtra: null,
    }
    const violations = Array.from({ length: 50 }, () => odd(9_000))
    const error = new PipelineError('BAD_REQUEST', 'FETCH', odd(1), { http, violations })
    reporter.raise(error, scope, { topic: 't', partition: 0, offset: 0, key: odd(9_000) })
    const [event] = await events()
    expect(event).toMatchObject({ message: 'abx', http: { vendor_code: 'abx' } })
    expect(event?.record?.key).toMatch(/^abx{1020}$/)
    expect(event?.http?.vendor_message).toMatch(/^abx{996}$/)
    expect(event?.http?.request_id).toHaveLength(998)
    expect(event?.violations).toHaveLength(20)
    expect(event?.violations[19]).toMatch(/^abx{296}$/)
    // A pair that makes one character stays.
    reporter.raise(new PipelineError('NOT_FOUND', 'FETCH', '\u{1f600}'), scope)
    expect((await events()).at(-1)?.message).toBe('\u{1f600}')
  })
})

describe('publishing', () => {
  it('tries again to say that a condition is over when the queue was full', async () => {
    let release = () => {}
    const gate = new Promise<void>((resolve) => (release = resolve))
    const sent: string[] = []
    const { reporter } = reporterWith({
      send: async (batch) => {
        await gate
        sent.push(...batch.map(({ value }) => String(value)))
      },
      encode: ({ state, stream }) => Buffer.from(`${state} ${stream}`),
    })
    for (let i = 0; i < 1_000; i++) reporter.raise(forbidden, { ...scope, stream: `s${i}` })
    reporter.raise(forbidden, { ...scope, stream: 'late' })
    reporter.clear({ stream: 's0' })
    expect(reporter.open().map(({ stream }) => stream)).toContain('s0')
    expect(reporter.open().map(({ stream }) => stream)).not.toContain('late')
    release()
    await reporter.flush(FLUSH_MS)
    reporter.raise(forbidden, { ...scope, stream: 'late' })
    reporter.clear({ stream: 's0' })
    await reporter.flush(FLUSH_MS)
    expect(sent.slice(1_000)).toEqual(['RAISED late', 'CLEARED s0'])
  })

  it('keeps what could not be sent, in order, for the next one', async () => {
    const sent: string[] = []
    let broken = true
    const send = (batch: OutRecord[]) => {
      if (broken) return Promise.reject(new Error('no broker'))
      sent.push(...batch.map(({ value }) => String(value)))
      return Promise.resolve()
    }
    const { reporter } = reporterWith({ send, encode: (event) => Buffer.from(event.error_type) })
    reporter.raise(forbidden, scope)
    await reporter.flush(FLUSH_MS)
    expect(sent).toEqual([])
    broken = false
    reporter.raise(away, scope)
    await reporter.flush(FLUSH_MS)
    expect(sent).toEqual(['ACCESS_FORBIDDEN', 'TEMPORARY_FAILURE'])
  })

  it('passes over an event that has no Avro form', async () => {
    const { reporter, records } = reporterWith({
      encode: (event) => {
        if (event.error_type === 'ACCESS_FORBIDDEN') throw new Error('no such form')
        return Buffer.from(event.error_type)
      },
    })
    reporter.raise(forbidden, scope)
    reporter.raise(away, scope)
    await reporter.flush(FLUSH_MS)
    expect(records.map(({ value }) => String(value))).toEqual(['TEMPORARY_FAILURE'])
  })

  it('gives up waiting when the time is over', async () => {
    const never = new Promise<void>(() => {})
    const { reporter } = reporterWith({ send: () => never })
    reporter.raise(forbidden, scope)
    await expect(reporter.flush(10)).resolves.toBeUndefined()
  })
})
