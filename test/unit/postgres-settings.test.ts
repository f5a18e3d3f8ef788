// The settings of the PostgreSQL sink: what is not given is off, and what cannot work is refused.
import { describe, expect, it } from 'vitest'
import { postgresConfig } from '../../sinks/postgres/config.ts'

const url = 'env:DATABASE_URL'

describe('the settings of PostgreSQL', () => {
  it('keep everything for good and make no role unless told so', () => {
    expect(postgresConfig.parse({ url })).toEqual({ url, schema: 'exposure', poolMax: 4 })
  })

  it('take each time of retention alone', () => {
    const { retention } = postgresConfig.parse({ url, retention: { history: '400d' } })
    expect(retention).toEqual({ history: 400 * 86_400_000 })
    const unknown = postgresConfig.safeParse({ url, retention: { findings: '400d' } })
    expect(unknown.success).toBe(false)
  })

  it.each(['pg_reader', 'Reader', 'a"b', 'a b', ''])('refuse %j as a role', (readOnlyRole) => {
    const { error } = postgresConfig.safeParse({ url, readOnlyRole })
    expect(error?.issues[0]?.path).toEqual(['readOnlyRole'])
  })
})
