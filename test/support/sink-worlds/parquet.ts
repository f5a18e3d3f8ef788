// The Parquet lake for the suite over all sinks: a folder that can be taken away.
import { readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createParquetSink } from '../../../sinks/parquet/sink.ts'
import { queryLake, testLake } from '../lake.ts'
import { testLog } from '../postgres.ts'
import type { HeldEntity, SinkWorlds } from './sink-world.ts'

const HELD = `
  SELECT 'asset' AS kind, uid, revision, status FROM assets
  UNION ALL SELECT 'finding', uid, revision, status FROM findings`

export const parquetWorlds: SinkWorlds = {
  refused: { title: 'half a pair: \ud800' },
  async open() {
    // Every batch becomes a file: readers see nothing of what waits.
    const { config } = testLake({ rowsMax: 1 })
    const { path } = config
    const away = `${path}-away`
    const empty = () => {
      for (const name of readdirSync(path)) rmSync(join(path, name), { recursive: true })
    }
    return {
      sink: () => createParquetSink(config, { log: testLog }),
      held: async () =>
        (await queryLake(path, HELD)).map(
          (row) => ({ ...row, revision: Number(row['revision']) }) as HeldEntity,
        ),
      async seen() {
        const assets = await queryLake(path, 'SELECT * FROM assets')
        const rows = [...assets, ...(await queryLake(path, 'SELECT * FROM findings'))]
        return new Map(rows.map((row) => [String(row['uid']), row]))
      },
      goAway: async () => renameSync(path, away),
      comeBack: async () => renameSync(away, path),
      empty: async () => {
        empty()
        // Its readers find tables without rows.
        await (await createParquetSink(config, { log: testLog }).open()).close()
      },
    }
  },
}
