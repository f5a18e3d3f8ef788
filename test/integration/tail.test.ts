// `exposure tail` in a terminal: it ends when it is told to, whatever Kafka does.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { parse, stringify } from 'yaml'
import { openKafkaProxy } from '../chaos/kafka-proxy.ts'
import { startProduct } from '../support/product.ts'
import { waitFor } from '../support/wait-for.ts'

const TIMEOUT_MS = 180_000
const WAIT_MS = 60_000
/** Of a loaded machine; a request that is not answered would be waited for longer. */
const END_MS_MAX = 15_000

it(
  'ends at the first Ctrl-C while Kafka does not answer',
  async ({ onTestFinished }) => {
    const product = await startProduct({ connections: [], onFinished: onTestFinished })
    expect((await product.exposure(['topics', 'apply'])).code).toBe(0)
    expect((await product.exposure(['schemas', 'apply'])).code).toBe(0)
    const { kafka, ...rest } = parse(await readFile(product.configFile, 'utf8')) as {
      kafka: { brokers: string[] }
    }
    const proxy = await openKafkaProxy(kafka.brokers)
    onTestFinished(() => proxy.close())
    const through = { ...rest, kafka: { ...kafka, brokers: proxy.brokers } }
    await writeFile(product.configFile, stringify(through))
    const main = new URL('../../cli/main.ts', import.meta.url).pathname
    const args = [main, 'tail', 'exposure.runs', '--follow', '--config', product.configFile]
    let reads = 0
    proxy.setRule(({ apiKey }) => {
      if (apiKey === LIST_OFFSETS) reads += 1
      return 'pass'
    })
    const child = spawn(process.execPath, args, {
      env: { ...process.env, NODE_OPTIONS: '', ...product.secrets },
      stdio: 'ignore',
    })
    const exited = once(child, 'exit')
    onTestFinished(async () => {
      child.kill('SIGKILL')
      await exited
    })
    await waitFor(() => reads > 6, { what: 'it follows the topic', timeoutMs: WAIT_MS })
    proxy.setRule(() => 'drop-answer')
    const isUnanswered = () => (proxy.done.get('drop-answer') ?? 0) > 0
    await waitFor(isUnanswered, { what: 'a request without answer', timeoutMs: WAIT_MS })
    const began = performance.now()
    child.kill('SIGINT')
    expect(await exited).toEqual([0, null])
    expect(performance.now() - began).toBeLessThan(END_MS_MAX)
  },
  TIMEOUT_MS,
)

const LIST_OFFSETS = 2
