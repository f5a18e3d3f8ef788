// The command line's words, signals and output, without any of the product's parts.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { aborted, repeatedSignal } from '../../cli/command.ts'
import packageJson from '../../package.json' with { type: 'json' }

const MAIN = resolve(import.meta.dirname, '../../cli/main.ts')

function start(...args: string[]) {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const ended = once(child, 'close').then(([code]) => ({ code: code as unknown, stdout, stderr }))
  return { child, ended }
}

describe('a stop signal', () => {
  it('that came before is not waited for', async () => {
    const controller = new AbortController()
    const later = aborted(controller.signal)
    controller.abort()
    await later
    await aborted(controller.signal)
  })

  it('counts once within a second, and a signal of another name for itself', () => {
    let nowMs = 5_000
    const isRepeated = repeatedSignal(() => nowMs)
    expect(isRepeated('SIGINT')).toBe(false)
    nowMs += 999
    expect(isRepeated('SIGINT')).toBe(true)
    expect(isRepeated('SIGTERM')).toBe(false)
    nowMs += 1_000
    expect(isRepeated('SIGTERM')).toBe(false)
  })
})

describe('the command', () => {
  it('tells its version', async () => {
    const told = { code: 0, stdout: `${packageJson.version}\n`, stderr: '' }
    expect(await start('--version').ended).toEqual(told)
  })

  it('explains a first word that several commands could share', async () => {
    const { code, stdout } = await start('topics', '--help').ended
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^exposure topics apply /)])
    expect((await start('help').ended).stdout).toContain('exposure COMMAND')
  })

  it('ends quietly when nobody reads any more', async () => {
    const { child, ended } = start('simulate', 'list')
    child.stdout.destroy()
    expect(await ended).toMatchObject({ code: 0, stderr: '' })
  })
})
