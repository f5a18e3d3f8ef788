// Deals out partitions so that state stays where it is in memory: each member claims what it holds.
import type { PartitionAssigner } from 'kafkajs'
import { z } from 'zod'
import { AssignerProtocol } from './kafkajs.ts'

const NAME = 'exposure-sticky'
const VERSION = 1

/** A partition held in memory, and when its holder last committed there (epoch ms; 0: never). */
export type Claim = { readonly partition: number; readonly committedAtMs: number }
export type Member = { readonly memberId: string; readonly claims: readonly Claim[] }

const claimsSchema = z.array(z.tuple([z.number(), z.number()]))

/**
 * One topic's partitions for the members of a group: shares differ by at most one, a partition
 * stays with its holder where its share allows. Of several claims the latest commit wins: a member
 * that
 * was asleep still claims what others have long taken over.
 */
export function dealOut(
  partitions: readonly number[],
  members: readonly Member[],
): Map<string, number[]> {
  const holder = new Map<number, { memberId: string; committedAtMs: number }>()
  for (const { memberId, claims } of members) {
    for (const { partition, committedAtMs } of claims) {
      const other = holder.get(partition)
      if (other !== undefined && other.committedAtMs >= committedAtMs) continue
      holder.set(partition, { memberId, committedAtMs })
    }
  }
  const held = (id: string): number[] => partitions.filter((p) => holder.get(p)?.memberId === id)
  // Who holds most is asked first, so that the larger shares go where they move least.
  const order = members
    .map(({ memberId }) => ({ memberId, held: held(memberId), got: [] as number[] }))
    .toSorted((a, b) => b.held.length - a.held.length || (a.memberId < b.memberId ? -1 : 1))
  const share = Math.floor(partitions.length / members.length)
  let larger = partitions.length % members.length
  const free = new Set(partitions)
  for (const member of order) {
    const most = larger > 0 && member.held.length > share ? share + 1 : share
    if (most > share) larger -= 1
    member.got = member.held.slice(0, most)
    for (const partition of member.got) free.delete(partition)
  }
  for (const partition of free) {
    const least = order.reduce((a, b) => (b.got.length < a.got.length ? b : a))
    least.got.push(partition)
  }
  return new Map(order.map(({ memberId, got }) => [memberId, got.toSorted((a, b) => a - b)]))
}

/** `claims` is asked at every join: kafkajs calls protocol() each time. */
export function stickyAssigner(topic: string, claims: () => readonly Claim[]): PartitionAssigner {
  return ({ cluster }) => ({
    name: NAME,
    version: VERSION,
    protocol: ({ topics }) => ({
      name: NAME,
      metadata: AssignerProtocol.MemberMetadata.encode({
        version: VERSION,
        topics,
        userData: encodeClaims(claims()),
      }),
    }),
    async assign({ members }) {
      const partitions = cluster.findTopicPartitionMetadata(topic).map((p) => p.partitionId)
      const known = members.map(({ memberId, memberMetadata }) => ({
        memberId,
        claims: decodeClaims(memberMetadata),
      }))
      const dealt = dealOut(
        partitions.toSorted((a, b) => a - b),
        known,
      )
      return [...dealt].map(([memberId, got]) => ({
        memberId,
        memberAssignment: AssignerProtocol.MemberAssignment.encode({
          version: VERSION,
          assignment: { [topic]: got },
          userData: Buffer.alloc(0),
        }),
      }))
    },
  })
}

const encodeClaims = (claims: readonly Claim[]): Buffer =>
  Buffer.from(JSON.stringify(claims.map((c) => [c.partition, c.committedAtMs])))

/** What cannot be read claims nothing: another version's member gets its share all the same. */
function decodeClaims(metadata: Buffer): Claim[] {
  const text = AssignerProtocol.MemberMetadata.decode(metadata)?.userData.toString() ?? ''
  const parsed = claimsSchema.safeParse(parseJson(text))
  if (!parsed.success) return []
  return parsed.data.map(([partition, committedAtMs]) => ({ partition, committedAtMs }))
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
