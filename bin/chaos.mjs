#!/usr/bin/env node
// npm run chaos -- --seeds N: makes the dependencies ready, then attacks the pipeline.
import { join } from 'node:path'
import { handOver, root } from './node24.mjs'
import { prepare } from './prepare.mjs'

// Else kafkajs would retry as little as its own tests want it to.
process.env.NODE_ENV = 'development'
await prepare({ dev: true })
await handOver(join(root, 'test/chaos/main.ts'), process.argv.slice(2))
