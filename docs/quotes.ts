// Files quoted in a document: a code block marked `file=PATH` holds the text of that file.

/** Reads a file of the repository, its path from the root. @throws when it is not there */
export type ReadFile = (path: string) => string

const WHOLE = /^(```\w+ file=(\S+))\n[^]*?^```$/gm
const PART = /^```\w+ part=(\S+)\n([^]*?)^```$/gm

/** The document with every quoted file as it is now. */
export const withQuotes = (document: string, read: ReadFile): string =>
  document.replace(
    WHOLE,
    (_, head: string, path: string) => `${head}\n${read(path).replace(/\n*$/, '\n')}\`\`\``,
  )

/** Paths of the files that are quoted whole. */
export const quotedFiles = (document: string): string[] =>
  [...document.matchAll(WHOLE)].map(([, , path = '']) => path)

/** Blocks marked `part=PATH` whose lines the file does not hold in a row. */
export const staleParts = (document: string, read: ReadFile): string[] =>
  [...document.matchAll(PART)]
    .filter(([, path = '', lines = '']) => !read(path).includes(lines))
    .map(([, path = '', lines = '']) => `${path}: ${lines}`)
