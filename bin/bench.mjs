#!/usr/bin/env node
// npm run bench -- NAME: makes the dependencies ready, then runs the measurements.
import { join } from 'node:path'
import { handOver, root } from './node24.mjs'
import { prepare } from './prepare.mjs'

await prepare({ dev: false })
await handOver(join(root, 'bench/main.ts'), process.argv.slice(2))
