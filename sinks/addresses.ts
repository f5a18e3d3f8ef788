// Which texts stores take for addresses: their index types refuse everything else.
import { isIP } from 'node:net'

/** OCSF's bound on the length of an address. */
const IP_CHARACTERS_MAX = 40
const MAC = /^(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}$/i

/** True for an IPv4 or IPv6 address without a zone. */
export const isIpAddress = (text: string): boolean =>
  isIP(text) !== 0 && !text.includes('%') && text.length <= IP_CHARACTERS_MAX

/** True for six pairs of hexadecimal digits, with colons or hyphens between them. */
export const isMacAddress = (text: string): boolean => MAC.test(text)
