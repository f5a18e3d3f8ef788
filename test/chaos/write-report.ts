// Writes what was measured into docs/reliability.md, between the marks of each scenario.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Scenario, ScenarioReport } from './scenario.ts'

const FILE = resolve(import.meta.dirname, '../../docs/reliability.md')
const HEAD = `# Reliability

What attacks on the whole pipeline have shown, written by \`npm run chaos\`: only what was
measured, with the command that measured it. Every seed has a prefix of its own, and what it leaves
is compared with the truth of the simulator over its whole history. One seed again:
\`npm run chaos -- --scenario NAME --seed K\`.
`

const markOf = (name: string, side: 'begin' | 'end'): string => `<!-- ${side} ${name} -->`

/** Replaces the section of the scenario, or adds one at the end. */
export function writeReport(
  scenario: Scenario,
  command: string,
  reports: readonly ScenarioReport[],
): string {
  const text = existsSync(FILE) ? readFileSync(FILE, 'utf8') : HEAD
  const [begin, end] = [markOf(scenario.name, 'begin'), markOf(scenario.name, 'end')]
  const section = `${begin}\n${sectionOf(scenario, command, reports)}\n${end}`
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  const written =
    from < 0 || to < from
      ? `${text.trimEnd()}\n\n${section}\n`
      : text.slice(0, from) + section + text.slice(to + end.length)
  writeFileSync(FILE, written)
  return FILE
}

function sectionOf(
  { name, says }: Scenario,
  command: string,
  reports: readonly ScenarioReport[],
): string {
  const good = reports.filter(({ problems }) => problems.length === 0)
  const sum = (of: (report: ScenarioReport) => number) => reports.reduce((n, r) => n + of(r), 0)
  const rows: [string, string | number][] = [
    ['seeds', `${reports.length}, of which ${good.length} without one broken promise`],
    ['seeds by number', reports.map(({ seed }) => seed).join(' ')],
    ...attacksOf(reports),
    ...takeOversOf(reports),
    ['events wanted, got', `${sum((r) => r.eventsWanted)}, ${sum((r) => r.eventsGot)}`],
    ['seconds of all seeds', Math.round(sum((r) => r.seconds))],
    ['seconds of the longest', Math.max(0, ...reports.map(({ seconds }) => seconds))],
  ]
  const broken = reports.flatMap(({ seed, problems }) =>
    problems.map((problem) => `- seed ${seed}: ${problem}`),
  )
  return [
    `## ${name}`,
    '',
    `${says}.`,
    '',
    '```',
    command,
    '```',
    '',
    '| what | measured |',
    '|---|---|',
    ...rows.map(([what, value]) => `| ${what} | ${value} |`),
    ...(broken.length === 0 ? [] : ['', ...broken]),
  ].join('\n')
}

/** Only where every seed has counted them. */
function takeOversOf(reports: readonly ScenarioReport[]): [string, number][] {
  const counts = reports.flatMap(({ takeOvers }) => takeOvers ?? [])
  if (counts.length < reports.length) return []
  return [['take-overs', counts.reduce((sum, count) => sum + count, 0)]]
}

function attacksOf(reports: readonly ScenarioReport[]): [string, number][] {
  const names = [...new Set(reports.flatMap(({ attacks }) => Object.keys(attacks)))]
  return names.flatMap((name): [string, number][] => {
    const count = reports.reduce((sum, { attacks }) => sum + (attacks[name] ?? 0), 0)
    return count === 0 ? [] : [[`attacks: ${name}`, count]]
  })
}
