#!/usr/bin/env node
// The command `exposure`, for any Node from 20.
import { join } from 'node:path'
import { handOver, requireLauncherNode, root } from './node24.mjs'

requireLauncherNode()
await handOver(join(root, 'cli/main.ts'), process.argv.slice(2))
