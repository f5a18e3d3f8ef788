// Names of container images: registry, repository, tag and digest out of one text, and back.

export type ImageReference = {
  readonly registry: string | null
  readonly repository: string | null
  readonly tag: string | null
}

const DIGEST = /sha256:[0-9a-f]{64}$/i

/** True for `sha256:` and 64 digits. */
export const isSha256 = (text: string | null): text is string =>
  text !== null && /^sha256:[0-9a-f]{64}$/i.test(text)

/** The digest at the end of `registry/repository@sha256:…`, lower-case; null without one. */
export const digestIn = (text: string | null): string | null =>
  DIGEST.exec(text ?? '')?.[0].toLowerCase() ?? null

/** The parts of `registry.example:5000/team/shop:1.4@sha256:…`; all null for an id alone. */
export function imageReferenceOf(text: string | null): ImageReference {
  const bare = (text ?? '').replace(/@?sha256:[0-9a-f]*$/i, '')
  if (bare === '') return { registry: null, repository: null, tag: null }
  const parts = bare.split('/')
  const first = parts[0] ?? ''
  // Docker's own rule: a first part without dot and port is part of the repository.
  const isHost = parts.length > 1 && (/[.:]/.test(first) || first === 'localhost')
  const path = (isHost ? parts.slice(1) : parts).join('/')
  const colon = path.lastIndexOf(':')
  return {
    registry: isHost ? first : null,
    repository: colon < 0 ? path : path.slice(0, colon),
    tag: colon < 0 ? null : path.slice(colon + 1),
  }
}

/** `registry/repository:tag` of the parts that there are; null without a repository. */
export function referenceText({ registry, repository, tag }: ImageReference): string | null {
  if (repository === null) return null
  const path = registry === null ? repository : `${registry}/${repository}`
  return tag === null ? path : `${path}:${tag}`
}
