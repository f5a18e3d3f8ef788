// Gets the broker's and the registry's files from Maven Central, once, into the cache folder.
import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { startFault } from './server.ts'

const DOWNLOAD_TIMEOUT_MS = 15 * 60_000
const OUTPUT_BYTES_MAX = 4_000_000

const PACKAGES = {
  kafka: { pom: 'pom.xml', goal: 'dependency:copy-dependencies@kafka' },
  registry: { pom: 'pom.xml', goal: 'dependency:unpack@registry' },
  opensearch: { pom: 'opensearch-pom.xml', goal: 'dependency:copy-dependencies@opensearch' },
} as const

export type PackageOptions = {
  readonly cacheDir: string
  /** Path of the Java that Maven is to run on. */
  readonly java: string
  readonly log: (line: string) => void
}

/** The cache folder: EXPOSURE_CACHE_DIR, else `.exposure/cache` beside the sources. */
export function defaultCacheDir(): string {
  const given = process.env['EXPOSURE_CACHE_DIR']
  return resolve(given || join(import.meta.dirname, '../.exposure/cache'))
}

/**
 * Folder with the files of one part; downloaded when it is not in the cache yet.
 * @throws PipelineError CONFIGURATION in one sentence when Maven is absent or fails
 */
export async function getPackage(
  name: keyof typeof PACKAGES,
  options: PackageOptions,
): Promise<string> {
  // The pom names every version: another pom is another folder, never a mix of both.
  const { goal } = PACKAGES[name]
  const pom = join(import.meta.dirname, PACKAGES[name].pom)
  const version = createHash('sha256').update(readFileSync(pom)).digest('hex').slice(0, 12)
  const folder = join(options.cacheDir, `${name}-${version}`)
  if (existsSync(folder)) return folder
  options.log(`stack: getting ${name} from Maven Central, once, into ${options.cacheDir}`)
  const part = `${folder}.part-${randomBytes(4).toString('hex')}`
  mkdirSync(part, { recursive: true })
  try {
    await maven({ goal, pom }, part, options)
    moveInto(part, folder)
  } finally {
    rmSync(part, { recursive: true, force: true })
  }
  return folder
}

async function maven(
  { goal, pom }: { readonly goal: string; readonly pom: string },
  out: string,
  options: PackageOptions,
): Promise<void> {
  const args = ['-B', '-q', '-f', pom, goal, `-Dexposure.out=${out}`]
  try {
    await promisify(execFile)('mvn', args, {
      timeout: DOWNLOAD_TIMEOUT_MS,
      killSignal: 'SIGKILL',
      maxBuffer: OUTPUT_BYTES_MAX,
      cwd: out,
      env: { ...process.env, ...javaHomeOf(options.java) },
    })
  } catch (error) {
    const fault = error as { code?: unknown; stdout?: string; killed?: boolean }
    if (fault.code === 'ENOENT') {
      throw startFault(
        'Maven (mvn) was not found, and it gets Kafka and the registry: install Maven 3.8 or ' +
          'later, or start Docker, or set EXPOSURE_KAFKA_BROKERS and EXPOSURE_REGISTRY_URL.',
        error,
      )
    }
    const said = /\[ERROR\] (.*)/.exec(fault.stdout ?? '')?.[1] ?? 'it said nothing'
    const why =
      fault.killed === true ? `no end after ${DOWNLOAD_TIMEOUT_MS} ms` : said.slice(0, 400)
    throw startFault(`Maven could not get the stack's files (${goal}): ${why}`, error)
  }
}

// A `java` that only hands over to another one lies in no Java home: Maven then looks for itself.
function javaHomeOf(java: string): { JAVA_HOME?: string } {
  const home = resolve(java, '../..')
  return existsSync(join(home, 'bin/java')) ? { JAVA_HOME: home } : {}
}

function moveInto(part: string, folder: string): void {
  try {
    renameSync(part, folder)
  } catch (error) {
    // Another start has put the same files there meanwhile.
    if (!existsSync(folder)) throw error
  }
}
