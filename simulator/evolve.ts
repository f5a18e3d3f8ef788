// What an hour changes in the estate: machines come and go, weaknesses are fixed, return, appear.
import {
  type Estate,
  type Exposure,
  type Machine,
  STEP_MS,
  byHostname,
  createMachine,
  fitting,
  withWeakness,
} from './estate.ts'
import { type Random, createRandom } from './random.ts'

const CHURN_SHARE = 0.02
const FIXED_SHARE = 0.03
const RETURNED_SHARE = 0.3
const NEW_WEAKNESS_SHARE = 0.2
const EPSS_JUMP_SHARE = 0.05
const EPSS_NOISE = 0.001
/** Steps of one call. */
export const STEPS_MAX = 1_000

/** The estate one step later; depends on its seed and step alone. */
export function evolve(estate: Estate): Estate {
  const step = estate.step + 1
  const nowMs = estate.nowMs + STEP_MS
  const random = createRandom(`${estate.seed}/step/${step}`)
  const churn = Math.round(estate.machines.length * CHURN_SHARE)
  // Small estates lose a machine every third step, so that something goes there too.
  const leaving = Math.min(estate.machines.length - 1, Math.max(step % 3 === 0 ? 1 : 0, churn))
  const gone = pickSerials(random, estate.machines, leaving)
  const coming = Math.max(step % 2, churn)
  const stayed = estate.machines.filter((m) => !gone.has(m.serial))
  const aged = stayed.map((m) => age(estate, m, step, nowMs))
  const added = Array.from({ length: coming }, (_, i) =>
    createMachine(estate.seed, estate.nextSerial + i, estate.catalogue, nowMs),
  )
  return {
    ...estate,
    step,
    nowMs,
    nextSerial: estate.nextSerial + coming,
    epss: movedEpss(estate, random),
    machines: byHostname([...settleOne(estate.machines, aged, step), ...added]),
  }
}

/**
 * The estate an hour later in which nothing has happened: everything was seen and scanned anew,
 * some agents are off or on again, and every EPSS score is a hair higher or, the next time, back.
 */
export function noisy(estate: Estate): Estate {
  const noise = estate.noise + 1
  const nowMs = estate.nowMs + noise * STEP_MS
  const hair = noise % 2 === 1 ? EPSS_NOISE : -EPSS_NOISE
  const epss = new Map(
    estate.catalogue.map(({ id, epss: first }) => {
      const score = (estate.epss.get(id) ?? first) + hair
      return [id, Math.round(score * 100_000) / 100_000]
    }),
  )
  const machines = estate.machines.map((machine) => {
    const random = createRandom(`${estate.seed}/noise/${noise}/${machine.serial}`)
    return { ...machine, lastSeenMs: nowMs - random.below(STEP_MS) }
  })
  return { ...estate, noise, epss, machines }
}

function pickSerials(random: Random, machines: readonly Machine[], count: number): Set<number> {
  const left = machines.map((m) => m.serial)
  const picked = new Set<number>()
  for (let i = 0; i < count; i++) {
    const [serial] = left.splice(random.below(left.length), 1)
    if (serial !== undefined) picked.add(serial)
  }
  return picked
}

function age(estate: Estate, machine: Machine, step: number, nowMs: number): Machine {
  const random = createRandom(`${estate.seed}/step/${step}/${machine.serial}`)
  const exposures = settle(random, machine.exposures)
  return {
    ...machine,
    lastSeenMs: nowMs - random.below(STEP_MS),
    exposures: random.chance(NEW_WEAKNESS_SHARE)
      ? withWeakness(random, machine, fitting(estate.catalogue, machine.system), exposures, nowMs)
      : exposures,
  }
}

/** All packages of one weakness are fixed together, as they are built from one source. */
function settle(random: Random, exposures: readonly Exposure[]): Exposure[] {
  const decided = new Map<string, boolean>()
  return exposures.map((exposure) => {
    const share = exposure.open ? FIXED_SHARE : RETURNED_SHARE
    const flips = decided.get(exposure.weakness.id) ?? random.chance(share)
    decided.set(exposure.weakness.id, flips)
    return flips ? { ...exposure, open: !exposure.open } : exposure
  })
}

/**
 * Chance leaves small estates unchanged for long: in every step one weakness that Compute shows,
 * and showed before, is fixed.
 */
function settleOne(before: readonly Machine[], after: readonly Machine[], step: number): Machine[] {
  const earlier = new Map(before.map((m) => [m.serial, m]))
  const candidates = after.flatMap((m) => {
    const shownBefore = shownIds(earlier.get(m.serial))
    const id = [...shownIds(m)].find((shown) => shownBefore.has(shown))
    return id === undefined ? [] : [{ serial: m.serial, id }]
  })
  const chosen = candidates[step % Math.max(1, candidates.length)]
  return after.map((m) =>
    m.serial !== chosen?.serial
      ? m
      : {
          ...m,
          exposures: m.exposures.map((e) =>
            e.weakness.id === chosen.id ? { ...e, open: false } : e,
          ),
        },
  )
}

function shownIds(machine: Machine | undefined): Set<string> {
  if (machine === undefined || !machine.inCompute) return new Set()
  return new Set(machine.exposures.filter((e) => e.open && e.inCompute).map((e) => e.weakness.id))
}

function movedEpss(estate: Estate, random: Random): Map<string, number> {
  const moved = new Map(estate.epss)
  for (const weakness of estate.catalogue) {
    const before = moved.get(weakness.id) ?? weakness.epss
    const jump = random.chance(EPSS_JUMP_SHARE) ? 0.05 + random.next() * 0.2 : 0.002
    const after = before + (random.chance(0.5) && before > jump ? -jump : jump * random.next())
    moved.set(weakness.id, Math.round(Math.min(0.99, Math.max(0, after)) * 100_000) / 100_000)
  }
  return moved
}
