// The table of W3 in docs/sinks.md, between its marks.
import { workersArePinned } from './cores.ts'
import { betweenMarks, machineText } from './document.ts'
import type { Measurement } from './measurement.ts'

/** Of docs/sinks.md; also the whole command, as parts of it are no table for readers. */
const W3_MARK = 'W3'

const PINNED = `The process of the sink has one core for itself (\`taskset\`); the benchmark,
and every server that it starts, has the others. Servers that were there before run anywhere.`
const NOT_PINNED = 'No core was kept free for the process of the sink.'

/** `before` with the table of these measurements in place of the one it has. */
export function w3Section(
  before: string,
  command: string,
  measurements: readonly Measurement[],
): string {
  if (!command.endsWith(W3_MARK)) return before
  const number = (value: number) => Math.round(value).toLocaleString('en')
  const rows = measurements.map((m) => {
    const cells = [
      m.what,
      number(m.records),
      number(m.recordsPerSecond),
      number(m.records / m.cpuSeconds),
      number(m.peakRssBytes / 2 ** 20),
    ]
    return `| ${cells.join(' | ')} |`
  })
  const [day = ''] = new Date().toISOString().split('T')
  const core = workersArePinned() ? PINNED : NOT_PINNED
  const text = `Written by \`${command}\` on ${day}; measured figures only, none is estimated.

| sink and load | records | records/s | records per CPU second | peak RSS MiB |
|---|---|---|---|---|
${rows.join('\n')}

${machineText()}
${core}`
  return betweenMarks(before, W3_MARK, text)
}
