// Writes docs/mapping.md and docs/ocsf.md from the code: `npm run mapping`. Tests hold both equal.
import { writeFileSync } from 'node:fs'
import { mappingText } from './mapping-text.ts'
import { ocsfText } from './ocsf-text.ts'

writeFileSync(new URL('./mapping.md', import.meta.url), mappingText())
writeFileSync(new URL('./ocsf.md', import.meta.url), ocsfText())
