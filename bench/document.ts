// A benchmark's table as a document: what was measured, on what, by which command.
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os'
import type { Measurement } from './measurement.ts'

/** Markdown. `loadavg` tells of what else the machine did meanwhile. */
export function documentOf(
  says: string,
  note: string,
  command: string,
  measurements: readonly Measurement[],
): string {
  const gib = (totalmem() / 2 ** 30).toFixed(0)
  const cpu = cpus()[0]?.model ?? 'unknown'
  const load = loadavg()[2]?.toFixed(1)
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

Node ${process.version}, ${availableParallelism()} cores (${cpu}), ${gib} GiB; load average of
the last 15 minutes when it ended: ${load}. Seconds are what a clock on the wall says, so other work
on the machine is in them; CPU seconds are the process's own. Peak RSS is that of the process from
its start until the end of the row.

${note}
`
}
