// All attacks, in the order in which they are run and written down.
import { brokerLosses, brokerRestarts } from './broker-restarts.ts'
import { movingLeaders } from './brokers-attacks.ts'
import { hardCompaction, lostAnswers, overlappingAborts } from './kafka-attacks.ts'
import { kills } from './kills.ts'
import { outages } from './outages.ts'
import { poison } from './poison.ts'
import { rebalance } from './rebalance.ts'
import type { Scenario } from './scenario.ts'
import { sinkKills } from './sink-kills.ts'
import { stall } from './stall.ts'
import { vendorFaults } from './vendor-faults.ts'

export const SCENARIOS: readonly Scenario[] = [
  kills,
  stall,
  rebalance,
  outages,
  brokerRestarts,
  brokerLosses,
  vendorFaults,
  poison,
  lostAnswers,
  overlappingAborts,
  hardCompaction,
  movingLeaders,
  sinkKills,
]
