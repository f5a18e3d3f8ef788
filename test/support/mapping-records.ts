// Made-up records with what the simulator does not show: rare fields, one way to tell at a time.
import { CORTEX_RECORDS } from './mapping-records-cortex.ts'
import { PRISMA_RECORDS } from './mapping-records-prisma.ts'
import type { MappedUnit } from './mapping-units.ts'

export const madeUpUnits = (): MappedUnit[] =>
  Object.entries({ ...PRISMA_RECORDS, ...CORTEX_RECORDS }).flatMap(([stream, records]) =>
    records.map((json) => ({
      stream,
      assetNativeId: 'asset-1',
      json,
      endpoint: null,
      isMadeUp: true,
    })),
  )
