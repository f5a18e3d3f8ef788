// Finds a Java that can run the broker and the registry.
import { execFile } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { startFault } from './server.ts'

const JAVA_MAJOR_MIN = 21
const VERSION_TIMEOUT_MS = 15_000
const CANDIDATES_MAX = 64

export type JavaPlaces = {
  readonly javaHome: string | undefined
  /** Like PATH. */
  readonly path: string
  /** Folders that hold one Java each in their subfolders. */
  readonly folders: readonly string[]
}

type FoundJava = { readonly path: string; readonly major: number }

/** Where Java is looked for on this machine. */
export function usualPlaces(): JavaPlaces {
  return {
    javaHome: process.env['JAVA_HOME'] || undefined,
    path: process.env['PATH'] ?? '',
    folders: [
      '/usr/lib/jvm',
      '/usr/java',
      '/opt/java',
      '/opt',
      '/Library/Java/JavaVirtualMachines',
      '/opt/homebrew/opt',
      '/usr/local/opt',
      join(homedir(), '.sdkman/candidates/java'),
      join(homedir(), '.jdks'),
    ],
  }
}

/**
 * Path of a `java` of version 21 or later: JAVA_HOME first, then PATH, then the highest version
 * under the usual install folders.
 * @throws PipelineError CONFIGURATION naming what was found and what to install
 */
export async function findJava(places: JavaPlaces): Promise<string> {
  const seen: FoundJava[] = []
  for (const path of inOrder(places)) {
    const found = await look(path)
    if (found === null) continue
    if (found.major >= JAVA_MAJOR_MIN) return found.path
    seen.push(found)
  }
  const installed: FoundJava[] = []
  for (const path of places.folders.flatMap(javasUnder).slice(0, CANDIDATES_MAX)) {
    const found = await look(path)
    if (found !== null) installed.push(found)
  }
  const best = installed.toSorted((a, b) => b.major - a.major)[0]
  if (best !== undefined && best.major >= JAVA_MAJOR_MIN) return best.path
  throw startFault(noJava([...seen, ...installed]))
}

function noJava(found: readonly FoundJava[]): string {
  const remedy =
    `install a JDK ${JAVA_MAJOR_MIN} or later and set JAVA_HOME to it, ` +
    'or start Docker, or set EXPOSURE_KAFKA_BROKERS and EXPOSURE_REGISTRY_URL'
  const what = [...new Set(found.map((java) => `Java ${java.major} at ${java.path}`))]
  return what.length === 0
    ? `No Java was found, and Kafka and the registry need Java ${JAVA_MAJOR_MIN}: ${remedy}.`
    : `Only ${what.join(', ')} found, and the registry needs Java ${JAVA_MAJOR_MIN}: ${remedy}.`
}

function inOrder(places: JavaPlaces): string[] {
  const onPath = places.path.split(delimiter).filter((folder) => folder !== '')
  const fromHome = places.javaHome === undefined ? [] : [join(places.javaHome, 'bin/java')]
  return [...fromHome, ...onPath.map((folder) => join(folder, 'java'))].filter((path) =>
    existsSync(path),
  )
}

function javasUnder(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .flatMap((name) => [
      join(folder, name, 'bin/java'),
      join(folder, name, 'Contents/Home/bin/java'),
      join(folder, name, 'libexec/openjdk.jdk/Contents/Home/bin/java'),
    ])
    .filter((path) => existsSync(path))
}

/** Null when it is no Java that runs: on macOS /usr/bin/java is only an advertisement for one. */
async function look(path: string): Promise<FoundJava | null> {
  try {
    const { stdout, stderr } = await promisify(execFile)(path, ['-version'], {
      timeout: VERSION_TIMEOUT_MS,
    })
    // "17.0.15", and before Java 9 "1.8.0_392".
    const version = /version "(?:1\.)?(\d+)/.exec(stderr + stdout)?.[1]
    return version === undefined ? null : { path, major: Number(version) }
  } catch {
    return null
  }
}
