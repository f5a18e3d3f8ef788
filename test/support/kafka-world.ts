// A scene of a test's own on the stack of the test run.
import { randomBytes } from 'node:crypto'
import { onTestFinished } from 'vitest'
import type { OutRecord } from '../../runtime/kafka/types.ts'
import { openScene, type Scene } from './kafka-scene.ts'
import { randomPrefix, stack } from './stack.ts'

export { testLog } from './kafka-scene.ts'
export type World = Omit<Scene, 'close'>

/** Deletes its topics and closes its clients when the test is over. */
export async function openWorld(): Promise<World> {
  const scene = await openScene(stack().brokers, randomPrefix())
  onTestFinished(() => scene.close())
  return scene
}

export const randomName = (): string => randomBytes(4).toString('hex')

/** A record to write; `value` is text. */
export const outRecord = (
  topic: string,
  partition: number,
  key: string,
  value: string | null = 'v',
  headers: Record<string, string> = {},
): OutRecord => ({
  topic,
  partition,
  key,
  value: value === null ? null : Buffer.from(value),
  headers,
})
