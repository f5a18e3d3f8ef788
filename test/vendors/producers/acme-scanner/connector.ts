// Acme Scanner as the producers see it: its streams and the connection test.
import { type VendorConnector, checkSources } from '../../../../runtime/connector.ts'
import { type AcmeScannerClient, createAcmeScannerClient } from './client.ts'
import type { AcmeScannerConnection } from './config.ts'
import { scannerHosts } from './scanner-hosts.ts'

const SOURCES = [scannerHosts]

export const acmeScannerConnector: VendorConnector<AcmeScannerConnection, AcmeScannerClient> = {
  vendor: 'acme-scanner',
  sources: SOURCES,
  apiHost: ({ url }) => new URL(url).host,
  connect: createAcmeScannerClient,
  resolveTenant: async ({ config }) => config.tenant ?? new URL(config.url).host,
  check: (client) => checkSources(client, wanted(client)),
  close: ({ http }) => http.close(),
}

/** There is but one stream. */
const wanted = ({ config }: AcmeScannerClient) =>
  config.streams?.['scanner.hosts']?.enabled === false ? [] : SOURCES
