// OpenSearch for the suite over all sinks: indices of its own behind a door that can be closed.
import { onTestFinished } from 'vitest'
import { createOpenSearchSink } from '../../../sinks/opensearch/sink.ts'
import { openDoor } from '../../chaos/door.ts'
import { type Document, testStore } from '../opensearch.ts'
import { OCSF_WORDS, type OcsfDocument, heldOfOcsf } from '../sink-ocsf.ts'
import type { HeldEntity, SinkWorlds } from './sink-world.ts'

/** Documents of that format: only those of ECS keep the words of the event itself. */
export const openSearchWorldsIn = (format: 'ocsf' | 'ecs'): SinkWorlds => ({
  refused: { title: 'half a pair: \ud800' },
  ...(format === 'ocsf' ? { words: OCSF_WORDS } : {}),
  async open() {
    const store = await testStore({ format })
    const address = new URL(store.config.url)
    const door = await openDoor(address.hostname, Number(address.port))
    onTestFinished(() => door.end())
    const config = { ...store.config, url: `http://${door.address}` }
    const heldIn = async (kind: 'asset' | 'finding') =>
      (await store.documents(store.indices[kind])).map((document) => heldOf(kind, document))
    return {
      sink: () => createOpenSearchSink(config),
      held: async () => [...(await heldIn('asset')), ...(await heldIn('finding'))],
      async seen() {
        const assets = await store.documents(store.indices.asset)
        const all = [...assets, ...(await store.documents(store.indices.finding))]
        return new Map(all.map(({ id, source }) => [id, source]))
      },
      goAway: () => door.close(),
      comeBack: () => door.open(),
      empty: () => store.clear(),
    }
  },
})

function heldOf(kind: 'asset' | 'finding', { id, version, source }: Document): HeldEntity {
  const own = source['exposure'] as { readonly status: string } | undefined
  const { status } = own ?? heldOfOcsf(source as OcsfDocument)
  return { kind, uid: id, revision: version, status }
}
