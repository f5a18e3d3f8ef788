// What an operator reads when PostgreSQL refuses the sink: the step that mends it.
import { describe, expect, it } from 'vitest'
import { postgresError } from '../../sinks/postgres/errors.ts'

const answer = (code: string) => Object.assign(new Error('refused'), { code })

describe('a refusal of PostgreSQL', () => {
  it.each([
    ['28P01', 'user and password'],
    ['28000', 'user and password'],
    ['3D000', 'Make the database'],
    ['42501', 'Grant the user'],
  ])('%s says what mends it, and that no restart is needed', (code, words) => {
    const { failure, remediation } = postgresError(answer(code), 'preparing PostgreSQL')
    expect(failure).toBe('CONFIGURATION')
    expect(remediation).toContain(words)
    expect(remediation).toContain('no restart is needed')
  })

  it('that waiting mends keeps the step of its kind', () => {
    const { failure, remediation } = postgresError(answer('57P03'), 'preparing PostgreSQL')
    expect(failure).toBe('SINK_UNAVAILABLE')
    expect(remediation).toContain('goes on by itself')
  })
})
