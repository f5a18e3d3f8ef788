// `exposure simulate`: both vendors on this machine, with something going wrong by name.
import { factsOfStream } from '../simulator/scenario-streams.ts'
import {
  SCENARIOS,
  type Scenario,
  faultsOf,
  scenarioNamed,
  streamsOf,
} from '../simulator/scenarios.ts'
import { type Simulator, startSimulator } from '../simulator/simulator.ts'
import { UsageError, aborted, parse, stopSignal } from './command.ts'

const MACHINES_DEFAULT = 10_000
const NUMBER_MAX = 200_000

/** Runs until SIGINT or SIGTERM; prints one line of JSON with addresses and made-up keys. */
export async function simulate(args: readonly string[]): Promise<number> {
  const options = {
    estate: { type: 'string', default: String(MACHINES_DEFAULT) },
    scenario: { type: 'string' },
    seed: { type: 'string', default: '1' },
  } as const
  const { values, positionals } = parse(args, options, 1)
  const [word] = positionals
  if (word === 'list') return list()
  if (word !== undefined) throw new UsageError(`simulate takes "list" or nothing, not "${word}"`)
  const scenario = values.scenario === undefined ? null : named(values.scenario)
  const signal = stopSignal()
  const simulator = await startSimulator({
    seed: whole('seed', values.seed),
    machines: whole('estate', values.estate),
    ...scenario?.options,
  })
  try {
    if (scenario !== null) simulator.faults.set(...faultsOf(scenario))
    announce(simulator, scenario)
    await aborted(signal)
  } finally {
    await simulator.stop()
  }
  return 0
}

function announce({ prisma, cortex, controlUrl }: Simulator, scenario: Scenario | null): void {
  const name = scenario?.name ?? null
  console.log(JSON.stringify({ prisma, cortex, controlUrl, scenario: name }))
  if (scenario !== null) console.error(`${scenario.name}: ${scenario.explanation}`)
  console.error('SIGINT or SIGTERM ends it')
}

function list(): number {
  for (const scenario of SCENARIOS) {
    console.log(`${scenario.name}\n  ${scenario.explanation}`)
    for (const [ending, streams] of byEnding(scenario)) {
      console.log(`  ${ending}: ${streams.join(', ')}`)
    }
  }
  return 0
}

/** The streams that can meet it, by how they end. */
function byEnding(scenario: Scenario): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const stream of streamsOf(scenario)) {
    const { verdicts, published, told } = scenario.ending(factsOfStream(stream))
    const said = told === null ? 'nothing told' : `${told} told`
    const text = `${verdicts.join(' or ')}, ${published} published, ${said}`
    found.set(text, [...(found.get(text) ?? []), stream])
  }
  return found
}

function named(name: string): Scenario {
  const scenario = scenarioNamed(name)
  if (scenario !== undefined) return scenario
  throw new UsageError(`no scenario "${name}": exposure simulate list`)
}

function whole(name: string, text: string): number {
  const number = /^\d{1,6}$/.test(text) ? Number(text) : Infinity
  if (number <= NUMBER_MAX) return number
  throw new UsageError(`--${name} takes a whole number up to ${NUMBER_MAX}`)
}
