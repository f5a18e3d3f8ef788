// A benchmark's table as a document: what was measured, on what, by which command.
import { cpus, loadavg, totalmem } from 'node:os'
import type { Measurement } from './measurement.ts'

/** Two lines: the machine, and by `loadavg` what else it did meanwhile. */
export function machineText(): string {
  const gib = (totalmem() / 2 ** 30).toFixed(0)
  const cpu = cpus()[0]?.model ?? 'unknown'
  const load = loadavg()[2]?.toFixed(1)
  return `Node ${process.version}, ${cpus().length} cores (${cpu}), ${gib} GiB; load average of
the last 15 minutes when it ended: ${load}.`
}

/** `text` with what is between the marks of `name` replaced. @throws Error when it has no marks */
export function betweenMarks(text: string, name: string, section: string): string {
  const [begin, end] = [`<!-- begin ${name} -->`, `<!-- end ${name} -->`]
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`the document has no place for ${name}`)
  return `${text.slice(0, from)}${begin}\n${section}\n${text.slice(to)}`
}

/** A document of its own. */
export function documentOf(
  says: string,
  note: string,
  command: string,
  measurements: readonly Measurement[],
): string {
  const rows = measurements.map((m) => {
    const cells = [
      m.what,
      m.seconds.toFixed(2),
      m.cpuSeconds.toFixed(2),
      Math.round(m.recordsPerSecond).toLocaleString('en'),
      String(Math.round(m.peakRssBytes / 2 ** 20)),
    ]
    return `| ${cells.join(' | ')} |`
  })
  return `# Measured: ${says}

Written by \`${command}\`; measured figures only, none is estimated.

| what | seconds | CPU seconds | records/s | peak RSS MiB so far |
|---|---|---|---|---|
${rows.join('\n')}

${machineText()} Seconds are what a clock on the wall says, so other work
on the machine is in them; CPU seconds are the process's own. Peak RSS is that of the process from
its start until the end of the row.

${note}
`
}
