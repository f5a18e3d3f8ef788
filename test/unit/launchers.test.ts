// The launchers: same end as the product's process, signals passed on, no orphan, no needless npm.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { waitFor } from '../support/wait-for.ts'

const RUN_TIMEOUT_MS = 30_000
const bin = resolve(import.meta.dirname, '../../bin')

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'exposure-bin-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

function script(text: string): string {
  const path = join(folder(), 'script.mjs')
  writeFileSync(path, text)
  return path
}

type Run = { code: number; stdout: string; stderr: string }

function run(args: string[], env: Record<string, string> = {}): Promise<Run> {
  return new Promise((done) => {
    const options = { timeout: RUN_TIMEOUT_MS, env: { ...process.env, ...env } }
    const child = execFile(process.execPath, args, options, (_error, stdout, stderr) =>
      done({ code: child.exitCode ?? -1, stdout, stderr }),
    )
  })
}

function launch(path: string) {
  const launcher = spawn(process.execPath, [join(bin, 'node24.mjs'), path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void launcher.kill('SIGKILL'))
  let said = ''
  launcher.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  return { launcher, said: () => said }
}

describe('the launcher', () => {
  it('runs TypeScript under Node 24 with the same arguments and exit code', async () => {
    const text = 'console.log(process.versions.node, ...process.argv.slice(2)); process.exit(3)'
    const { code, stdout } = await run([join(bin, 'node24.mjs'), script(text), 'a', '--b'])
    expect(code).toBe(3)
    expect(stdout).toMatch(/^(2[4-9]|[3-9]\d)\.\d+\.\d+ a --b\n$/)
  })

  it('passes SIGTERM on and ends with the code the process chose', async () => {
    const text = `process.on('SIGTERM', () => process.exit(42))
      setInterval(() => {}, 1000)
      console.log('up')`
    const { launcher, said } = launch(script(text))
    await waitFor(() => said() === 'up\n', { what: 'the process is up' })
    const ended = once(launcher, 'exit')
    launcher.kill('SIGTERM')
    expect(await ended).toEqual([42, null])
  })

  it('kills at the third signal a process that does not end', async () => {
    const text = `for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP']) {
        process.on(name, () => console.log(name))
      }
      setInterval(() => {}, 1000)
      console.log('up')`
    const { launcher, said } = launch(script(text))
    await waitFor(() => said() === 'up\n', { what: 'the process is up' })
    const ended = once(launcher, 'exit')
    launcher.kill('SIGTERM')
    await waitFor(() => said().endsWith('SIGTERM\n'), { what: 'the first signal has come' })
    launcher.kill('SIGINT')
    await waitFor(() => said().endsWith('SIGINT\n'), { what: 'the second signal has come' })
    launcher.kill('SIGHUP')
    expect(await ended).toEqual([137, null])
    expect(said()).toBe('up\nSIGTERM\nSIGINT\n')
  })

  it('kills a process that does not end in time after the first signal', async () => {
    const stuck = script(`process.on('SIGTERM', () => {})
      setInterval(() => {}, 1000)
      process.kill(process.ppid, 'SIGTERM')`)
    const text = `import { spawn } from 'node:child_process'
      import { follow } from ${JSON.stringify(join(bin, 'node24.mjs'))}
      const child = spawn(process.execPath, [${JSON.stringify(stuck)}])
      console.log(JSON.stringify(await follow(child, 'stuck', 50)))`
    const { stdout } = await run([script(text)])
    expect(JSON.parse(stdout)).toEqual({ code: null, signal: 'SIGKILL' })
  })

  it('that is killed leaves no orphan', async () => {
    const text = 'setInterval(() => {}, 1000); console.log(process.pid)'
    const { launcher, said } = launch(script(text))
    const pid = Number(await waitFor(() => /^\d+\n/.exec(said())?.[0], { what: 'a pid' }))
    launcher.kill('SIGKILL')
    await waitFor(() => !isAlive(pid), { what: 'the process has ended' })
  })

  it('refuses a Node that is too old in one sentence', async () => {
    const text = `import { requireLauncherNode } from ${JSON.stringify(join(bin, 'node24.mjs'))}
      requireLauncherNode('18.20.4')
      console.log('went on')`
    const { code, stdout, stderr } = await run([script(text)])
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(
      /^exposure-stream needs Node 20 or later, and this is Node 18\.20\.4\.\n$/,
    )
  })
})

describe('the installation', () => {
  const WANTED = {
    '': { version: '0.1.0' },
    'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' },
    'node_modules/b': { version: '2.0.0', integrity: 'sha512-b', dev: true },
    'node_modules/c': { version: '3.0.0', optional: true },
  }
  const [a, b] = [WANTED['node_modules/a'], WANTED['node_modules/b']]

  async function isInstalled(present: object | null, dev: boolean): Promise<boolean> {
    const home = folder()
    writeFileSync(join(home, 'package-lock.json'), JSON.stringify({ packages: WANTED }))
    mkdirSync(join(home, 'node_modules'))
    if (present !== null) {
      const file = join(home, 'node_modules/.package-lock.json')
      writeFileSync(file, JSON.stringify({ packages: present }))
    }
    const text = `import { isInstalled } from ${JSON.stringify(join(bin, 'prepare.mjs'))}
      console.log(isInstalled(${dev}, ${JSON.stringify(home)}))`
    return (await run([script(text)])).stdout === 'true\n'
  }

  it('counts as there when it has every package in its version', async () => {
    expect(await isInstalled({ 'node_modules/a': a, 'node_modules/b': b }, true)).toBe(true)
    expect(await isInstalled({ 'node_modules/a': a }, false)).toBe(true)
  })

  it('counts as missing without a package, with another version or other bytes', async () => {
    expect(await isInstalled(null, false)).toBe(false)
    expect(await isInstalled({ 'node_modules/a': a }, true)).toBe(false)
    const other = { ...a, version: '1.0.1' }
    expect(await isInstalled({ 'node_modules/a': other }, false)).toBe(false)
    const forged = { ...a, integrity: 'sha512-x' }
    expect(await isInstalled({ 'node_modules/a': forged }, false)).toBe(false)
  })
})

describe('the health check', () => {
  it('is well while the process turns, and ill when it stops or was never there', async () => {
    const file = join(folder(), 'heartbeat')
    const check = () => run([join(bin, 'health.mjs')], { EXPOSURE_HEARTBEAT_FILE: file })
    expect((await check()).code).toBe(1)
    const beating = { EXPOSURE_HEARTBEAT_FILE: file }
    await run([join(bin, 'node24.mjs'), script('')], beating)
    expect(await check()).toMatchObject({ code: 0, stderr: '' })
    const longAgo = new Date(Date.now() - 60_000)
    utimesSync(file, longAgo, longAgo)
    expect((await check()).stderr).toMatch(/^the last heartbeat was \d+ s ago\n$/)
  })
})

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
