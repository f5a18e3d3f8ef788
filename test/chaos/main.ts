// npm run chaos: every attack in its long form, seed by seed, and docs/reliability.md.
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { startStack } from '../../stack/stack.ts'
import type { StackAddresses } from '../support/global-setup.ts'
import type { Scenario, ScenarioReport } from './scenario.ts'
import { SCENARIOS } from './scenarios.ts'
import { writeReport } from './write-report.ts'

const SEEDS_DEFAULT = 3
const SEEDS_MAX = 1_000
const root = resolve(import.meta.dirname, '../..')

const USAGE = `usage: npm run chaos -- [--seeds N] [--scenario NAME] [--seed K] [--no-report]
  --seeds N        seeds of each scenario (${SEEDS_DEFAULT}), from 1 on
  --scenario NAME  this one alone
  --seed K         this seed alone, to run a failed one again; writes no report
  --no-report      leaves docs/reliability.md as it is
scenarios:
${SCENARIOS.map(({ name, says }) => `  ${name.padEnd(18)} ${says}`).join('\n')}
`

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seeds: { type: 'string', default: String(SEEDS_DEFAULT) },
      scenario: { type: 'string' },
      seed: { type: 'string' },
      'no-report': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const chosen = SCENARIOS.filter(({ name }) => (values.scenario ?? name) === name)
  const seeds = seedsOf(values.seed, values.seeds)
  if (values.help || chosen.length === 0 || seeds === null) {
    console.error(USAGE)
    return values.help ? 0 : 2
  }
  const dataDir = join(root, '.exposure/chaos-stack')
  const log = (line: string): void => console.error(line)
  const stack = await startStack({ dataDir, fresh: true, temporary: true, log })
  try {
    const command = `npm run chaos -- ${args.join(' ')}`.trim()
    let broken = 0
    for (const scenario of chosen) {
      const reports = await runSeeds(scenario, seeds, stack)
      broken += reports.filter(({ problems }) => problems.length > 0).length
      const isWritten = values.seed === undefined && !values['no-report']
      if (isWritten) console.error(`written: ${writeReport(scenario, command, reports)}`)
    }
    return broken === 0 ? 0 : 1
  } finally {
    await stack.stop()
  }
}

function seedsOf(seed: string | undefined, count: string): readonly number[] | null {
  const number = Number(seed ?? count)
  if (!Number.isInteger(number) || number < 1 || number > SEEDS_MAX) return null
  return seed === undefined ? Array.from({ length: number }, (_, place) => place + 1) : [number]
}

/** One after the other: each has the machine to itself. */
async function runSeeds(
  scenario: Scenario,
  seeds: readonly number[],
  stack: StackAddresses,
): Promise<ScenarioReport[]> {
  const reports: ScenarioReport[] = []
  for (const seed of seeds) {
    const report = await runSeed(scenario, seed, stack)
    reports.push(report)
    console.log(JSON.stringify(report))
  }
  return reports
}

/** A seed that breaks off has broken a promise, and the others are still to be seen. */
async function runSeed(
  scenario: Scenario,
  seed: number,
  stack: StackAddresses,
): Promise<ScenarioReport> {
  const startedMs = performance.now()
  try {
    return await scenario.run(seed, stack, 'LONG')
  } catch (error) {
    console.error(error)
    const said = error instanceof Error ? error.message : String(error)
    const seconds = Math.round((performance.now() - startedMs) / 100) / 10
    const counts = { attacks: {}, eventsWanted: 0, eventsGot: 0 }
    const problems = [`it did not come to its end: ${said}`]
    return { scenario: scenario.name, seed, seconds, ...counts, problems }
  }
}

process.exitCode = await main(process.argv.slice(2))
