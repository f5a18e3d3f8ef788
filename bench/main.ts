// Runs the named benchmarks: npm run bench -- W1. Prints a table and JSON, keeps the JSON.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { environment } from '../runtime/environment.ts'
import { startStack } from '../stack/stack.ts'
import type { Benchmark } from './measurement.ts'
import { documentOf } from './document.ts'
import { measureW1 } from './w1.ts'
import { W2_NOTE, measureW2 } from './w2.ts'

type Named = {
  readonly says: string
  readonly run: Benchmark
  /** Where its table is kept in the repository; null: nowhere. */
  readonly document: { readonly path: string; readonly note: string } | null
}
const BENCHMARKS: ReadonlyMap<string, Named> = new Map<string, Named>([
  [
    'W1',
    {
      says: '200,000 JSON records of 1.9 kB to Avro, exactly once',
      run: measureW1,
      document: null,
    },
  ],
  [
    'W2',
    {
      says: 'restoring the lifecycle from its compacted topic; sizes in entities may follow',
      run: measureW2,
      document: { path: 'docs/restore.md', note: W2_NOTE },
    },
  ],
])

const root = resolve(import.meta.dirname, '..')

async function measure(name: string, args: readonly string[]): Promise<void> {
  const benchmark = BENCHMARKS.get(name)
  if (benchmark === undefined) {
    const known = [...BENCHMARKS].map(([key, { says }]) => `  ${key}  ${says}`).join('\n')
    console.error(`no benchmark ${name || '(none named)'}; there are\n${known}`)
    process.exitCode = 2
    return
  }
  const given = environment('EXPOSURE_KAFKA_BROKERS')
  const dataDir = join(root, '.exposure/bench-stack')
  const log = (line: string): void => console.error(line)
  const place = { dataDir, fresh: true, temporary: true, log }
  const stack = given === undefined ? await startStack(place) : null
  try {
    const brokers = stack?.brokers ?? (given ?? '').split(',')
    const measurements = await benchmark.run(brokers, args)
    console.error(`${name}: ${benchmark.says}`)
    console.table(
      measurements.map((m) => ({
        what: m.what,
        'records/s': Math.round(m.recordsPerSecond),
        seconds: Number(m.seconds.toFixed(2)),
        'CPU seconds': Number(m.cpuSeconds.toFixed(2)),
        'CPU us/record': Math.round((m.cpuSeconds / m.records) * 1e6),
        'peak RSS MB': Math.round(m.peakRssBytes / 2 ** 20),
      })),
    )
    const json = JSON.stringify({ name, node: process.version, measurements }, null, 2)
    console.log(json)
    mkdirSync(join(root, '.exposure/bench'), { recursive: true })
    writeFileSync(join(root, '.exposure/bench', `${name}.json`), `${json}\n`)
    if (benchmark.document !== null) {
      const command = ['npm run bench --', name, ...args].join(' ')
      const text = documentOf(benchmark.says, benchmark.document.note, command, measurements)
      writeFileSync(join(root, benchmark.document.path), text)
    }
  } finally {
    await stack?.stop()
  }
}

await measure(process.argv[2] ?? '', process.argv.slice(3))
