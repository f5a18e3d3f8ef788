// The simulator as a process: `node bin/node24.mjs simulator/main.ts --seed 1`.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { PipelineError } from '../contracts/errors.ts'
import { startSimulator } from './simulator.ts'
import { STREAMS } from './truth.ts'

const USAGE = `usage: node bin/node24.mjs simulator/main.ts [options]
  --seed N             the same seed gives the same estate (1)
  --machines N         size of the estate (50)
  --prisma-port N      port of Prisma Cloud (a free one)
  --cortex-ports N,N   ports of the two Cortex tenants (free ones)
  --control-port N     port of the control server (a free one)
  --files DIR          serve <stream>.json of DIR, e.g. compute.hosts.json, instead of the estate
  --no-rate-limits     without the vendors' limits
  --with-parent        stop when standard input closes
`

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    machines: { type: 'string', default: '50' },
    'prisma-port': { type: 'string', default: '0' },
    'cortex-ports': { type: 'string', default: '0,0' },
    'control-port': { type: 'string', default: '0' },
    files: { type: 'string' },
    'no-rate-limits': { type: 'boolean', default: false },
    'with-parent': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  process.stdout.write(USAGE)
} else {
  await run()
}

async function run(): Promise<void> {
  const [first = '0', second = '0'] = values['cortex-ports'].split(',')
  const simulator = await startSimulator({
    seed: whole('seed', values.seed),
    machines: whole('machines', values.machines),
    prismaPort: whole('prisma-port', values['prisma-port']),
    cortexPorts: [whole('cortex-ports', first), whole('cortex-ports', second)],
    controlPort: whole('control-port', values['control-port']),
    files: values.files === undefined ? {} : filesIn(values.files),
    rateLimits: !values['no-rate-limits'],
  })
  const { prisma, cortex, controlUrl } = simulator
  process.stdout.write(`${JSON.stringify({ prisma, cortex, controlUrl })}\n`)
  let stopping = false
  const stop = () => {
    if (stopping) return
    stopping = true
    process.stdin.destroy()
    void simulator.stop()
  }
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
  if (values['with-parent']) process.stdin.once('close', stop).once('end', stop).resume()
}

function whole(name: string, text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new PipelineError('CONFIGURATION', 'CONFIG', `--${name} must be a whole number`)
}

function filesIn(folder: string): Record<string, string> {
  const present = STREAMS.map((stream) => [stream, join(folder, `${stream}.json`)] as const)
  return Object.fromEntries(present.filter(([, path]) => existsSync(path)))
}
