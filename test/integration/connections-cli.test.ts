// `exposure connections`: defined, listed, paused, resumed and removed while producers run.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { parse, stringify } from 'yaml'
import type { Asset } from '../../contracts/asset.ts'
import { controlOf } from '../../contracts/envelope.ts'
import type { Run } from '../../contracts/run.ts'
import { type Product, startProduct } from '../support/product.ts'
import { waitFor } from '../support/wait-for.ts'

const TEST_TIMEOUT_MS = 300_000
const WAIT_MS = 90_000

const streams = ['compute.hosts']
const simulator = { machines: 8 }

/** `exposure run STAGE ...` until the test ends. */
function running(product: Product, ...stages: readonly string[]): ChildProcess {
  const main = new URL('../../cli/main.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [main, 'run', ...stages, '--config', product.configFile], {
    env: { ...process.env, ...product.secrets, NODE_OPTIONS: '' },
    stdio: 'ignore',
  })
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
  return child
}

async function prepared(connection: object) {
  const product = await startProduct({ simulator, connections: ['prisma'], streams, connection })
  for (const words of ['topics apply', 'schemas apply']) {
    expect((await product.exposure(words.split(' '))).code).toBe(0)
  }
  const said = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await product.exposure(['connections', ...args])
    expect({ args, code, said: stderr }).toMatchObject({ code: 0 })
    return stdout
  }
  const runs = async (phase: Run['phase']) =>
    (await product.events<Run>('runs')).filter((run) => run.phase === phase)
  return { product, said, runs }
}

const statuses = async (product: Product): Promise<Set<string>> => {
  const last = new Map(
    (await product.events<Asset>('assets')).map((asset) => [asset.asset_uid, asset.status]),
  )
  return new Set(last.values())
}

describe('exposure connections', { timeout: TEST_TIMEOUT_MS }, () => {
  it('defines, lists, pauses and resumes what producers poll', async () => {
    const { product, said, runs } = await prepared({ every: '1s' })
    expect(await said('list')).toContain('no connections')
    expect(await said('apply')).toContain('connections: 1 written, 0 as before')
    expect(await said('apply')).toContain('connections: 0 written, 1 as before')
    const [record] = await product.records('connections')
    // References, never what they stand for.
    expect(String(record?.value)).toContain('env:PRISMA_SECRET')
    expect(String(record?.value)).not.toContain(product.secrets['PRISMA_SECRET'])
    expect(await said('list')).toMatch(
      /^prisma {2}prisma-cloud {2}127\.0\.0\.1:\d+ {2}active, nobody polls\n +\S+ +no run yet\n$/,
    )
    running(product, 'producers')
    const fetched = async () => (await runs('FETCHED')).length
    await waitFor(async () => (await fetched()) > 1, { what: 'runs', timeoutMs: WAIT_MS })
    expect(await said('list')).toMatch(
      /active, polled by \S+ \(\w+\)\n {2}compute\.hosts +COMPLETE, \d+ u/,
    )

    expect(await said('pause', 'prisma')).toContain('prisma is paused')
    expect(await said('list')).toContain('  paused\n')
    expect(await said('apply')).toContain('0 written, 1 as before')
    // Two ends of the raw topic apart by more than a turn: nothing moves.
    await waitFor(
      async () => {
        const before = (await product.records('rawPrismaCloud')).length
        expect(await said('list')).toContain('  paused\n')
        return (await product.records('rawPrismaCloud')).length === before
      },
      { what: 'polling stops', timeoutMs: WAIT_MS },
    )
    const paused = await fetched()
    expect(await said('resume', 'prisma')).toContain('prisma is polled again')
    await waitFor(async () => (await fetched()) > paused, { what: 'runs', timeoutMs: WAIT_MS })
    const unknown = await product.exposure(['connections', 'pause', 'nobody'])
    expect([unknown.code, unknown.stderr]).toEqual([
      1,
      'exposure: there is no connection nobody\n  next step: There is: prisma.\n',
    ])
  })

  it.each([
    ['--close', /prisma is removed; [1-9]\d* assets and findings were closed/, ['GONE']],
    ['--keep', /prisma is removed; what it showed stays/, ['ACTIVE']],
  ])('removes one with %s while it is polled', async (option, sentence, left) => {
    const { product, said, runs } = await prepared({ every: '1s' })
    running(product, 'producers', 'transformers')
    await waitFor(async () => (await runs('FINISHED')).length > 1, {
      what: 'runs',
      timeoutMs: WAIT_MS,
    })
    expect(await statuses(product)).toEqual(new Set(['ACTIVE']))
    const out = await said('remove', 'prisma', option)
    expect(out).toMatch(sentence)
    expect(out).toContain('it still stands in exposure.yaml')
    expect(await statuses(product)).toEqual(new Set(left))
    expect(await said('list')).toContain('no connections')
    expect((await product.records('checkpoints')).at(-1)?.value).toBeNull()
    // Nothing of a poll came after the order.
    const raw = await product.records('rawPrismaCloud')
    for (const { partition, offset, headers } of raw) {
      if (controlOf(headers) !== 'remove') continue
      const after = raw.filter((one) => one.partition === partition && one.offset > offset)
      expect(after).toEqual([])
    }
    const again = await product.exposure(['connections', 'remove', 'prisma', option])
    expect([again.code, again.stderr]).toEqual([1, expect.stringContaining('no connection prisma')])
  })

  it('shares what several files define, and moves what changes its host', async () => {
    const { product, said } = await prepared({})
    await said('apply')
    const document = parse(await readFile(product.configFile, 'utf8')) as {
      connections: { name: string; url: string }[]
    }
    const [prisma] = document.connections
    const other = { ...prisma, name: 'other', url: 'https://other.example' }
    await writeFile(product.configFile, stringify({ ...document, connections: [other] }))
    const out = await said('apply')
    expect(out).toContain('written other')
    expect(out).toContain('prisma is not in the file and stays')
    const moved = { ...other, url: 'https://moved-11.example' }
    await writeFile(product.configFile, stringify({ ...document, connections: [moved] }))
    await said('apply')
    const list = await said('list')
    expect(list.match(/^other /gm)).toHaveLength(1)
    expect(list).toContain('other  prisma-cloud  moved-11.example')
  })
})
