// The recorded vendor answers and documents that lie beside the repository, never in it.
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { dirname, join } from 'node:path'

const folder =
  process.env['EXPOSURE_SAMPLES_DIR'] ??
  fileURLToPath(new URL('../../../shared/samples', import.meta.url))

/** False: tests that read samples are skipped. */
export const samplesPresent = existsSync(folder)

if (!samplesPresent) {
  const text =
    'no sample folder: set EXPOSURE_SAMPLES_DIR, or put shared/samples beside the repository'
  if (process.env['EXPOSURE_SAMPLES'] === 'required') throw new Error(text)
  console.warn(`${text}; the tests that read samples are skipped`)
}

/** The path of a sample, e.g. `cortex/errors.json`. */
export const samplePath = (relative: string): string => join(folder, relative)

/** The parsed JSON of a sample. */
export const sampleJson = (relative: string): unknown =>
  JSON.parse(readFileSync(samplePath(relative), 'utf8'))

/** The path of what lies beside the samples, e.g. `specs/cortex`. */
export const documentPath = (name: string): string => join(dirname(folder), name)

/** The text of a document that lies beside the samples, e.g. `requirements.md`. */
export const documentText = (name: string): string => readFileSync(documentPath(name), 'utf8')
