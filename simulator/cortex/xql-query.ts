// A tiny reader of XQL: dataset, filter, fields, sort, limit and comp count().
import { PipelineError } from '../../contracts/errors.ts'
import { type Row, type Value, rowOf } from '../rows.ts'
import { compareValues, sortRows } from './request.ts'

export type XqlStage =
  | { readonly kind: 'filter'; readonly test: (value: Value) => boolean }
  | { readonly kind: 'fields'; readonly fields: readonly { from: string; as: string }[] }
  | { readonly kind: 'sort'; readonly field: string; readonly descending: boolean }
  | { readonly kind: 'limit'; readonly count: number }
  | { readonly kind: 'count'; readonly as: string }
export type XqlQuery = { readonly dataset: string; readonly stages: readonly XqlStage[] }

/** What is wrong with a query, in the vendor's manner: a line, a column, a message. */
const refusal = (rest: string, column: number): PipelineError => {
  const message = `no viable alternative at input '${rest.trim().slice(0, 20)}'`
  return new PipelineError('BAD_REQUEST', 'PARSE', JSON.stringify({ line: 1, column, message }))
}

type Token = { readonly text: string; readonly column: number; readonly literal: boolean }
const TOKEN =
  /\s*(?:"((?:[^"\\]|\\.)*)"|([A-Za-z_][\w.]*)|(-?\d+(?:\.\d+)?)|(!=|>=|<=|[=<>(),|]))/gy

function tokensOf(query: string): Token[] {
  const tokens: Token[] = []
  TOKEN.lastIndex = 0
  const end = query.trimEnd().length
  while (TOKEN.lastIndex < end) {
    const column = TOKEN.lastIndex
    const match = TOKEN.exec(query)
    if (match === null) throw refusal(query.slice(column), column)
    const [, quoted, name, number, sign] = match
    const text = quoted?.replace(/\\(.)/g, '$1') ?? name ?? number ?? sign ?? ''
    tokens.push({ text, column, literal: quoted !== undefined || number !== undefined })
  }
  return tokens
}
/** Walks over tokens; every `take` either moves on or throws. */
class Reader {
  readonly #tokens: readonly Token[]
  #position = 0

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  get done(): boolean {
    return this.#position >= this.#tokens.length
  }

  peek(text: string): boolean {
    const token = this.#tokens[this.#position]
    return token !== undefined && !token.literal && token.text.toLowerCase() === text
  }

  /** The next token when it is `text`; null otherwise, and nothing moves. */
  accept(text: string): Token | null {
    return this.peek(text) ? this.next() : null
  }

  expect(text: string): void {
    if (this.accept(text) === null) throw this.#wrong()
  }

  next(): Token {
    const token = this.#tokens[this.#position]
    if (token === undefined) throw this.#wrong()
    this.#position += 1
    return token
  }

  name(): string {
    const token = this.#tokens[this.#position]
    if (token === undefined || token.literal || !/^[A-Za-z_]/.test(token.text)) throw this.#wrong()
    return this.next().text
  }

  /** The error for a token that has no place here. */
  #wrong(): PipelineError {
    const token = this.#tokens[this.#position]
    return refusal(token?.text ?? '<EOF>', token?.column ?? 0)
  }

  refuse(): never {
    throw this.#wrong()
  }
}

/** @throws PipelineError BAD_REQUEST whose message is the vendor's JSON */
export function parseXql(text: string): XqlQuery {
  const reader = new Reader(tokensOf(text))
  if (reader.accept('config')) {
    // `config timeframe between "-7d" and "+1d" |`: the rows here are current state anyway.
    while (!reader.done && !reader.peek('|')) reader.next()
    reader.expect('|')
  }
  reader.expect('dataset')
  reader.expect('=')
  const dataset = reader.name()
  const stages: XqlStage[] = []
  while (!reader.done) {
    reader.expect('|')
    stages.push(stage(reader))
  }
  return { dataset, stages }
}

