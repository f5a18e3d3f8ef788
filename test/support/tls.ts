// A private authority and servers with its certificates, made anew: the repository holds no key.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type IncomingMessage, type ServerResponse, request } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream'
import { generate } from 'selfsigned'
import { onTestFinished } from 'vitest'

/** Selfsigned's own default is SHA-1, which TLS refuses. */
const KIND = { algorithm: 'sha256', keyType: 'ec', curve: 'P-256' } as const

export type KeyPair = { readonly key: string; readonly cert: string }
export type Authority = {
  /** Its certificate, and a file with it. */
  readonly pem: string
  readonly caFile: string
  /** Key and certificate of a server with this DNS name. */
  sign(name: string): Promise<KeyPair>
}

/** An authority that nobody trusts by default; its file goes with the test. */
export async function createAuthority(): Promise<Authority> {
  const made = await generate([{ name: 'commonName', value: 'Private test authority' }], {
    ...KIND,
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  })
  const folder = mkdtempSync(join(tmpdir(), 'private-ca-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const caFile = join(folder, 'ca.pem')
  writeFileSync(caFile, made.cert)
  return {
    pem: made.cert,
    caFile,
    sign: async (name) => {
      const pair = await generate([{ name: 'commonName', value: name }], {
        ...KIND,
        ca: { key: made.private, cert: made.cert },
        extensions: [
          { name: 'basicConstraints', cA: false },
          { name: 'extKeyUsage', serverAuth: true },
          { name: 'subjectAltName', altNames: [{ type: 2, value: name }] },
        ],
      })
      return { key: pair.private, cert: pair.cert }
    },
  }
}

/** Ends TLS in front of the HTTP server at `target`, and stops with the test. */
export async function serveTls(target: string, pair: KeyPair): Promise<{ readonly port: number }> {
  const server = createServer({ ...pair }, (asked, response) => forward(target, asked, response))
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((done) => server.close(done))
  })
  return { port: (server.address() as AddressInfo).port }
}

/** The host that the client asked for is passed on, so that links lead here again. */
function forward(target: string, asked: IncomingMessage, response: ServerResponse): void {
  const headers = { ...asked.headers, 'x-forwarded-proto': 'https' }
  const options = { method: asked.method ?? 'GET', headers }
  const inner = request(`${target}${asked.url ?? '/'}`, options, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    // A break on one side breaks the other.
    pipeline(answer, response, () => {})
  })
  inner.on('error', () => response.destroy())
  pipeline(asked, inner, () => {})
}
