// Runs the named benchmarks: npm run bench -- W1. Prints a table and JSON, keeps the JSON.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type Part, startStack } from '../stack/stack.ts'
import { leaveCoreOfWorkers } from './cores.ts'
import { documentOf } from './document.ts'
import type { Benchmark, Measurement } from './measurement.ts'
import { measureW1 } from './w1.ts'
import { W2_NOTE, measureW2 } from './w2.ts'
import { w3Section } from './w3-document.ts'
import { measureW3 } from './w3.ts'
import { measureW4 } from './w4.ts'

type Named = {
  readonly says: string
  readonly run: Benchmark
  /** The servers that it talks to. */
  readonly needs: readonly Part[]
  /** Its workers have a core of their own, servers and all else have the others. */
  readonly apart?: boolean
  /** Where its table is kept in the repository; null: nowhere. */
  readonly document: Document | null
}
type Document = {
  readonly path: string
  /** `before`: what the file holds, empty when there is none. */
  textOf(before: string, command: string, measurements: readonly Measurement[]): string
}

const W2_SAYS = 'restoring the lifecycle from its compacted topic; sizes in entities may follow'
const BENCHMARKS: ReadonlyMap<string, Named> = new Map<string, Named>([
  [
    'W1',
    {
      says: '200,000 JSON records of 1.9 kB to Avro, exactly once',
      run: measureW1,
      needs: ['kafka'],
      document: null,
    },
  ],
  [
    'W2',
    {
      says: W2_SAYS,
      run: measureW2,
      needs: ['kafka'],
      document: {
        path: 'docs/restore.md',
        textOf: (_, command, measured) => documentOf(W2_SAYS, W2_NOTE, command, measured),
      },
    },
  ],
  [
    'W3',
    {
      says: 'every sink, from topic to store, on one core; --quick, and names of sinks may follow',
      run: measureW3,
      needs: ['kafka', 'registry', 'postgres'],
      apart: true,
      document: { path: 'docs/sinks.md', textOf: w3Section },
    },
  ],
  [
    'W4',
    {
      says: 'findings and their history into PostgreSQL, by unnest and by COPY',
      run: measureW4,
      needs: ['postgres'],
      document: null,
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
  const dataDir = join(root, '.exposure/bench-stack')
  const log = (line: string): void => console.error(line)
  const elsewhere = (['kafka', 'registry', 'postgres'] as const).filter(
    (part) => !benchmark.needs.includes(part),
  )
  if (benchmark.apart === true) await leaveCoreOfWorkers(log)
  const stack = await startStack({ dataDir, fresh: true, temporary: true, elsewhere, log })
  try {
    const measurements = await benchmark.run(stack, args)
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
      const path = join(root, benchmark.document.path)
      const before = existsSync(path) ? readFileSync(path, 'utf8') : ''
      writeFileSync(path, benchmark.document.textOf(before, command, measurements))
    }
  } finally {
    await stack.stop()
  }
}

await measure(process.argv[2] ?? '', process.argv.slice(3))
