// The largest record that a raw topic takes has a dead letter that its topic takes.
import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import { TOPICS, topicName } from '../../contracts/topics.ts'
import { deadLetter } from '../../runtime/dead-letter.ts'
import { openSourceWorld } from '../support/source-world.ts'

describe('a dead letter', () => {
  it('fits its topic, however large the raw record was', async () => {
    const world = await openSourceWorld()
    const { prefix } = world.settings
    const raw = {
      topic: topicName(prefix, 'rawPrismaCloud'),
      partition: 0,
      key: 'prod|compute.hosts|u',
      // Nothing that could be compressed, up to what the raw topic takes.
      value: randomBytes(Number(TOPICS.rawPrismaCloud.config['max.message.bytes']) - 700),
      headers: { 'x-unit': 'u' },
    }
    const session = await world.process().options.openSession(`${prefix}letters`)
    await session.commit({ outputs: [raw] })
    const error = new PipelineError(
      'INVALID_RESPONSE',
      'NORMALIZE',
      randomBytes(500).toString('hex'),
    )
    await session.commit({ outputs: [deadLetter(prefix, { ...raw, offset: 0n }, error, 1)] })
    await session.close()
    const [letter] = await world.records('dlq')
    expect(letter?.value?.equals(raw.value)).toBe(true)
    expect(letter?.headers).toMatchObject({ 'x-unit': 'u', 'x-dlq-error': error.message })
  })
})
