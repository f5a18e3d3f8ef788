// docs/sinks.md against the list of sinks: a row for each, and examples that can be copied.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { SINKS, sinkNames, sinksConfig } from '../../sinks/sinks.ts'

const text = readFileSync(new URL('../../docs/sinks.md', import.meta.url), 'utf8')
const [head = ''] = text.split('\n## ')
const examples = [...text.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, yaml = '']) => yaml)

describe('docs/sinks.md', () => {
  it('has a row for every type of sink there is, and for no other', () => {
    const rows = [...head.matchAll(/^\| `([^`]+)` \|/gm)].map(([, type = '']) => type)
    expect(rows.toSorted()).toEqual(Object.keys(SINKS).toSorted())
  })

  it('has an example of every type, and each is valid', () => {
    const parsed = examples.map((yaml) => sinksConfig.parse(parseYaml(yaml)))
    const types = new Set(parsed.flatMap((config) => Object.keys(config)))
    expect([...types].toSorted()).toEqual(Object.keys(SINKS).toSorted())
  })
})

describe('the settings of sinks', () => {
  it('give several sinks of a type a name each, and one its type', () => {
    const hook = { format: 'slack', url: 'env:A' }
    const config = sinksConfig.parse({
      postgres: { url: 'env:P' },
      webhook: [hook, { ...hook, name: 'ops' }],
    })
    expect(sinkNames(config)).toEqual(['postgres', 'webhook', 'ops'])
  })

  it('refuse one name for two sinks, whatever their types', () => {
    const hook = { format: 'slack', url: 'env:A' }
    const twice = [
      { webhook: [hook, hook] },
      { webhook: [{ ...hook, name: 'postgres' }], postgres: { url: 'env:P' } },
    ]
    for (const settings of twice) {
      const message = sinksConfig.safeParse(settings).error?.issues[0]?.message
      expect(message).toMatch(/^names are unique; used more than once: (webhook|postgres)$/)
    }
  })

  it('refuse a topic of another use for JSON', () => {
    const error = sinksConfig.safeParse({ 'kafka-json': [{ topic: 'exposure.findings' }] }).error
    expect(error?.issues[0]?.path).toEqual(['kafka-json', 0, 'topic'])
  })
})
