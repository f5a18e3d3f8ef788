// Addresses in one form, split into private and public; those that identify nothing are dropped.
import { BlockList, SocketAddress, isIP } from 'node:net'
import { sortedTexts } from './text.ts'

const meaningless = new BlockList()
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 3],
] as const) {
  meaningless.addSubnet(net, bits, 'ipv4')
}
for (const [net, bits] of [
  ['::', 128],
  ['::1', 128],
  ['fe80::', 10],
  ['ff00::', 8],
] as const) {
  meaningless.addSubnet(net, bits, 'ipv6')
}

const privateNets = new BlockList()
for (const [net, bits] of [
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
] as const) {
  privateNets.addSubnet(net, bits, 'ipv4')
}
privateNets.addSubnet('fc00::', 7, 'ipv6')

export type Addresses = {
  /** All of them, canonical, sorted. */
  readonly all: string[]
  readonly private: string[]
  readonly public: string[]
}

/** Loopback, link-local, multicast, unspecified and malformed addresses are left out. */
export function addressesOf(texts: readonly string[]): Addresses {
  const all = sortedTexts(texts.map(canonicalIp).filter((ip) => ip !== null))
  return {
    all,
    private: all.filter((ip) => privateNets.check(ip, familyOf(ip))),
    public: all.filter((ip) => !privateNets.check(ip, familyOf(ip))),
  }
}

function canonicalIp(text: string): string | null {
  const bare = text
    .trim()
    .replace(/^\[|\]$/g, '')
    .replace(/[%/].*$/s, '')
  if (isIP(bare) === 0) return null
  const address = new SocketAddress({ address: bare, family: familyOf(bare) }).address
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(address)?.[1]
  const ip = mapped ?? address
  return meaningless.check(ip, familyOf(ip)) ? null : ip
}

const familyOf = (ip: string): 'ipv4' | 'ipv6' => (isIP(ip) === 6 ? 'ipv6' : 'ipv4')
