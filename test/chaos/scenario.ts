// What an attack is, and what it reports, whether npm test or npm run chaos makes it.
import type { StackAddresses } from '../support/global-setup.ts'

/** SHORT: seconds of attack, as in npm test. LONG: as in npm run chaos; at most a minute a seed. */
export type Form = 'SHORT' | 'LONG'

export type ScenarioReport = {
  readonly scenario: string
  readonly seed: number
  readonly seconds: number
  /** What was done, e.g. `{ kills: 7, stops: 2 }`: counted, not planned. */
  readonly attacks: Readonly<Record<string, number>>
  /**
   * Times that another process went on with the work of one that was killed or stalled; absent
   * where that was not counted.
   */
  readonly takeOvers?: number
  /** Events that one undisturbed lifecycle makes of the same raw records. */
  readonly eventsWanted: number
  readonly eventsGot: number
  /** One sentence per promise that was broken; none: all were kept. */
  readonly problems: readonly string[]
}

export type Scenario = {
  readonly name: string
  /** One line: what is done, and what must hold. */
  readonly says: string
  readonly run: (seed: number, stack: StackAddresses, form: Form) => Promise<ScenarioReport>
}
