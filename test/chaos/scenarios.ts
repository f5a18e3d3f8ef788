// All attacks, in the order in which they are run and written down.
import { kills } from './kills.ts'
import type { Scenario } from './scenario.ts'

export const SCENARIOS: readonly Scenario[] = [kills]
