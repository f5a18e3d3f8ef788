// What the lake holds of each partition: a chain of entries, each the commit of one range.
import { randomBytes } from 'node:crypto'
import { access, link, mkdir, open, readFile, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { isCode } from './faults.ts'

const entry = z.object({
  topic: z.string(),
  partition: z.int(),
  /** Where the entry before it ends. */
  first: z.string().regex(/^\d+$/),
  next: z.string().regex(/^\d+$/),
  rows: z.int(),
  /** From the lake's root: where a file is written, and where it then belongs. */
  files: z.array(z.object({ staged: z.string(), final: z.string() })),
})
export type Entry = z.infer<typeof entry>

/** Older ones are taken away: file names tell their ranges, and the newest where to go on. */
const ENTRIES_KEPT = 100
const OFFSET_DIGITS = 20
const FOLDER = '_manifest'
/** What is staged for longer belongs to a process that has ended. */
const STAGED_MS_MAX = 86_400_000
/** Where files are until their entry is there: no reader looks into it. */
export const STAGING = '_staging'

const folderOf = (root: string, topic: string, partition: number) =>
  join(root, FOLDER, topic, String(partition))
/** The beginning of a chain is an entry without a range, and sorts before the first with one. */
const nameOf = ({ first, next }: Entry) =>
  `${first.padStart(OFFSET_DIGITS, '0')}${first === next ? '-begin' : ''}.json`
const NAME = /^\d+(-begin)?\.json$/

/** The newest entry, with its files where they belong; null when there is none. */
export async function newestEntry(
  root: string,
  topic: string,
  partition: number,
): Promise<Entry | null> {
  const folder = folderOf(root, topic, partition)
  const name = (await entryNames(folder)).at(-1)
  if (name === undefined) {
    // A volume that is not mounted has no entries either.
    await access(root)
    return null
  }
  const newest = entry.parse(JSON.parse(await readFile(join(folder, name), 'utf8')))
  await moveFiles(root, newest)
  return newest
}

async function entryNames(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((name) => NAME.test(name)).toSorted()
  } catch (error) {
    if (isCode(error, 'ENOENT')) return []
    throw error
  }
}

/**
 * Makes the range part of the lake, or resolves with false: another member has written from there.
 * Whoever dies afterwards has its files moved by the next who looks.
 */
export async function commitEntry(root: string, given: Entry): Promise<boolean> {
  const folder = folderOf(root, given.topic, given.partition)
  const staged = join(root, STAGING, `${randomBytes(8).toString('hex')}.json`)
  await access(root)
  await mkdir(folder, { recursive: true })
  await mkdir(dirname(staged), { recursive: true })
  await writeThrough(staged, JSON.stringify(given))
  try {
    // Unlike a rename this fails where there is one, and never shows half of it.
    await link(staged, join(folder, nameOf(given)))
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false
    throw error
  } finally {
    await rm(staged, { force: true })
  }
  await moveFiles(root, given)
  const names = await entryNames(folder)
  for (const name of names.slice(0, -ENTRIES_KEPT)) await rm(join(folder, name), { force: true })
  return true
}

async function writeThrough(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx')
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Puts staged files where they belong; those that are there stay. */
export async function moveFiles(root: string, { files }: Pick<Entry, 'files'>): Promise<void> {
  for (const { staged, final } of files) {
    await mkdir(dirname(join(root, final)), { recursive: true })
    try {
      await rename(join(root, staged), join(root, final))
    } catch (error) {
      // It has been moved already, by us or by another.
      if (!isCode(error, 'ENOENT')) throw error
    }
  }
}

/** Takes away what processes have staged that ended before they committed it. */
export async function sweepStaging(root: string): Promise<void> {
  const folder = join(root, STAGING)
  await mkdir(folder, { recursive: true })
  for (const name of await readdir(folder)) {
    const path = join(folder, name)
    const { mtimeMs } = await stat(path)
    if (Date.now() - mtimeMs > STAGED_MS_MAX) await rm(path, { force: true })
  }
}
