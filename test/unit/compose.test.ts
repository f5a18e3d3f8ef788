// Holds what docker-compose.yml and the Dockerfile promise, without needing a Docker engine.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { IMAGES } from '../../stack/containers.ts'

const DOCKER_TIMEOUT_MS = 30_000
const root = resolve(import.meta.dirname, '../..')
const text = readFileSync(join(root, 'docker-compose.yml'), 'utf8')
const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8')

const service = z.looseObject({
  image: z.string(),
  user: z.string().optional(),
  environment: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  ports: z.array(z.string()).default([]),
  volumes: z.array(z.string()).default([]),
  healthcheck: z.object({ test: z.array(z.string()), timeout: z.string() }).optional(),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).default({}),
})
const compose = z
  .looseObject({
    services: z.record(z.string(), service),
    volumes: z.record(z.string(), z.unknown()),
  })
  .parse(parse(text))
const { kafka, registry, postgres, exposure } = compose.services
const services = Object.entries(compose.services)

describe('docker-compose.yml', () => {
  it('has the three servers in the versions the stack runs, and the product', () => {
    expect([kafka?.image, registry?.image, postgres?.image]).toEqual([
      IMAGES.kafka,
      IMAGES.registry,
      IMAGES.postgres,
    ])
    expect(exposure).toMatchObject({ build: '.', command: ['start'] })
    expect(services).toHaveLength(4)
  })

  it.each(services)('pins the image of %s to a version', (_name, { image }) => {
    expect(image).toMatch(/^[a-z0-9/-]+:\d[\w.]*$/)
  })

  it.each(services)('checks the health of %s', (name, { healthcheck }) => {
    // The product's own check is in its image.
    if (name === 'exposure') expect(dockerfile).toMatch(/^HEALTHCHECK .*--timeout=\d+s/m)
    else expect(healthcheck?.test[0]).toBe('CMD')
  })

  it.each(services)('runs %s as another user than root', (name, { user }) => {
    const effective = name === 'exposure' ? dockerfile.match(/^USER (\S+)$/m)?.[1] : user
    expect(effective).toBeDefined()
    expect(effective).not.toMatch(/^(root|0)(:|$)/)
  })

  it('starts the product after all three servers are healthy', () => {
    expect(exposure?.depends_on).toEqual({
      kafka: { condition: 'service_healthy' },
      registry: { condition: 'service_healthy' },
      postgres: { condition: 'service_healthy' },
    })
  })

  it('opens ports on this machine only', () => {
    const ports = services.flatMap(([, { ports: open }]) => open)
    expect(ports).toHaveLength(3)
    expect(ports.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([])
  })

  it('keeps data in named volumes', () => {
    expect(Object.keys(compose.volumes).toSorted()).toEqual(['exposure', 'kafka', 'postgres'])
    expect(kafka?.volumes).toEqual(['kafka:/var/lib/kafka/data'])
    expect(postgres?.volumes).toEqual(['postgres:/var/lib/postgresql'])
  })

  it('takes every password from the environment and has none in an address', () => {
    const settings = services.flatMap(([, { environment }]) => Object.entries(environment))
    const passwords = settings.filter(([name]) => /password/i.test(name))
    expect(passwords).toHaveLength(3)
    for (const [name, value] of passwords) expect(value, name).toMatch(/^\$\{\w+:\?[^}]+\}$/)
    for (const [name, value] of settings) {
      expect(String(value), name).not.toMatch(/:\/\/[^/@]+:[^/@]+@/)
    }
  })

  it('names a default or a remedy for every variable, and docker compose accepts it', () => {
    const variables = [...text.matchAll(/\$\{\w+(:[-?][^}]+)?\}/g)]
    expect(variables.length).toBeGreaterThan(5)
    expect(variables.filter(([, fallback]) => fallback === undefined)).toEqual([])
    if (!hasCompose()) return
    const env = { ...process.env, POSTGRES_PASSWORD: 'of-the-test' }
    const options = { cwd: root, env, timeout: DOCKER_TIMEOUT_MS } as const
    execFileSync('docker', ['compose', 'config', '-q'], options)
  })
})

describe('the Dockerfile', () => {
  it('copies every folder the command imports', () => {
    const copied = [...dockerfile.matchAll(/^COPY (\w+) \.\/\1$/gm)].map((match) => match[1])
    const needed = ['bin', 'contracts', 'runtime', 'producers', 'transformers', 'sinks']
    expect(new Set(copied)).toEqual(new Set([...needed, 'cli', 'simulator', 'stack']))
    const ignore = readFileSync(join(root, '.dockerignore'), 'utf8').split('\n')
    for (const folder of copied) {
      expect(existsSync(join(root, folder ?? ''))).toBe(true)
      expect(ignore).toContain(`!${folder}`)
    }
  })

  it('installs what the lock file says, without what is for development', () => {
    expect(dockerfile).toMatch(/npm ci --omit=dev/)
    expect(dockerfile).toMatch(/^ENTRYPOINT \["exposure"\]$/m)
    expect(dockerfile.match(/^FROM /gm)).toHaveLength(2)
  })
})

function hasCompose(): boolean {
  try {
    const options = { stdio: 'ignore', timeout: DOCKER_TIMEOUT_MS } as const
    execFileSync('docker', ['compose', 'version'], options)
    return true
  } catch {
    return false
  }
}
