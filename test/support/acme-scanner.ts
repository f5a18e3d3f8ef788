// The made-up vendor of docs/adding-a-vendor.md: its simulated API, connected to or recorded.
import { readFileSync } from 'node:fs'
import { onTestFinished } from 'vitest'
import type { PipelineError } from '../../contracts/errors.ts'
import { createFaults } from '../../simulator/faults.ts'
import type { Value } from '../../simulator/rows.ts'
import { startSite } from '../../simulator/site.ts'
import { createCounter } from '../../simulator/stats.ts'
import { acmeScannerConnection } from '../vendors/producers/acme-scanner/config.ts'
import { acmeScannerConnector } from '../vendors/producers/acme-scanner/connector.ts'
import { scannerHosts } from '../vendors/producers/acme-scanner/scanner-hosts.ts'
import { createScannerSite } from '../vendors/simulator/acme-scanner/site.ts'
import { contextOf, secret } from './connect.ts'
import { recordingProxy } from './recording-proxy.ts'
import type { SubjectWorld } from './source-rules.ts'
import { type Opened, QUICK, type Settings, openedAs } from './sources.ts'

const VENDOR = 'acme-scanner'
const STREAM = 'scanner.hosts'
/** Five pages. */
const HOSTS = 23
const PAGE_SIZE = 5

/** The hosts of the fixture. */
export const fixtureHosts = (): readonly Value[] => {
  const file = new URL('../vendors/fixtures/acme-scanner/hosts.json', import.meta.url)
  return JSON.parse(readFileSync(file, 'utf8')) as Value[]
}

/** The fixture's hosts again and again, each with an id of its own. */
const manyHosts = (): readonly Value[] => {
  const hosts = fixtureHosts()
  return Array.from({ length: HOSTS }, (_, index) => ({
    ...hosts[index % hosts.length],
    hostId: `host-${index}`,
  }))
}

/** A simulated account, stopped with the test; `hosts` is asked for anew with every page. */
export async function runScanner(hosts: () => readonly Value[]) {
  const token = 'made-up-token-of-an-account'
  const faults = createFaults()
  const counter = createCounter(VENDOR, 'acme')
  const site = createScannerSite({ token, tenant: 'acme', hosts })
  const running = await startSite(site, { port: 0, faults, counter, clock: Date.now })
  onTestFinished(() => running.stop())
  return { url: running.url, token, faults, stats: counter.stats }
}
type Scanner = Awaited<ReturnType<typeof runScanner>>

/** A connection as exposure.yaml has it. */
export const scannerConfig = (
  { url, token }: Pick<Scanner, 'url' | 'token'>,
  more: Settings = {},
) =>
  acmeScannerConnection.parse({
    name: 'acme-test',
    type: VENDOR,
    url,
    token: secret(token),
    tenant: 'acme',
    pageSize: PAGE_SIZE,
    requestsPerSecond: 1_000,
    ...more,
  })

/** A client that ends with the test, and the faults that it has told. */
export function connectScanner(access: Pick<Scanner, 'url' | 'token'>, settings: Settings = {}) {
  const faults: PipelineError[] = []
  const client = acmeScannerConnector.connect(
    scannerConfig(access, settings),
    contextOf(faults, QUICK),
  )
  onTestFinished(() => acmeScannerConnector.close(client))
  return { client, faults }
}

function openedScanner(access: Pick<Scanner, 'url' | 'token'>, settings: Settings = {}): Opened {
  const { client, faults } = connectScanner(access, settings)
  return openedAs(scannerHosts, client, faults, [access.token])
}

/** An account with several pages of hosts. */
export async function scannerWorld(): Promise<SubjectWorld> {
  const scanner = await runScanner(manyHosts)
  return {
    faults: scanner.faults,
    open: (settings) => openedScanner(scanner, settings),
    recorded: async () => {
      const proxy = await recordingProxy(scanner.url)
      return {
        opened: openedScanner({ ...scanner, url: proxy.url }),
        served: () => Buffer.concat(proxy.exchanges.map(({ answer }) => answer)),
      }
    },
    rowCalls: () => scanner.stats.endpoints[STREAM]?.requests ?? 0,
  }
}
