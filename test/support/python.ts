// A Python with what test/python needs: the one given by the environment, else one made once.
import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const ROOT = join(import.meta.dirname, '../..')
const REQUIREMENTS = join(ROOT, 'test/python/requirements.txt')
const VENV = join(ROOT, '.exposure/venv')
const PROBE = 'import confluent_kafka, fastavro'
const PROBE_TIMEOUT_MS = 20_000
const INSTALL_TIMEOUT_MS = 170_000
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024

/**
 * The path of a python that can import confluent_kafka and fastavro: EXPOSURE_PYTHON, else one in
 * .exposure/venv, made from test/python/requirements.txt when it is missing or out of date.
 * @throws Error saying what to install
 */
export async function python(): Promise<string> {
  const given = process.env['EXPOSURE_PYTHON']
  if (given !== undefined && given !== '' && (await works(given))) return given
  const own = join(VENV, 'bin/python')
  const stamp = join(VENV, 'requirements.txt')
  const wanted = readFileSync(REQUIREMENTS, 'utf8')
  if (textOf(stamp) === wanted && (await works(own))) return own
  try {
    await run('python3', ['-m', 'venv', VENV], { timeout: INSTALL_TIMEOUT_MS })
    const install = ['-m', 'pip', 'install', '--quiet', '-r', REQUIREMENTS]
    await run(own, install, { timeout: INSTALL_TIMEOUT_MS })
  } catch (cause) {
    const message = 'no Python for test/python: install python3 and python3-venv, or set '
    throw new Error(
      `${message}EXPOSURE_PYTHON to one with ${wanted.trim().split('\n').join(', ')}`,
      {
        cause,
      },
    )
  }
  writeFileSync(stamp, wanted)
  return own
}

/** The lines that a script of test/python prints. @throws Error with what it says on stderr */
export async function runPython(
  script: string,
  args: readonly string[],
  timeoutMs: number,
): Promise<string[]> {
  const file = join(ROOT, 'test/python', script)
  const options = { timeout: timeoutMs, maxBuffer: OUTPUT_BYTES_MAX }
  const { stdout } = await run(await python(), [file, ...args], options)
  return stdout.split('\n').filter((line) => line !== '')
}

async function works(path: string): Promise<boolean> {
  try {
    await run(path, ['-c', PROBE], { timeout: PROBE_TIMEOUT_MS })
    return true
  } catch {
    return false
  }
}

function textOf(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}
