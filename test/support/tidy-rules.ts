// The rules that the tidy test holds, as functions from one file's text to its faults.

/** One file of the repository. `path` is relative to its root, with forward slashes. */
export type SourceFile = { readonly path: string; readonly text: string }

/** What is wrong, one sentence each, beginning with the file's path. */
export type Rule = (file: SourceFile) => string[]

const LINES_MAX = 400
const COLUMNS_MAX = 100

const STAGES = ['producers', 'transformers', 'sinks'] as const
// What each folder may import beside itself; folders not named here may import anything.
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  contracts: [],
  runtime: ['contracts'],
  producers: ['contracts', 'runtime'],
  transformers: ['contracts', 'runtime'],
  sinks: ['contracts', 'runtime'],
  simulator: ['contracts'],
  stack: ['contracts', 'runtime'],
}

// Beside its owner a library may be imported where `also` says so.
const OWNERS: readonly { library: RegExp; owner: RegExp; also: RegExp }[] = [
  { library: /^kafkajs$/, owner: /^runtime\/kafka\//, also: /^test\// },
  { library: /^@kafkajs\//, owner: /^runtime\/registry\.ts$/, also: /^test\// },
  { library: /^undici$/, owner: /^runtime\/http[^/]*\.ts$/, also: /^(simulator|test)\// },
  { library: /^bottleneck$/, owner: /^runtime\/http[^/]*\.ts$/, also: /^test\// },
  { library: /^pino$/, owner: /^runtime\/log\.ts$/, also: /^test\// },
  { library: /^testcontainers$/, owner: /^stack\//, also: /^test\// },
]

const isTypeScript = (path: string): boolean => path.endsWith('.ts')
const isSource = (path: string): boolean => /\.(ts|mjs)$/.test(path)
const isTest = (path: string): boolean => path.startsWith('test/')
const folderOf = (path: string): string => path.split('/')[0] ?? ''

/** The specifiers a file imports: static, dynamic, re-exported, required, in types. */
function importsOf(text: string): string[] {
  const forms = [
    /^\s*(?:import|export)\s[^'"]*?\bfrom\s*['"]([^'"]+)['"]/gm,
    /^\s*import\s*['"]([^'"]+)['"]/gm,
    /\b(?:import|require)\(\s*['"]([^'"]+)['"]/g,
  ]
  return forms.flatMap((form) => [...text.matchAll(form)].flatMap((match) => match[1] ?? []))
}

/** A specifier as a path from the root, or null for a package. */
function targetOf(path: string, specifier: string): string | null {
  if (!specifier.startsWith('.')) return null
  const parts = path.split('/').slice(0, -1)
  for (const part of specifier.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '.') parts.push(part)
  }
  return parts.join('/')
}

const layers: Rule = ({ path, text }) => {
  const allowed = MAY_IMPORT[folderOf(path)]
  if (allowed === undefined) return []
  return localImports(path, text).flatMap((target) => {
    const folder = folderOf(target)
    // A file of no folder, such as package.json, belongs to all of them.
    if (folder === target || folder === folderOf(path) || allowed.includes(folder)) return []
    return [`${path}: ${folderOf(path)} must not import ${target}`]
  })
}

const pureContracts: Rule = ({ path, text }) =>
  folderOf(path) !== 'contracts'
    ? []
    : packageImports(text)
        .filter((name) => name !== 'zod' && !name.startsWith('node:'))
        .map((name) => `${path}: contracts must not import ${name}`)

const pureTransformers: Rule = ({ path, text }) =>
  folderOf(path) !== 'transformers' || path === 'transformers/main.ts'
    ? []
    : localImports(path, text)
        .filter((target) => folderOf(target) === 'runtime')
        .map((target) => `${path}: only transformers/main.ts may import ${target}`)

// A vendor's or a store's folder: the second level of a stage. Folders that are neither are
// machinery of the stage, shared by all of them. Formats are what several stores write.
const FORMATS = ['sinks/ocsf', 'sinks/ecs']
const SHARED_FOLDERS = ['transformers/lifecycle', ...FORMATS]

const siblings: Rule = ({ path, text }) => {
  const own = unitOf(path)
  if (own === null) return []
  return localImports(path, text).flatMap((target) => {
    const other = unitOf(target)
    if (other === null || other === own || folderOf(other) !== folderOf(own)) return []
    return [`${path}: ${own} must not import ${target}`]
  })
}

/** A format is of no store: it knows the contracts, and what is beside the stores. */
const pureFormats: Rule = ({ path, text }) => {
  const own = FORMATS.find((folder) => path.startsWith(`${folder}/`))
  if (own === undefined) return []
  return localImports(path, text)
    .filter((target) => {
      const isBeside = /^sinks\/[^/]+$/.test(target) && target !== 'sinks/sinks.ts'
      return folderOf(target) !== 'contracts' && !target.startsWith(`${own}/`) && !isBeside
    })
    .map((target) => `${path}: a format must not import ${target}`)
}

function unitOf(path: string): string | null {
  const [stage, folder, rest] = path.split('/')
  if (stage === undefined || folder === undefined || rest === undefined) return null
  const unit = `${stage}/${folder}`
  const isStage = (STAGES as readonly string[]).includes(stage)
  return isStage && !SHARED_FOLDERS.includes(unit) ? unit : null
}

const owners: Rule = ({ path, text }) =>
  !isTypeScript(path)
    ? []
    : packageImports(text).flatMap((name) =>
        OWNERS.filter(
          ({ library, owner, also }) => library.test(name) && !owner.test(path) && !also.test(path),
        ).map(() => `${path}: ${name} has an owner, and this is not it`),
      )

const environmentReader: Rule = ({ path, text }) => {
  const free = /^(stack|bin|test|bench)\/|^runtime\/environment\.ts$/.test(path)
  const reads = /\bprocess\.env\b|\bprocess\[['"]env/.test(text)
  return isSource(path) && !free && reads
    ? [`${path}: only runtime/environment.ts reads process.env`]
    : []
}

const CONSOLE = /\bconsole\s*\.\s*(log|error|warn|info|debug|trace|table|dir)\b/

const quiet: Rule = ({ path, text }) => {
  const folders = ['contracts', 'runtime', ...STAGES]
  return folders.includes(folderOf(path)) && CONSOLE.test(text)
    ? [`${path}: console is for the command line; use the logger`]
    : []
}

// A text for people stays in one piece, so that it can be searched for.
const TEXT_ALONE = /^\s*(?:[\w'-]+:\s*)?(['"`]).*\1,?$/

const size: Rule = ({ path, text }) => {
  if (!isSource(path)) return []
  const lines = text.replace(/\n$/, '').split('\n')
  const long = lines.flatMap((line, index) =>
    isTypeScript(path) && line.length > COLUMNS_MAX && !TEXT_ALONE.test(line)
      ? [`${path}:${index + 1}: longer than ${COLUMNS_MAX} columns`]
      : [],
  )
  return lines.length > LINES_MAX
    ? [`${path}: ${lines.length} lines, more than ${LINES_MAX}`, ...long]
    : long
}

const purpose: Rule = ({ path, text }) => {
  if (!isSource(path)) return []
  const [first, second] = text.split('\n')
  const line = first?.startsWith('#!') ? second : first
  return /^\/\/ \S.{10,}/.test(line ?? '') ? [] : [`${path}: the first line says no purpose`]
}

const naming: Rule = ({ path }) =>
  isSource(path) && !/^[a-z0-9]+(-[a-z0-9]+)*(\.(test|config|d))?\.(ts|mjs)$/.test(nameOf(path))
    ? [`${path}: the file's name is not kebab-case`]
    : []

const barrels: Rule = ({ path }) =>
  /^index\.(ts|mjs|js)$/.test(nameOf(path)) ? [`${path}: no barrel files`] : []

const defaultExports: Rule = ({ path, text }) =>
  // Tools load their settings by the default export.
  isSource(path) &&
  !path.endsWith('.config.ts') &&
  /^export\s+(default\b|{[^}]*\bas default\b)/m.test(text)
    ? [`${path}: no default export`]
    : []

const wholeTests: Rule = ({ path, text }) => {
  const narrowed = /\b(it|test|describe)\s*\.\s*(only|skip|todo|fails)\b|\bx(it|describe)\(/
  return isTest(path) && path.endsWith('.test.ts') && narrowed.test(text)
    ? [`${path}: a test that does not run, or keeps others from running`]
    : []
}

// Put together from parts, so that this file holds no such path itself.
const MACHINE_PATH = new RegExp(`(^|[^A-Za-z0-9_.-])/(${['work', 'root', 'farm'].join('|')})/`, 'm')

const machinePaths: Rule = ({ path, text }) =>
  MACHINE_PATH.test(text) ? [`${path}: names a folder of one machine`] : []

const leftovers: Rule = ({ path, text }) =>
  isSource(path) &&
  new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'XX' + 'X'].join('|')})\\b`).test(text)
    ? [`${path}: unfinished work`]
    : []

/** Versions are exact: a range would let two installs of one commit differ. */
const exactVersions: Rule = ({ path, text }) => {
  if (path !== 'package.json') return []
  const { dependencies, devDependencies, optionalDependencies } = JSON.parse(text) as Record<
    string,
    Record<string, string> | undefined
  >
  return Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })
    .filter(([, version]) => !/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/.test(version))
    .map(([name, version]) => `${path}: ${name} ${version} is not one exact version`)
}

/** Where packages come from is each machine's own matter. */
const portableLock: Rule = ({ path, text }) =>
  path === 'package-lock.json' && /"resolved"\s*:/.test(text)
    ? [`${path}: holds addresses of a registry`]
    : []

/** Every rule by name. */
export const RULES: Readonly<Record<string, Rule>> = {
  layers,
  pureContracts,
  pureTransformers,
  siblings,
  pureFormats,
  owners,
  environmentReader,
  quiet,
  size,
  purpose,
  naming,
  barrels,
  defaultExports,
  wholeTests,
  machinePaths,
  leftovers,
  exactVersions,
  portableLock,
}

function localImports(path: string, text: string): string[] {
  return isSource(path) ? importsOf(text).flatMap((name) => targetOf(path, name) ?? []) : []
}

function packageImports(text: string): string[] {
  return importsOf(text).filter((name) => !name.startsWith('.'))
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
