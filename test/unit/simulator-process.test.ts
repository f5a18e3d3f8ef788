// The simulator over HTTP and as a process: control, counts, files, and an orderly end.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, it, onTestFinished } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import { startSimulator } from '../../simulator/simulator.ts'
import {
  ask,
  askCortex,
  askHosts,
  listEndpoints,
  logIn,
  runSimulator,
  startXql,
  xqlResult,
} from '../support/simulator.ts'

/** On a slow machine a condition may come late. */
const PATIENCE = { timeout: 30_000 }
const MAIN = resolve(import.meta.dirname, '../../simulator/main.ts')
const post = (url: string, value: unknown) =>
  ask(url, { method: 'POST', body: JSON.stringify(value) })

describe('control', () => {
  it('serves truth, evolution and counts', async () => {
    const simulator = await runSimulator()
    const { controlUrl } = simulator
    expect(JSON.parse((await ask(`${controlUrl}/truth`)).text)).toEqual(simulator.truth())
    expect(JSON.parse((await post(`${controlUrl}/evolve`, { steps: 2 })).text)).toEqual({ step: 2 })
    expect(simulator.truth().step).toBe(2)
    await listEndpoints(simulator.cortex[0])
    const { sites } = JSON.parse((await ask(`${controlUrl}/stats`)).text)
    expect(sites).toEqual(simulator.stats().sites)
    expect(sites[1].endpoints['xdr.endpoints']).toEqual({ requests: 1, byStatus: { 200: 1 } })
  })

  it('sets faults, named errors too, and clears them', async () => {
    const simulator = await runSimulator()
    const url = `${simulator.controlUrl}/faults`
    const status = async () =>
      (await askCortex(simulator.cortex[0], 'endpoints/get_endpoint')).status
    await post(url, { vendor: 'cortex', kind: 'status', answer: 'forbidden', times: 'forever' })
    expect(await status()).toBe(403)
    expect(JSON.parse((await ask(url)).text)).toHaveLength(1)
    expect((await ask(url, { method: 'DELETE' })).status).toBe(200)
    expect(await status()).toBe(200)
    await post(url, { vendor: 'cortex', provoke: 'AUTHORIZATION_FAILURE' })
    expect(await status()).toBe(401)
  })

  it('refuses what is no fault', async () => {
    const { controlUrl, faults } = await runSimulator()
    const reply = await post(`${controlUrl}/faults`, { vendor: 'cortex', kind: 'fire' })
    expect(reply.status).toBe(400)
    expect((await post(`${controlUrl}/evolve`, { steps: 0 })).status).toBe(400)
    expect((await ask(`${controlUrl}/nothing`)).status).toBe(404)
    expect(faults.list()).toEqual([])
  })
})

describe('counts', () => {
  it('tell the most requests at once and within a second', async () => {
    const simulator = await runSimulator()
    simulator.faults.set({ vendor: 'cortex', kind: 'slow', delayMs: 600_000, times: 3 })
    const [tenant] = simulator.cortex
    const waiting = [1, 2, 3].map(() => askCortex(tenant, 'xql/get_quota').catch(() => null))
    const stats = () => simulator.stats().sites[1]
    await expect.poll(() => stats()?.concurrencyMax, PATIENCE).toBe(3)
    expect(stats()?.perSecondMax).toBeGreaterThanOrEqual(1)
    await simulator.stop()
    expect(await Promise.all(waiting)).toEqual([null, null, null])
  })
})

describe('files', () => {
  const folder = () => {
    const path = mkdtempSync(join(tmpdir(), 'simulator-'))
    onTestFinished(() => rmSync(path, { recursive: true }))
    return path
  }
  const ODD =
    '{ "_id":"odd \\u00e9 \\"[{",  "cvss": 1.50, "big": 12345678901234567890,"l":[1,[2]] }'

  it('serve the very bytes of their elements, and hide the truth of the stream', async () => {
    const path = join(folder(), 'hosts.json')
    writeFileSync(path, `[ ${ODD} ,\n {"_id":"two"} ]`)
    const simulator = await runSimulator({ files: { 'compute.hosts': path } })
    const reply = await askHosts(simulator, await logIn(simulator), 'limit=50')
    expect(reply.text).toBe(`[${ODD},{"_id":"two"}]\n`)
    expect(reply.headers['total-count']).toBe('2')
    const streams = new Set(simulator.truth().assets.map((a) => a.stream))
    expect(streams.has('compute.hosts')).toBe(false)
    expect(streams.has('xdr.endpoints')).toBe(true)
  })

  it('are found inside answers and exports, and are filtered but not rewritten', async () => {
    const path = join(folder(), 'rows.json')
    const row = (id: string, active: boolean) =>
      `{"xdm.finding.id": "${id}",  "xdm.finding.is_active": ${active}}`
    writeFileSync(path, `{"README": "]", "findings": [${row('b', true)}, ${row('a', false)}]}`)
    const endpoints = join(folder(), 'endpoints.json')
    writeFileSync(
      endpoints,
      '{"reply": {"total": {"a": [1]}, "endpoints": [{"endpoint_id": "1"}]}}',
    )
    const files = { 'cloud.findings': path, 'xdr.endpoints': endpoints }
    const { cortex } = await runSimulator({ files })
    const query = 'dataset = findings | filter xdm.finding.is_active = true | fields xdm.finding.id'
    const query_id = await startXql(cortex[0], query)
    expect((await xqlResult(cortex[0], query_id)).number_of_results).toBe(1)
    const result = await askCortex(cortex[0], 'xql/get_query_results', { query_id })
    expect(result.text).toContain(`"data":[${row('b', true)}]`)
    const listed = await askCortex(cortex[1], 'endpoints/get_endpoint')
    expect(listed.text).toContain('"endpoints":[{"endpoint_id": "1"}]')
  })

  it('are refused by name when they cannot be used', async () => {
    const path = join(folder(), 'wrong.json')
    writeFileSync(path, '{"rows": 1}')
    const wrong = { seed: 1, machines: 1, files: { 'cloud.assets': path } }
    await expect(startSimulator(wrong)).rejects.toThrow(/cloud\.assets holds no array/)
    await expect(startSimulator({ seed: 1, machines: -1 })).rejects.toThrow(PipelineError)
  })
})

describe('process', () => {
  const start = async (...args: string[]) => {
    const child = spawn(process.execPath, [MAIN, '--machines', '5', ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    const exited = once(child, 'exit')
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
    return { child, exited, addresses: JSON.parse(line) }
  }

  it('says in one line of JSON where it listens, and stops on SIGTERM', async () => {
    const { child, exited, addresses } = await start('--seed', '4')
    const truth = JSON.parse((await ask(`${addresses.controlUrl}/truth`)).text)
    expect(truth).toEqual((await runSimulator({ seed: 4, machines: 5 })).truth())
    expect(addresses.prisma.secretKey).toMatch(/^simulated-/)
    expect(await listEndpoints(addresses.cortex[1])).toHaveLength(1)
    child.kill('SIGTERM')
    expect(await exited).toEqual([0, null])
  })

  it('stops with its parent when asked to', async () => {
    const { child, exited } = await start('--with-parent')
    child.stdin.end()
    expect(await exited).toEqual([0, null])
  })
})
