// Named places where a test can make the process die as a power cut would: SIGKILL, no clean-up.
import { environment } from '../environment.ts'

/** Every place of sessions and processors, in the order in which a chunk passes them. */
export const FAILPOINTS = [
  'processor.fenced',
  'processor.restored',
  'processor.offset-read',
  'session.begun',
  'session.outputs-sent',
  'session.follow-up-sent',
  'session.offsets-sent',
  'session.committed',
  'processor.applied',
  'processor.resolved',
] as const
/** The places of a producer's run that lie outside of its session, in order. */
export const SOURCE_FAILPOINTS = [
  'source.fenced',
  'source.begun',
  'source.pulled',
  'source.published',
  'source.ended',
] as const
export type Failpoint = (typeof FAILPOINTS | typeof SOURCE_FAILPOINTS)[number]

/** `name` dies at the first hit, `name:3` at the third. Read once: a hot loop passes here. */
const armed = parse(environment('EXPOSURE_FAILPOINT'))
let hitsLeft = armed?.hits ?? 0

function parse(text: string | undefined): { name: string; hits: number } | undefined {
  if (text === undefined) return undefined
  const [name = '', hits = '1'] = text.split(':')
  return { name, hits: Number(hits) }
}

/** Does nothing, unless EXPOSURE_FAILPOINT names this place: then the process is killed. */
export function failpoint(name: Failpoint): void {
  if (armed === undefined || armed.name !== name) return
  hitsLeft -= 1
  if (hitsLeft === 0) process.kill(process.pid, 'SIGKILL')
}
