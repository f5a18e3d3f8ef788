// What every transformer must do with what its own source gives, and with anything else.
import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import { assetUid } from '../../contracts/identity.ts'
import type { Transformer, Unit } from '../../contracts/ports.ts'
import { observedBy } from './observed.ts'
import { expectValid } from './transform.ts'

const TIMEOUT_MS = 120_000
const TENANT = 'acme'
const UNITS_CHECKED_MAX = 60
const REFUSALS = ['SCHEMA_VIOLATION', 'INVALID_RESPONSE']

export type TransformerSubject = {
  readonly transformer: Transformer
  /** More than three, as its source gives them. */
  readonly units: () => Promise<readonly Unit[]>
}

/** The rules as tests, under the name of the stream. */
export function describeTransformer(subject: TransformerSubject): void {
  const { transformer } = subject
  describe(transformer.stream, () => {
    let units: readonly Unit[] = []
    beforeEach(async () => {
      if (units.length > 0) return
      units = (await subject.units()).slice(0, UNITS_CHECKED_MAX)
    }, TIMEOUT_MS)

    const withBody = (body: Buffer): Unit => ({
      unit: 'u',
      assetNativeId: 'a',
      contentType: 'application/json',
      columns: null,
      ...units[0],
      body,
      sizeBytes: body.length,
    })
    const refusalOf = (body: Buffer): unknown => {
      try {
        observedBy(transformer, TENANT, withBody(body))
        return null
      } catch (error) {
        return error instanceof PipelineError ? error.failure : error
      }
    }

    it('gives what fits the contract to the letter, and tells no drift', () => {
      expect(units.length).toBeGreaterThan(3)
      for (const unit of units) {
        const observation = observedBy(transformer, TENANT, unit)
        expectValid(observation)
        expect(observation.drift ?? []).toEqual([])
      }
    })

    it('says something of some unit, about the asset that the unit was placed by', () => {
      const { vendor, product } = transformer
      let said = 0
      for (const unit of units) {
        const { assets, findings, vulnerabilities = [] } = observedBy(transformer, TENANT, unit)
        said += assets.length + findings.length + vulnerabilities.length
        const own = assetUid({ vendor, product, tenant: TENANT, nativeId: unit.assetNativeId })
        expect(new Set([...assets, ...findings].map(({ asset_uid }) => asset_uid))).toEqual(
          new Set(assets.length + findings.length === 0 ? [] : [own]),
        )
      }
      expect(said).toBeGreaterThan(3)
    })

    it('says the same of the same bytes', () => {
      for (const unit of units.slice(0, 10)) {
        const first = JSON.stringify(observedBy(transformer, TENANT, unit))
        expect(JSON.stringify(observedBy(transformer, TENANT, unit))).toBe(first)
      }
    })

    it('refuses a record that lacks everything, by name', () => {
      expect(refusalOf(Buffer.from('{}'))).toBe('SCHEMA_VIOLATION')
      expect(refusalOf(Buffer.from('{"cut'))).toBe('INVALID_RESPONSE')
      expect(refusalOf(Buffer.alloc(0))).toBe('INVALID_RESPONSE')
    })

    it('never throws anything else, whatever comes', () => {
      const anything = fc.oneof(
        fc.json().map((text) => Buffer.from(text)),
        fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
      )
      fc.assert(
        fc.property(anything, (body) => {
          expect([null, ...REFUSALS]).toContain(refusalOf(body))
        }),
        { numRuns: 100 },
      )
    })

    it(
      'takes any value in place of any field, or refuses the record by name',
      () => {
        const values: unknown[] = [
          null,
          '',
          'x',
          0,
          -1,
          1e300,
          true,
          [],
          [[]],
          [null],
          {},
          { a: [{}] },
        ]
        for (const unit of units.slice(0, 3)) {
          if (unit.columns !== null) continue
          const record = JSON.parse(unit.body?.toString() ?? '{}') as Record<string, unknown>
          for (const name of Object.keys(record)) {
            for (const value of values) {
              const body = Buffer.from(JSON.stringify({ ...record, [name]: value }))
              expect([null, ...REFUSALS]).toContain(refusalOf(body))
            }
          }
        }
      },
      TIMEOUT_MS,
    )
  })
}
