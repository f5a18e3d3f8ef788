// Compute's listings beside hosts: what they show is the truth, step after step.
import { describe, expect, it } from 'vitest'
import type { Simulator } from '../../simulator/simulator.ts'
import { type StreamName, STREAMS } from '../../simulator/truth.ts'
import { ask, logIn, runSimulator } from '../support/simulator.ts'

type Row = Record<string, unknown>
const PATHS: Partial<Record<StreamName, string>> = {
  'compute.images': 'images',
  'compute.registry': 'registry',
  'compute.vms': 'vms',
  'compute.serverless': 'serverless',
  'compute.containers': 'containers',
  'compute.cloud-vms': 'cloud/discovery/vms',
}
const KINDS: Partial<Record<StreamName, string>> = {
  'compute.images': 'image',
  'compute.registry': 'image',
  'compute.vms': 'vm',
  'compute.serverless': 'function',
  'compute.containers': 'container',
  'compute.cloud-vms': 'cloud-vm',
}
const NEW_STREAMS = STREAMS.filter((stream) => PATHS[stream] !== undefined)
const baseOf = ({ prisma }: Simulator) => `${prisma.url}/us-sim-1/api/v1`

/** All rows of a listing, page by page until `null`. */
async function list(simulator: Simulator, path: string): Promise<Row[]> {
  const headers = { 'x-redlock-auth': await logIn(simulator) }
  const rows: Row[] = []
  for (let page = 0; page < 100; page += 1) {
    const query = `limit=50&offset=${rows.length}&normalizedSeverity=true`
    const reply = await ask(`${baseOf(simulator)}/${path}?${query}`, { headers })
    const found = JSON.parse(reply.text) as Row[] | null
    if (found === null) {
      expect(reply.headers['total-count']).toBe(String(rows.length))
      return rows
    }
    rows.push(...found)
  }
  throw new Error(`more than 100 pages of ${path}`)
}

const sorted = (texts: Iterable<string>) => [...texts].toSorted()
const idsOf = (stream: StreamName, rows: readonly Row[]) =>
  sorted(rows.map((row) => `${KINDS[stream]}|${String(row['_id'])}`))
const findingsOf = (stream: StreamName, rows: readonly Row[]) =>
  sorted(
    new Set(
      rows.flatMap((row) =>
        ((row['vulnerabilities'] ?? []) as Row[]).map((v) =>
          [`${KINDS[stream]}|${String(row['_id'])}`, v['cve'], v['packageName']].join(' '),
        ),
      ),
    ),
  )

describe('the listings of Compute', () => {
  it.each(NEW_STREAMS)('show in %s what is true, step after step', async (stream) => {
    const simulator = await runSimulator({ machines: 120, seed: 5 })
    for (let step = 0; step < 3; step += 1) {
      const { assets, findings } = simulator.truth()
      const isTold = (of: { stream: string; alsoIn?: readonly string[] }) =>
        of.stream === stream || of.alsoIn?.includes(stream) === true
      const rows = await list(simulator, PATHS[stream] ?? '')
      expect(rows.length).toBeGreaterThan(3)
      expect(idsOf(stream, rows)).toEqual(sorted(assets.filter(isTold).map((a) => a.nativeId)))
      expect(findingsOf(stream, rows)).toEqual(
        sorted(
          findings.filter(isTold).map((f) => [f.assetNativeId, f.vulnId, f.packageName].join(' ')),
        ),
      )
      simulator.evolve(3)
    }
  })

  it('change a little from step to step', async () => {
    const simulator = await runSimulator({ machines: 60 })
    const told = () =>
      new Set(
        simulator
          .truth()
          .assets.filter((a) => PATHS[a.stream] !== undefined)
          .map((a) => a.nativeId),
      )
    const before = told()
    const open = simulator.truth().findings.filter((f) => f.stream === 'compute.images').length
    simulator.evolve(4)
    const after = told()
    const kept = before.intersection(after).size
    expect(kept).toBeGreaterThan(before.size * 0.8)
    expect(after.difference(before).size).toBeGreaterThan(0)
    expect(before.difference(after).size).toBeGreaterThan(0)
    expect(open).toBeGreaterThan(10)
  })

  it('show an image that is deployed and in the registry in both, with one id', async () => {
    const simulator = await runSimulator({ machines: 60 })
    const images = await list(simulator, 'images')
    const registry = await list(simulator, 'registry')
    const both = new Set(images.map((i) => i['_id'])).intersection(
      new Set(registry.map((i) => i['_id'])),
    )
    expect(both.size).toBeGreaterThan(2)
    expect(registry.length).toBeGreaterThan(both.size)
    expect(images.length).toBeGreaterThan(both.size)
  })

  it('take the key as user and password', async () => {
    const simulator = await runSimulator()
    const { accessKeyId, secretKey } = simulator.prisma
    const status = async (credentials: string) => {
      const authorization = `Basic ${Buffer.from(credentials).toString('base64')}`
      return (await ask(`${baseOf(simulator)}/images`, { headers: { authorization } })).status
    }
    expect(await status(`${accessKeyId}:${secretKey}`)).toBe(200)
    expect(await status(`${accessKeyId}:wrong`)).toBe(401)
  })

  it('have a limit each: the 31st request for one listing says nothing of another', async () => {
    const simulator = await runSimulator({ rateLimits: true, clock: () => 1_750_000_000_000 })
    const headers = { 'x-redlock-auth': await logIn(simulator) }
    const status = async (path: string) =>
      (await ask(`${baseOf(simulator)}/${path}?limit=1`, { headers })).status
    for (let n = 0; n < 30; n += 1) expect(await status('images')).toBe(200)
    expect(await status('images')).toBe(429)
    expect(await status('containers')).toBe(200)
  })
})
