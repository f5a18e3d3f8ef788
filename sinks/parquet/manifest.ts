// What the lake holds of each partition: a chain of entries, each the commit of one range.
import { randomBytes } from 'node:crypto'
import { access, link, mkdir, open, readFile, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { z } from 'zod'
import { PipelineError } from '../../contracts/errors.ts'
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
/** Where a compaction says what it exchanges, until it is done. */
export const PLANS = '_compaction'

const folderOf = (root: string, topic: string, partition: number) =>
  join(root, FOLDER, topic, String(partition))
/** The beginning of a chain is an entry without a range, and sorts before the first with one. */
const nameOf = ({ first, next }: Entry) =>
  `${first.padStart(OFFSET_DIGITS, '0')}${first === next ? '-begin' : ''}.json`
const NAME = /^\d+(-begin)?\.json$/

/**
 * The newest entry, with its files where they belong; null when there is none.
 * @throws PipelineError SINK_UNAVAILABLE with its name when it is damaged
 */
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
  const path = join(folder, name)
  const newest = entryOf(await readFile(path, 'utf8'), relative(root, path))
  await moveFiles(root, newest)
  return newest
}

/** Nothing goes on behind an entry that nobody can read: somebody has to know which it is. */
function entryOf(text: string, path: string): Entry {
  try {
    return entry.parse(JSON.parse(text))
  } catch (error) {
    const message = `${path} in the Parquet lake is damaged: bring it back from a copy`
    throw new PipelineError('SINK_UNAVAILABLE', 'SINK', message, { cause: error })
  }
}

const entryNames = async (folder: string): Promise<string[]> =>
  (await namesIn(folder)).filter((name) => NAME.test(name)).toSorted()

/** None where there is no such folder. */
const namesIn = async (folder: string): Promise<string[]> =>
  (await unlessGone(readdir(folder))) ?? []

/** Null for what is not there: another process may have moved it between two looks. */
async function unlessGone<T>(looking: Promise<T>): Promise<T | null> {
  try {
    return await looking
  } catch (error) {
    if (isCode(error, 'ENOENT')) return null
    throw error
  }
}

/**
 * Makes the range part of the lake, or resolves with false: another member has written from there.
 * Whoever dies afterwards has its files moved by the next who looks. What is staged is taken away
 * again where the range did not become part of it.
 */
export async function commitEntry(root: string, given: Entry): Promise<boolean> {
  const folder = folderOf(root, given.topic, given.partition)
  if (!(await linkEntry(root, folder, given))) {
    await dropStaged(root, given.files)
    return false
  }
  await moveFiles(root, given)
  const names = await entryNames(folder)
  for (const name of names.slice(0, -ENTRIES_KEPT)) await rm(join(folder, name), { force: true })
  return true
}

/** Resolves with false when there is one from there, or was before it was taken away. */
async function linkEntry(root: string, folder: string, given: Entry): Promise<boolean> {
  const staged = await stagedEntry(root, folder, given)
  const name = nameOf(given)
  try {
    // Unlike a rename this fails where there is one, and never shows half of it.
    await link(staged, join(folder, name))
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false
    throw error
  } finally {
    await rm(staged, { force: true })
  }
  // Of a member that slept while others wrote so much that theirs from there is gone already.
  if ((await entryNames(folder)).slice(-ENTRIES_KEPT).includes(name)) return true
  await rm(join(folder, name), { force: true })
  return false
}

/** A full disk may refuse it: then what is staged must not fill it further at each attempt. */
async function stagedEntry(root: string, folder: string, given: Entry): Promise<string> {
  const path = join(root, STAGING, `${randomBytes(8).toString('hex')}.json`)
  try {
    await access(root)
    // A machine that slept for long may have lost them to `sweepStaging`.
    for (const { staged } of given.files) await access(join(root, staged))
    await mkdir(folder, { recursive: true })
    await mkdir(dirname(path), { recursive: true })
    await writeThrough(path, JSON.stringify(given))
    return path
  } catch (error) {
    await dropStaged(root, [...given.files, { staged: relative(root, path) }])
    throw error
  }
}

/** Takes away what is not going to be part of the lake. */
export async function dropStaged(
  root: string,
  files: readonly Pick<Entry['files'][number], 'staged'>[],
): Promise<void> {
  for (const { staged } of files) await rm(join(root, staged), { force: true })
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
  const promised = await promises(root)
  for (const name of await readdir(folder)) {
    // Committed, and to be moved by whoever is given the partition: that may take days.
    if (promised.some((text) => text.includes(name))) continue
    const path = join(folder, name)
    const found = await unlessGone(stat(path))
    if (found === null || Date.now() - found.mtimeMs <= STAGED_MS_MAX) continue
    await rm(path, { force: true })
  }
}

/** The newest entry of every partition and the plan of a compaction, as they are written. */
async function promises(root: string): Promise<string[]> {
  const paths = (await namesIn(join(root, PLANS))).map((name) => join(root, PLANS, name))
  for (const topic of await namesIn(join(root, FOLDER))) {
    for (const partition of await namesIn(join(root, FOLDER, topic))) {
      const entries = join(root, FOLDER, topic, partition)
      const newest = (await entryNames(entries)).at(-1)
      if (newest !== undefined) paths.push(join(entries, newest))
    }
  }
  const texts = await Promise.all(paths.map((path) => unlessGone(readFile(path, 'utf8'))))
  return texts.filter((text) => text !== null)
}
