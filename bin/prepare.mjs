// Installs the dependencies where they are missing or not those of package-lock.json.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { exitCodeOf, findNode24, follow, quit, requireLauncherNode, root } from './node24.mjs'

const INSTALL_TIMEOUT_MS = 15 * 60_000

/** Makes the dependencies ready, if asked those for development too; else ends the process. */
export async function prepare({ dev }) {
  requireLauncherNode()
  if (isInstalled(dev) && findNode24() !== null) return
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error', ...(dev ? [] : ['--omit=dev'])]
  process.stderr.write(`installing the dependencies once (npm ${args.join(' ')})\n`)
  // npm names itself to its scripts; on its own the command may be another npm than the user's.
  const npm = process.env.npm_execpath
  const [command, first] = npm?.endsWith('.js') ? [process.execPath, [npm]] : ['npm', []]
  const child = spawn(command, [...first, ...args], {
    cwd: root,
    // Standard output is for the answer of what was asked for.
    stdio: ['ignore', 2, 2],
    timeout: INSTALL_TIMEOUT_MS,
    env: { ...process.env, NODE_ENV: 'development' },
  })
  const ended = await follow(child, 'npm')
  if (ended.signal !== null) process.exit(exitCodeOf(ended))
  if (ended.code !== 0) quit('The dependencies could not be installed: see what npm wrote above.')
}

/** True when npm's own record of what it installed holds every package of the lock file. */
export function isInstalled(dev, folder = root) {
  const wanted = packagesOf(join(folder, 'package-lock.json'))
  const present = packagesOf(join(folder, 'node_modules/.package-lock.json'))
  if (wanted === null) quit('package-lock.json is missing or cannot be read.')
  if (present === null) return false
  return Object.entries(wanted).every(([path, entry]) => {
    // Optional ones are for other platforms, or for this one and then npm has done what it could.
    if (path === '' || entry.optional || entry.devOptional) return true
    if (entry.dev && !dev) return true
    const found = present[path]
    return found?.version === entry.version && found?.integrity === entry.integrity
  })
}

function packagesOf(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages
  } catch {
    return null
  }
}
