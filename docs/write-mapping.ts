// Writes docs/mapping.md from transformers/mapping: `npm run mapping`. A test holds both equal.
import { writeFileSync } from 'node:fs'
import { mappingText } from './mapping-text.ts'

writeFileSync(new URL('./mapping.md', import.meta.url), mappingText())
