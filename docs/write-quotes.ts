// Writes the files that docs/adding-a-vendor.md quotes anew: `npm run quotes`.
import { readFileSync, writeFileSync } from 'node:fs'
import { withQuotes } from './quotes.ts'

const document = new URL('adding-a-vendor.md', import.meta.url)
const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')
writeFileSync(document, withQuotes(readFileSync(document, 'utf8'), read))
