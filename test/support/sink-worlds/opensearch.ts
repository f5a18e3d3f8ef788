// OpenSearch for the suite over all sinks: indices of its own behind a door that can be closed.
import { onTestFinished } from 'vitest'
import { createOpenSearchSink } from '../../../sinks/opensearch/sink.ts'
import { openDoor } from '../../chaos/door.ts'
import { type Document, testStore } from '../opensearch.ts'
import type { HeldEntity, SinkWorlds } from './sink-world.ts'

export const openSearchWorlds: SinkWorlds = {
  refused: { title: 'half a pair: \ud800' },
  async open() {
    // ECS documents keep the words of the event itself.
    const store = await testStore({ format: 'ecs' })
    const address = new URL(store.config.url)
    const door = await openDoor(address.hostname, Number(address.port))
    onTestFinished(() => door.end())
    const config = { ...store.config, url: `http://${door.address}` }
    const heldIn = async (kind: 'asset' | 'finding') =>
      (await store.documents(store.indices[kind])).map((document) => heldOf(kind, document))
    return {
      sink: () => createOpenSearchSink(config),
      held: async () => [...(await heldIn('asset')), ...(await heldIn('finding'))],
      async seen(uid) {
        const assets = await store.documents(store.indices.asset)
        const all = [...assets, ...(await store.documents(store.indices.finding))]
        return all.find(({ id }) => id === uid)?.source ?? null
      },
      goAway: () => door.close(),
      comeBack: () => door.open(),
      empty: () => store.clear(),
    }
  },
}

function heldOf(kind: HeldEntity['kind'], { id, version, source }: Document): HeldEntity {
  const { status } = source['exposure'] as { readonly status: string }
  return { kind, uid: id, revision: version, status }
}
