// Broken promises, collected: one line each, of every kind the first few.

const SHOWN_MAX = 5

export class Problems {
  readonly #byKind = new Map<string, string[]>()

  /** `kind` says which promise, `detail` where. */
  add(kind: string, detail: string): void {
    const details = this.#byKind.get(kind) ?? []
    this.#byKind.set(kind, details)
    details.push(detail)
  }

  /** Adds unless it holds. */
  expect(holds: boolean, kind: string, detail: () => string): void {
    if (!holds) this.add(kind, detail())
  }

  list(): string[] {
    return [...this.#byKind].flatMap(([kind, details]) => {
      const shown = details.slice(0, SHOWN_MAX).map((detail) => `${kind}: ${detail}`)
      const more = details.length - shown.length
      return more === 0 ? shown : [...shown, `${kind}: ${more} more`]
    })
  }
}
