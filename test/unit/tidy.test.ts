// Holds the rules of the code that no linter knows, over every tracked and new file.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { RULES, type SourceFile } from '../support/tidy-rules.ts'

const GIT_TIMEOUT_MS = 20_000
const root = resolve(import.meta.dirname, '../..')
const TEXT = /\.(ts|mjs|json|md|ya?ml|sh|sql|py|xml|properties|avsc|txt)$|(^|\/)(Dockerfile|run)$/

function repositoryFiles(): SourceFile[] {
  const options = { cwd: root, encoding: 'utf8', timeout: GIT_TIMEOUT_MS } as const
  const listing = ['ls-files', '--cached', '--others', '--exclude-standard']
  return execFileSync('git', listing, options)
    .split('\n')
    .filter((path) => TEXT.test(path) && existsSync(join(root, path)))
    .map((path) => ({ path: placeOf(path), text: readFileSync(join(root, path), 'utf8') }))
}

/** A made-up vendor keeps the rules of the folders in which it would stand. */
function placeOf(path: string): string {
  return path.replace(/^test\/vendors\/(?=(producers|transformers|simulator)\/)/, '')
}

const files = repositoryFiles()
const many = (line: string, count: number) => `${line}\n`.repeat(count)
const machine = `/${'root'}/`

