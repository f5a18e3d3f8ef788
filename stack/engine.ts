// The Docker engine of this machine: where it answers, its images, volumes, stale containers.
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { ContainerRuntimeClient } from 'testcontainers'

const ENGINE_TIMEOUT_MS = 3_000
const CALL_TIMEOUT_MS = 60_000
const REGISTRY_TIMEOUT_MS = 5_000
const POLL_MS = 100
// On every volume: the data folder that it belongs to.
const LABEL = 'exposure-stream.data-dir'

export type Engine = ContainerRuntimeClient['container']['dockerode']

/** Path of the socket on which a Docker engine answers; null after 3 s at most. */
export async function engineSocket(): Promise<string | null> {
  const given = process.env['DOCKER_HOST']
  const places =
    given === undefined || given === ''
      ? ['/var/run/docker.sock', join(homedir(), '.docker/run/docker.sock')]
      : // An engine elsewhere publishes its ports elsewhere: everything here is on 127.0.0.1.
        given.startsWith('unix://')
        ? [given.slice('unix://'.length)]
        : []
  const present = places.filter((path) => existsSync(path))
  const answers = await Promise.all(present.map(ping))
  return present.find((_path, index) => answers[index]) ?? null
}

function ping(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(ENGINE_TIMEOUT_MS)
    const call = request({ socketPath, path: '/_ping', signal }, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    })
    call.once('error', () => resolve(false))
    call.end()
  })
}

/** True when the image is here; false when it first has to be pulled, and can be. @throws Error */
export async function hasImage(engine: Engine, image: string): Promise<boolean> {
  const found = engine.getImage(image)
  if ((await unlessMissing(inTime(found.inspect(), CALL_TIMEOUT_MS, 'the engine'))) !== null) {
    return true
  }
  // Asked first, because a pull without a network may take minutes to fail.
  await inTime(found.distribution(), REGISTRY_TIMEOUT_MS, `the registry of ${image}`)
  return false
}

/**
 * Stops and removes a container that a killed run has left behind; its guard may be doing the same.
 * @throws Error when it is there still after a minute
 */
export async function removeContainer(engine: Engine, name: string, stopWaitS: number) {
  const container = engine.getContainer(name)
  const timeoutMs = stopWaitS * 1_000 + CALL_TIMEOUT_MS
  await unlessMissing(inTime(container.stop({ t: stopWaitS }), timeoutMs, `stopping ${name}`))
  const removal = container.remove({ force: true, v: true })
  await unlessMissing(inTime(removal, CALL_TIMEOUT_MS, `removing ${name}`))
  const deadline = performance.now() + CALL_TIMEOUT_MS
  while (performance.now() < deadline) {
    const found = await unlessMissing(inTime(container.inspect(), CALL_TIMEOUT_MS, name))
    if (found === null) return
    await pause(POLL_MS)
  }
  throw new Error(`the container ${name} is being removed still`)
}

/**
 * Makes the volume of one part of a data folder ready, and removes those of the part that belonged
 * to an earlier folder in the same place. Returns the volume's name.
 */
export async function ensureVolume(
  engine: Engine,
  { dataDir, part, fresh }: { dataDir: string; part: string; fresh: boolean },
): Promise<string> {
  const name = `exposure-${volumeId(dataDir)}-${part}`
  const filters = { label: [`${LABEL}=${dataDir}`] }
  const listed = engine.listVolumes({ filters: JSON.stringify(filters) })
  const { Volumes: volumes } = await inTime(listed, CALL_TIMEOUT_MS, 'the list of volumes')
  const present = (volumes ?? []).map((volume) => volume.Name)
  const stale = present.filter((other) => other.endsWith(`-${part}`) && (fresh || other !== name))
  for (const other of stale) {
    await unlessMissing(inTime(engine.getVolume(other).remove(), CALL_TIMEOUT_MS, 'a volume'))
  }
  const Labels = { [LABEL]: dataDir }
  await inTime(engine.createVolume({ Name: name, Labels }), CALL_TIMEOUT_MS, 'a volume')
  return name
}

/** A folder that was removed and made again has other passwords, and so needs other volumes. */
function volumeId(dataDir: string): string {
  const file = join(dataDir, 'volumes.id')
  if (existsSync(file)) return readFileSync(file, 'utf8').trim()
  const id = randomBytes(6).toString('hex')
  writeFileSync(file, `${id}\n`)
  return id
}

// Not modified: stopped already. Not found. Conflict: another is removing it just now.
const NOTHING_TO_DO = [304, 404, 409]

async function unlessMissing<T>(call: Promise<T>): Promise<T | null> {
  try {
    return await call
  } catch (error) {
    const { statusCode } = error as { statusCode?: number }
    if (statusCode !== undefined && NOTHING_TO_DO.includes(statusCode)) return null
    throw error
  }
}

/** The work's result. @throws Error when it takes longer */
export async function inTime<T>(work: Promise<T>, timeoutMs: number, what: string): Promise<T> {
  const abort = new AbortController()
  const late = pause(timeoutMs, undefined, { ref: false, signal: abort.signal }).then(() => {
    throw new Error(`${what} took longer than ${timeoutMs} ms`)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    late.catch(() => {
      // Stopped because it is not needed any more.
    })
    abort.abort()
  }
}
