// `exposure simulate`: the scenarios explained, and a simulator with one of them set.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { resolve } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { SCENARIOS } from '../../simulator/scenarios.ts'
import { ask } from '../support/simulator.ts'

const RUN_TIMEOUT_MS = 50_000
const main = resolve(import.meta.dirname, '../../cli/main.ts')

type Ran = { readonly code: number | null; readonly stdout: string; readonly stderr: string }
const run = (...args: string[]): Promise<Ran> =>
  new Promise((done) => {
    const all = [main, 'simulate', ...args]
    const child = execFile(process.execPath, all, { timeout: RUN_TIMEOUT_MS }, (_e, out, err) =>
      done({ code: child.exitCode, stdout: out, stderr: err }),
    )
  })

describe('exposure simulate', () => {
  it('list explains every scenario and names the streams it concerns', async () => {
    const { code, stdout } = await run('list')
    expect(code).toBe(0)
    for (const { name, explanation } of SCENARIOS) {
      expect(stdout).toContain(`${name}\n  ${explanation}\n`)
    }
    expect(stdout).toContain('QUOTA_EXHAUSTED told: cloud.findings')
  })

  it('refuses a scenario and a number that there are not', async () => {
    const unknown = await run('--scenario', 'no-such')
    expect([unknown.code, unknown.stderr]).toEqual([
      2,
      expect.stringContaining('no scenario "no-such"'),
    ])
    expect((await run('--estate', 'many')).code).toBe(2)
  })

  it('runs with the faults of the scenario until it is told to stop', async () => {
    const args = [main, 'simulate', '--estate', '20', '--scenario', 'html-200']
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    const ended = once(child, 'exit')
    const lines = once(createInterface({ input: child.stdout }), 'line')
    const [line] = await Promise.race([lines, ended])
    const said = JSON.parse(String(line)) as {
      controlUrl: string
      scenario: string
      cortex: unknown[]
    }
    expect([said.scenario, said.cortex.length]).toEqual(['html-200', 2])
    const faults = JSON.parse((await ask(`${said.controlUrl}/faults`)).text) as unknown[]
    expect(faults).toContainEqual(
      expect.objectContaining({ endpoint: 'compute.hosts', answer: 'html-ok' }),
    )
    child.kill('SIGTERM')
    expect(await ended).toEqual([0, null])
  })
})
