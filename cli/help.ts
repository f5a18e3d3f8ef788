// The texts of --help.
import type { Command } from './command.ts'

export const HELP = `exposure - assets and CVE findings of Prisma Cloud and Cortex as Kafka events

  exposure COMMAND [options]

  start            everything on this machine: Kafka, registry, PostgreSQL, and all stages;
                   with the simulator unless exposure.yaml has connections (npm start)
  run [STAGE ...]  producers, transformers, sinks: those named, or all three in one process
  check [NAME ...] try the connections: log in, and one cheap request per stream
  topics apply     create the topics, mend their settings, refuse another partition count
  schemas apply    register the Avro schemas with FULL_TRANSITIVE compatibility
  tail TOPIC       print the records of a topic as JSON lines
  simulate [list]  the vendors' APIs on this machine, with something going wrong by name

  exposure COMMAND --help   what one command does, its options and exit codes
  exposure --version        the version of this build
  --config FILE             default: EXPOSURE_CONFIG, else ./exposure.yaml; what it leaves out of
                            Kafka, registry and store is as \`start\` left it in ./.exposure
  --trace                   show where an error came from

Settings and secrets: exposure.yaml names secrets as env:NAME or file:PATH, never by value.
Exit codes: 0 done, 1 failed (one sentence says why), 2 wrong call, 3 a run is not COMPLETE.
`

const DETAILS: Record<Command, string> = {
  start: `exposure start [--once] [--fresh] [--machines N] [--config FILE] [--data DIR]

Starts what is given neither by exposure.yaml (kafka, registry, sinks) nor by
EXPOSURE_KAFKA_BROKERS, EXPOSURE_REGISTRY_URL or EXPOSURE_POSTGRES_URL, applies topics
and schemas, runs all stages and prints one line per stream every few seconds, and what is broken.
A server that ends by itself ends the command, with exit code 1 and one sentence.
Without connections in exposure.yaml it starts the simulator: one Prisma Cloud, two Cortex tenants.

  --once        one run of every stream, then a JSON summary as the last line of stdout.
                Exit code 0: every run COMPLETE; 3: one is not; 1: something else failed
  --fresh       throw away what earlier starts kept in DIR
  --machines N  size of the simulated estate, default 150
  --data DIR    default .exposure
`,
  run: `exposure run [producers] [transformers] [sinks] [--config FILE]

Runs the stages named, or all three, until SIGINT or SIGTERM. Topics and schemas must have been
applied. Any number of instances of transformers and sinks share the work; run producers once.
`,
  check: `exposure check [NAME ...] [--config FILE]

Per connection: logs in or validates the key, then asks one row of every endpoint it will read.
Each answer is in the words of the vendors' users, with the next step.
Exit code 0: all connections work; 3: one does not.
`,
  'topics apply': `exposure topics apply [--config FILE]

Creates missing topics, mends settings of ours that differ, names what it will not change.
`,
  'schemas apply': `exposure schemas apply [--config FILE]

Sets FULL_TRANSITIVE on each subject before its first version, then registers. An incompatible
change is refused with the registry's reason. Safe to repeat.
`,
  tail: `exposure tail TOPIC [--from-end] [--limit N] [--follow] [--config FILE]

Prints the records of a topic as JSON lines: Avro decoded, JSON parsed, else base64. TOPIC is a full
name, or one of ours without the prefix (exposure.findings). Committed records only.

  --from-end   only what arrives from now on (implies --follow)
  --limit N    stop after N records
  --follow     go on until stopped
`,
  simulate: `exposure simulate [--estate N] [--seed N] [--scenario NAME]
exposure simulate list

Starts the simulated vendors (one Prisma Cloud, two Cortex tenants) and prints one line of JSON:
addresses, made-up keys, and the control server. Runs until SIGINT or SIGTERM.
\`list\` explains every scenario, and how the run of each stream that can meet it must end.

  --estate N       machines, default 10000
  --seed N         the same seed gives the same estate and the same bytes, default 1
  --scenario NAME  what goes wrong
`,
}

export const helpOf = (command: Command): string => DETAILS[command]