function stage(reader: Reader): XqlStage {
  if (reader.accept('filter')) return { kind: 'filter', test: alternatives(reader) }
  if (reader.accept('fields')) return { kind: 'fields', fields: fieldList(reader) }
  if (reader.accept('sort')) {
    const descending = reader.accept('desc') !== null
    if (!descending) reader.expect('asc')
    return { kind: 'sort', field: reader.name(), descending }
  }
  if (reader.accept('limit')) {
    const count = Number(reader.next().text)
    return Number.isInteger(count) && count > 0 ? { kind: 'limit', count } : reader.refuse()
  }
  reader.expect('comp')
  reader.expect('count')
  reader.expect('(')
  if (!reader.peek(')')) reader.name()
  reader.expect(')')
  return { kind: 'count', as: reader.accept('as') ? reader.name() : 'count_1' }
}

function fieldList(reader: Reader): { from: string; as: string }[] {
  const fields: { from: string; as: string }[] = []
  do {
    const from = reader.name()
    fields.push({ from, as: reader.accept('as') ? reader.name() : from })
  } while (reader.accept(','))
  return fields
}

type Test = (value: Value) => boolean

function alternatives(reader: Reader): Test {
  const tests = [conjunction(reader)]
  while (reader.accept('or')) tests.push(conjunction(reader))
  return (value) => tests.some((test) => test(value))
}

function conjunction(reader: Reader): Test {
  const tests = [comparison(reader)]
  while (reader.accept('and')) tests.push(comparison(reader))
  return (value) => tests.every((test) => test(value))
}

function comparison(reader: Reader): Test {
  if (reader.accept('(')) {
    const inner = alternatives(reader)
    reader.expect(')')
    return inner
  }
  const field = reader.name()
  if (reader.accept('in')) {
    const wanted = literals(reader)
    return (value) => wanted.some((w) => equal(value[field], w))
  }
  const sign = reader.next().text
  const test = SIGNS[sign]
  if (test === undefined) return reader.refuse()
  const wanted = literal(reader)
  return (value) => test(value[field], wanted)
}

const SIGNS: Readonly<Record<string, (field: unknown, wanted: unknown) => boolean>> = {
  '=': equal,
  '!=': (field, wanted) => !equal(field, wanted),
  '>': (field, wanted) => field !== undefined && compareValues(field, wanted) > 0,
  '>=': (field, wanted) => field !== undefined && compareValues(field, wanted) >= 0,
  '<': (field, wanted) => field !== undefined && compareValues(field, wanted) < 0,
  '<=': (field, wanted) => field !== undefined && compareValues(field, wanted) <= 0,
}

/** Text is compared without regard to case; a missing field equals null. */
function equal(field: unknown, wanted: unknown): boolean {
  if (field === null || field === undefined || wanted === null) {
    return (field ?? null) === wanted
  }
  return textOf(field) === textOf(wanted)
}

const textOf = (value: unknown): string =>
  (typeof value === 'string' ? value : JSON.stringify(value)).toLowerCase()

function literals(reader: Reader): unknown[] {
  reader.expect('(')
  const values = [literal(reader)]
  while (reader.accept(',')) values.push(literal(reader))
  reader.expect(')')
  return values
}

function literal(reader: Reader): unknown {
  const token = reader.next()
  if (token.literal) return /^-?\d+(\.\d+)?$/.test(token.text) ? Number(token.text) : token.text
  const word = { true: true, false: false, null: null }[token.text.toLowerCase()]
  return word === undefined ? reader.refuse() : word
}

/** Runs the stages over `rows`; `fixed` rows keep their fields, as their bytes are to be kept. */
export function runXql(query: XqlQuery, rows: readonly Row[], fixed: boolean): readonly Row[] {
  return query.stages.reduce<readonly Row[]>((found, step) => {
    switch (step.kind) {
      case 'filter':
        return found.filter((row) => step.test(row.value()))
      case 'sort':
        return sortRows(found, step.field, step.descending)
      case 'limit':
        return found.slice(0, step.count)
      case 'count':
        return [rowOf('count', () => ({ [step.as]: found.length }))]
      case 'fields':
        return fixed ? found : found.map((row) => projected(row, step.fields))
    }
  }, rows)
}

const projected = (row: Row, fields: readonly { from: string; as: string }[]): Row =>
  rowOf(row.id, () => {
    const value = row.value()
    return Object.fromEntries(fields.map(({ from, as }) => [as, value[from] ?? null]))
  })
