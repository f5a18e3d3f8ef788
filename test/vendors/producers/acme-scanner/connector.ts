// Acme Scanner as the producers see it: its streams and the connection test.
import { type VendorConnector, checkStep } from '../../../../runtime/connector.ts'
import { type AcmeScannerClient, createAcmeScannerClient } from './client.ts'
import type { AcmeScannerConnection } from './config.ts'
import { probeHosts, scannerHosts } from './scanner-hosts.ts'

/** A check should answer soon. */
const CHECK_ATTEMPTS_MAX = 3

export const acmeScannerConnector: VendorConnector<AcmeScannerConnection, AcmeScannerClient> = {
  vendor: 'acme-scanner',
  sources: [scannerHosts],
  apiHost: ({ url }) => new URL(url).host,
  connect: createAcmeScannerClient,
  resolveTenant: async ({ config }) => config.tenant ?? new URL(config.url).host,
  check: async (client) =>
    client.config.streams?.['scanner.hosts']?.enabled === false
      ? []
      : [await checkStep('read scanner.hosts', () => probeHosts(client, CHECK_ATTEMPTS_MAX))],
  close: ({ http }) => http.close(),
}
