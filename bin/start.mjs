#!/usr/bin/env node
// npm start: makes the dependencies ready, then runs `exposure start`.
import { join } from 'node:path'
import { handOver, root } from './node24.mjs'
import { prepare } from './prepare.mjs'

await prepare({ dev: false })
await handOver(join(root, 'cli/main.ts'), ['start', ...process.argv.slice(2)])
