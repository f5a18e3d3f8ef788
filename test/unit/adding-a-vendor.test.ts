// docs/adding-a-vendor.md against the files that it quotes and the names that it uses.
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { quotedFiles, staleParts, withQuotes } from '../../docs/quotes.ts'
import { acmeScannerConnection } from '../vendors/producers/acme-scanner/config.ts'

const root = new URL('../../', import.meta.url)
const textOf = (path: string): string => readFileSync(new URL(path, root), 'utf8')
const NAME = 'docs/adding-a-vendor.md'
const document = textOf(NAME)

/** Every file of the made-up vendor. */
const vendorFiles = readdirSync(new URL('test/vendors/', root), {
  recursive: true,
  encoding: 'utf8',
})
  .map((path) => `test/vendors/${path.replaceAll('\\', '/')}`)
  .filter((path) => /\.(ts|json)$/.test(path))

describe(NAME, () => {
  it('quotes files as they are: write it anew with `npm run quotes`', () => {
    expect(document).toBe(withQuotes(document, textOf))
    expect(staleParts(document, textOf)).toEqual([])
  })

  it('quotes every file of the made-up vendor once', () => {
    expect(vendorFiles.length).toBeGreaterThan(8)
    expect(quotedFiles(document).toSorted()).toEqual(vendorFiles.toSorted())
  })

  it('has no block of code that nothing holds to the truth', () => {
    const heads = [...document.matchAll(/^```(\S.*)$/gm)].map(([, head = '']) => head)
    const free = heads.filter((head) => !/^\w+ (file|part)=/.test(head))
    expect(free).toEqual(['text', 'yaml'])
  })

  it('shows a connection that the made-up vendor takes', () => {
    const [, yaml = ''] = /^```yaml\n([^]*?)^```$/m.exec(document) ?? []
    expect(acmeScannerConnection.parse(parse(yaml))).toMatchObject({
      type: 'acme-scanner',
      every: 6 * 60 * 60_000,
    })
  })

  it('names files that are there', () => {
    const prose = document.replace(/^```[^]*?^```$/gm, '')
    const paths = [...prose.matchAll(/`((?:[\w-]+\/)+[\w.-]+\.(?:ts|md))`/g)].map(
      ([, path = '']) => path,
    )
    const links = [...prose.matchAll(/\]\(([^)]+)\)/g)].map(([, path = '']) => path)
    expect(paths.length).toBeGreaterThan(15)
    const folders = ['', 'test/vendors/']
    const missing = paths.filter(
      (path) => !folders.some((folder) => existsSync(new URL(folder + path, root))),
    )
    const broken = links.filter((path) => !existsSync(new URL(path, new URL('docs/', root))))
    expect([...missing, ...broken]).toEqual([])
  })
})

describe('a quoted file that has changed', () => {
  const quoting = '```ts file=a.ts\nold\n```\n```ts part=b.ts\none\n```\n'

  it('is put in place of what was quoted, and a part that is gone is told', () => {
    const read = (path: string) => (path === 'a.ts' ? 'new\n' : 'two\n')
    expect(withQuotes(quoting, read)).toContain('```ts file=a.ts\nnew\n```')
    expect(staleParts(quoting, read)).toEqual(['b.ts: one\n'])
  })
})
