// The four test projects: unit needs nothing; the others share one stack.
import { defineConfig } from 'vitest/config'

const common = {
  testTimeout: 60_000,
  hookTimeout: 180_000,
  // kafkajs retries far less where NODE_ENV says test: the product must be seen as it runs.
  env: { NODE_ENV: 'development' },
}
const globalSetup = ['test/support/global-setup.ts']
/** Real servers, on a machine that may be five times slower than this one. */
const withStack = { ...common, testTimeout: 240_000, globalSetup }

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      { test: { ...common, name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      { test: { ...withStack, name: 'conformance', include: ['test/conformance/**/*.test.ts'] } },
      { test: { ...withStack, name: 'integration', include: ['test/integration/**/*.test.ts'] } },
      { test: { ...withStack, name: 'chaos', include: ['test/chaos/**/*.test.ts'] } },
    ],
  },
})
