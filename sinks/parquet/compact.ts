// Makes one file of the small ones of a day that is over, so that readers open fewer.
import { createHash, randomBytes } from 'node:crypto'
import { access, link, mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { isCode } from './faults.ts'
import { PLANS, STAGING } from './manifest.ts'
import { TABLES } from './tables.ts'
import type { ParquetWriter } from './writer.ts'

/** Fewer are left as they are. */
const FILES_MIN = 4
/** At once; the others are next. */
const FILES_MAX = 500

const plan = z.object({
  staged: z.string(),
  final: z.string(),
  replaced: z.array(z.string()),
})
type Plan = z.infer<typeof plan>

/**
 * Compacts one folder of a day before `todayMs`, or finishes what another process began. Resolves
 * with false when there is nothing to do. The plan is the commit: once it is there, whoever looks
 * carries it out.
 */
export async function compactOne(
  root: string,
  writer: ParquetWriter,
  todayMs: number,
): Promise<boolean> {
  await mkdir(join(root, PLANS), { recursive: true })
  const [begun] = await readdir(join(root, PLANS))
  if (begun !== undefined) {
    await finish(root, join(root, PLANS, begun))
    return true
  }
  const folder = await smallFilesFolder(root, todayMs)
  if (folder === null) return false
  const replaced = (await parquetIn(join(root, folder))).slice(0, FILES_MAX)
  const staged = await writer.merge(
    root,
    replaced.map((name) => join(folder, name)),
  )
  const id = createHash('sha256').update(replaced.join('|')).digest('hex').slice(0, 16)
  const paths = replaced.map((name) => join(folder, name))
  const made: Plan = { staged, final: join(folder, `compacted-${id}.parquet`), replaced: paths }
  const path = await committed(root, made)
  if (path === null) await rm(join(root, staged), { force: true })
  else await finish(root, path)
  return true
}

async function smallFilesFolder(root: string, todayMs: number): Promise<string | null> {
  const today = `dt=${new Date(todayMs).toISOString().split('T')[0]}`
  for (const { name: table } of Object.values(TABLES)) {
    for (const day of await readdir(join(root, table))) {
      if (day >= today) continue
      for (const product of await readdir(join(root, table, day))) {
        const folder = join(table, day, product)
        if ((await parquetIn(join(root, folder))).length >= FILES_MIN) return folder
      }
    }
  }
  return null
}

const parquetIn = async (folder: string): Promise<string[]> =>
  (await readdir(folder)).filter((name) => name.endsWith('.parquet')).toSorted()

/** The plan's place; null when another process has replaced these files meanwhile. */
async function committed(root: string, made: Plan): Promise<string | null> {
  const staged = join(root, STAGING, `${randomBytes(8).toString('hex')}.json`)
  // One at a time for the whole lake.
  const path = join(root, PLANS, 'plan.json')
  await writeFile(staged, JSON.stringify(made))
  try {
    for (const name of made.replaced) await access(join(root, name))
    await link(staged, path)
  } catch (error) {
    if (isCode(error, 'EEXIST') || isCode(error, 'ENOENT')) return null
    throw error
  } finally {
    await rm(staged, { force: true })
  }
  return path
}

async function finish(root: string, path: string): Promise<void> {
  const { staged, final, replaced } = plan.parse(JSON.parse(await readFile(path, 'utf8')))
  try {
    await rename(join(root, staged), join(root, final))
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error
    // Moved already; where it is not, nothing may be taken away.
    await access(join(root, final))
  }
  for (const name of replaced) await rm(join(root, name), { force: true })
  await rm(path, { force: true })
}
