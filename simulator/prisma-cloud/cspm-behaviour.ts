// What is not known of CSPM's answers, as switches: each is a way in which a tenant may behave.

export type CspmBehaviour = {
  /** What the last page of a configuration search says of a next one. */
  readonly lastToken: 'absent' | 'empty' | 'null' | 'repeated' | 'one-more'
  /** The form of the inventory's nextPageToken. */
  readonly scanToken: 'text' | 'object'
  /** Bytes in a page token, at least: it is the tenant's own text, and may outgrow any URL. */
  readonly tokenBytesMin: number
  /** Names that this tenant does not know: the search answers 400. */
  readonly unknownApis: readonly string[]
  /** Rows of a page, whatever is asked for. */
  readonly configRowsMax: number
  readonly scanRowsMax: number
  /** Inventory pages asked for with a larger limit end in 504. */
  readonly scanTimeoutAbove: number
  /** The download ends after so many rows, without a word. */
  readonly downloadRowsMax: number
  /** How often a download is answered with 202 before it is there. */
  readonly downloadNotReady: number
  /** A download without rows: only the header row, or nothing at all. */
  readonly emptyDownload: 'header' | 'nothing'
  /** Rows of a page of the interactive searches. */
  readonly searchRowsMax: number
}

export const CSPM_BEHAVIOUR: CspmBehaviour = {
  lastToken: 'absent',
  scanToken: 'text',
  tokenBytesMin: 0,
  unknownApis: [],
  configRowsMax: 100,
  scanRowsMax: 10_000,
  scanTimeoutAbove: Infinity,
  downloadRowsMax: 10_000,
  downloadNotReady: 0,
  emptyDownload: 'header',
  searchRowsMax: 100,
}
