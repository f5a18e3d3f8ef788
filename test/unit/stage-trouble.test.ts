// Lasting trouble of a stage: told as its own, and over when this stage works again, no other.
import { expect, it } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import { stageTrouble } from '../../runtime/stage-trouble.ts'
import { reporterWith } from '../support/reporter.ts'

const scope = {
  connection: null,
  vendor: null,
  product: null,
  stream: null,
  sink: null,
  runId: null,
}
const away = new PipelineError('TEMPORARY_FAILURE', 'FETCH', 'Kafka does not answer')

it('is not cleared by the progress of another stage', async () => {
  const { reporter, events } = reporterWith()
  const producers = stageTrouble(reporter, scope, 'p.producers')
  const ledger = stageTrouble(reporter, scope, 'p.ledger')
  producers.onTrouble(away)
  ledger.onTrouble(away)
  ledger.onProgress()
  expect(reporter.open().map(({ message }) => message)).toEqual([
    'p.producers: Kafka does not answer',
  ])
  producers.onProgress()
  producers.onProgress()
  expect((await events()).map(({ state }) => state)).toEqual([
    'RAISED',
    'RAISED',
    'CLEARED',
    'CLEARED',
  ])
})

it.each(['AUTHORIZATION_FAILURE', 'ACCESS_FORBIDDEN', 'CONFIGURATION', 'INTERNAL'] as const)(
  'is over when it works again, also after %s, and in the process that comes next',
  async (failure) => {
    const before = reporterWith()
    const { onTrouble } = stageTrouble(before.reporter, scope, 'p.ledger')
    onTrouble(new PipelineError(failure, 'FETCH', 'no'))
    const open = await before.events()
    const { reporter, states } = reporterWith({ open })
    stageTrouble(reporter, scope, 'p.ledger').onProgress()
    expect(await states()).toEqual([[failure, 'CLEARED']])
  },
)