// For each rule: files it must refuse, and files like them that it must let pass.
const EXAMPLES: Record<string, { bad: [string, string][]; good: [string, string][] }> = {
  layers: {
    bad: [
      ['contracts/a.ts', "import { b } from '../runtime/log.ts'"],
      ['runtime/a.ts', "import { b } from '../producers/main.ts'"],
      ['producers/cortex/a.ts', "import type { b } from '../../sinks/sinks.ts'"],
      ['sinks/postgres/a.ts', "export { b } from '../../transformers/severity.ts'"],
      ['transformers/a.ts', "const b = await import('../sinks/main.ts')"],
      ['simulator/a.ts', "import '../runtime/log.ts'"],
      ['stack/a.ts', "import {\n  b,\n  c,\n} from '../cli/main.ts'"],
    ],
    good: [
      ['runtime/kafka/a.ts', "import { b } from '../../contracts/errors.ts'"],
      ['sinks/postgres/a.ts', "import { b } from '../../runtime/log.ts'"],
      ['test/unit/a.ts', "import { b } from '../../sinks/main.ts'"],
      ['cli/a.ts', "import { b } from '../producers/main.ts'"],
    ],
  },
  pureContracts: {
    bad: [['contracts/a.ts', "import avsc from 'avsc'"]],
    good: [['contracts/a.ts', "import { z } from 'zod'\nimport { createHash } from 'node:crypto'"]],
  },
  pureTransformers: {
    bad: [['transformers/cortex/a.ts', "import { b } from '../../runtime/log.ts'"]],
    good: [['transformers/main.ts', "import { b } from '../runtime/log.ts'"]],
  },
  siblings: {
    bad: [
      ['producers/cortex/a.ts', "import { b } from '../prisma-cloud/client.ts'"],
      ['transformers/prisma-cloud/compute/a.ts', "import { b } from '../../cortex/xdr.ts'"],
      ['sinks/postgres/a.ts', "import { b } from '../parquet/sink.ts'"],
    ],
    good: [
      ['producers/cortex/xdr/a.ts', "import { b } from '../client.ts'"],
      ['producers/cortex/a.ts', "import { b } from '../sources.ts'"],
      ['producers/main.ts', "import { b } from './cortex/client.ts'"],
      ['transformers/cortex/a.ts', "import { b } from '../lifecycle/hash.ts'"],
      ['sinks/postgres/a.ts', "import { b } from '../ocsf/ocsf.ts'"],
    ],
  },
  pureFormats: {
    bad: [
      ['sinks/ocsf/a.ts', "import { b } from '../postgres/sink.ts'"],
      ['sinks/ecs/a.ts', "import { b } from '../ocsf/device.ts'"],
      ['sinks/ocsf/a.ts', "import { b } from '../../runtime/log.ts'"],
      ['sinks/ocsf/a.ts', "import { b } from '../sinks.ts'"],
    ],
    good: [
      ['sinks/ocsf/a.ts', "import { b } from './event.ts'"],
      ['sinks/ecs/a.ts', "import { b } from '../said.ts'"],
      ['sinks/ecs/a.ts', "import { b } from '../../contracts/asset.ts'"],
      ['sinks/postgres/a.ts', "import { b } from '../../runtime/log.ts'"],
    ],
  },
  owners: {
    bad: [
      ['runtime/publish.ts', "import kafkajs from 'kafkajs'"],
      ['sinks/a.ts', "import { SchemaRegistry } from '@kafkajs/confluent-schema-registry'"],
      ['producers/a.ts', "import { request } from 'undici'"],
      ['producers/a.ts', "import Bottleneck from 'bottleneck'"],
      ['runtime/kafka/a.ts', "import { pino } from 'pino'"],
    ],
    good: [
      ['runtime/kafka/a.ts', "import kafkajs from 'kafkajs'"],
      ['runtime/registry.ts', "import { b } from '@kafkajs/confluent-schema-registry'"],
      ['runtime/http-limiter.ts', "import Bottleneck from 'bottleneck'"],
      ['simulator/a.ts', "import { request } from 'undici'"],
    ],
  },
  environmentReader: {
    bad: [['runtime/config.ts', "const a = process.env['A']"]],
    good: [
      ['runtime/environment.ts', 'const a = process.env[name]'],
      ['stack/a.ts', "const a = process.env['A']"],
    ],
  },
  quiet: {
    bad: [['runtime/a.ts', "console.log('a')"]],
    good: [['cli/a.ts', "console.log('a')"]],
  },
  size: {
    bad: [
      ['runtime/a.ts', many('const a = 1', 401)],
      ['runtime/a.ts', `const a = '${'a'.repeat(90)}'`],
      ['runtime/a.ts', `// ${'a'.repeat(98)}`],
    ],
    good: [
      ['runtime/a.ts', many('const a = 1', 400)],
      ['runtime/a.ts', '—'.repeat(100)],
      ['runtime/a.ts', `  remediation: '${'a'.repeat(100)}',`],
    ],
  },
  purpose: {
    bad: [
      ['runtime/a.ts', "import { z } from 'zod'"],
      ['bin/a.mjs', '#!/usr/bin/env node\nconst a = 1'],
    ],
    good: [
      ['runtime/a.ts', '// What this file is for.'],
      ['bin/a.mjs', '#!/usr/bin/env node\n// What this file is for.'],
    ],
  },
  naming: {
    bad: [
      ['runtime/runSource.ts', ''],
      ['runtime/run_source.ts', ''],
    ],
    good: [
      ['runtime/run-source.ts', ''],
      ['test/unit/run-source.test.ts', ''],
      ['vitest.config.ts', ''],
    ],
  },
  barrels: { bad: [['sinks/index.ts', '']], good: [['sinks/sinks.ts', '']] },
  defaultExports: {
    bad: [
      ['runtime/a.ts', 'export default function a() {}'],
      ['runtime/a.ts', 'const a = 1\nexport { a as default }'],
    ],
    good: [
      ['runtime/a.ts', 'export const a = 1'],
      ['vitest.config.ts', 'export default a'],
    ],
  },
  wholeTests: {
    bad: [
      ['test/unit/a.test.ts', `it${'.only'}('a', () => {})`],
      ['test/unit/a.test.ts', `describe${'.skip'}('a', () => {})`],
    ],
    good: [['test/unit/a.test.ts', "it('a', () => {})"]],
  },
  machinePaths: {
    bad: [
      ['docs/a.md', `see ${machine}a`],
      ['stack/a.ts', `const a = '${machine}a'`],
    ],
    good: [['docs/a.md', 'see docs/work/a and https://example.org/root-cause']],
  },
  leftovers: {
    bad: [['runtime/a.ts', `// ${'TO' + 'DO'}: later`]],
    good: [['runtime/a.ts', '// Done.']],
  },
  exactVersions: {
    bad: [
      ['package.json', '{"dependencies":{"zod":"^4.6.7"}}'],
      ['package.json', '{"devDependencies":{"zod":"latest"}}'],
    ],
    good: [['package.json', '{"dependencies":{"a":"18.4.0-beta.17"}}']],
  },
  portableLock: {
    bad: [['package-lock.json', '{"packages":{"a":{"resolved":"https://x/a.tgz"}}}']],
    good: [['package-lock.json', '{"packages":{"a":{"version":"1.0.0"}}}']],
  },
}

describe('the repository', () => {
  it('is found with its folders', () => {
    expect(files.length).toBeGreaterThan(20)
    const paths = files.map((file) => file.path)
    expect(paths).toContain('contracts/errors.ts')
    expect(paths).toContain('producers/acme-scanner/client.ts')
  })

  it.each(Object.entries(RULES))('keeps the rule %s', (_name, rule) => {
    expect(files.flatMap((file) => rule(file))).toEqual([])
  })
})

describe('each rule', () => {
  it('has examples', () => {
    expect(Object.keys(EXAMPLES).toSorted()).toEqual(Object.keys(RULES).toSorted())
  })

  it.each(Object.entries(EXAMPLES))('%s refuses what it is there for', (name, { bad }) => {
    for (const [path, text] of bad) expect(RULES[name]?.({ path, text }), text).toHaveLength(1)
  })

  it.each(Object.entries(EXAMPLES))('%s lets the rest pass', (name, { good }) => {
    for (const [path, text] of good) expect(RULES[name]?.({ path, text }), path + text).toEqual([])
  })
})
