// Several real stores of one test, filled by their sinks from its own topics, and the command line.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { stringify } from 'yaml'
import { topicName } from '../../contracts/topics.ts'
import type { PipelineError } from '../../contracts/errors.ts'
import { runSink, sinkGroup, sinkTopics } from '../../runtime/run-sink.ts'
import { createSinks, sinksConfig } from '../../sinks/sinks.ts'
import { type EventTopics, eventTopics } from './event-topics.ts'
import { testLog } from './kafka-scene.ts'
import { runExposure } from './product.ts'
import { stack, waitFor } from './stack.ts'

export type StoresWorld = {
  readonly topics: EventTopics
  /** Runs every sink of the file, or those named, until it is at the end of its topics. */
  readonly fill: (...names: readonly string[]) => Promise<PipelineError[]>
  /** `exposure ARGS` with the file: its exit code, and JSON lines of stdout where there are any. */
  readonly exposure: (...args: readonly string[]) => Promise<{ code: number | null; said: string }>
  /** `exposure run STAGE ...` until the test ends. */
  readonly running: (...stages: readonly string[]) => void
  /** As `exposure`, with --json: what is said of each sink, by its name. */
  readonly facts: <T>(
    ...args: readonly string[]
  ) => Promise<{ code: number | null; of: ReadonlyMap<string, T> }>
}

/** `sinks` as in exposure.yaml; topics, groups and the file end with the test. */
export async function storesWorld(sinks: object): Promise<StoresWorld> {
  const topics = await eventTopics()
  const { settings, admin, codecs } = topics
  const { prefix } = settings
  onTestFinished(() => admin.deleteTopics([topicName(prefix, 'ocsf')]))
  const folder = mkdtempSync(join(tmpdir(), 'exposure-stores-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'exposure.yaml')
  const { brokers, registryUrl } = stack()
  writeFileSync(
    file,
    stringify({ kafka: { brokers, prefix }, registry: { url: registryUrl }, sinks }),
  )
  const exposure = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await runExposure([...args, '--config', file], {})
    return { code, said: stdout + stderr }
  }
  return {
    topics,
    async fill(...names) {
      const raised: PipelineError[] = []
      const reporter = {
        raise: (error: PipelineError) => void raised.push(error),
        clear: () => undefined,
      }
      const groupOf = (name: string) => sinkGroup(prefix, name)
      const made = createSinks(sinksConfig.parse(sinks), { groupOf, kafka: settings, log: testLog })
      for (const { sink, filter, start } of made) {
        if (names.length > 0 && !names.includes(sink.name)) continue
        const options = { settings, sink, filter, start, codecs, reporter, log: testLog }
        const running = await runSink(options)
        const read = [...sinkTopics(prefix, sink).keys()]
        const caughtUp = async () =>
          (await admin.lag(groupOf(sink.name), read)).every(({ lag }) => lag === 0n)
        try {
          await waitFor(caughtUp, { what: `${sink.name} caught up` })
        } finally {
          await running.stop()
        }
      }
      return raised
    },
    exposure,
    running(...stages) {
      const main = new URL('../../cli/main.ts', import.meta.url).pathname
      const child = spawn(process.execPath, [main, 'run', ...stages, '--config', file], {
        env: { ...process.env, NODE_OPTIONS: '' },
        stdio: 'ignore',
      })
      onTestFinished(async () => {
        child.kill('SIGKILL')
        if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      })
    },
    async facts<T>(...args: readonly string[]) {
      const { code, said } = await exposure(...args, '--json')
      const lines = said.split('\n').filter((line) => line.startsWith('{'))
      const facts = lines.map((line) => JSON.parse(line) as T & { sink: string })
      return { code, of: new Map(facts.map((one) => [one.sink, one])) }
    },
  }
}
