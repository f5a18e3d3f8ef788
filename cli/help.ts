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
  connections apply          define the connections of exposure.yaml for whoever polls
  connections list           what is defined, who polls it, how its streams last ended
  connections pause NAME     stop polling it, and close nothing; connections resume NAME
  connections remove NAME    end it, and close what it alone showed, or keep that
  schemas check    compare this build's schemas with those of the registry
  replay raw       read kept raw records again, as after a new mapping: show, then publish
  runs list        how the runs ended, newest first, and what is held back
  runs show RUN    every step of one run
  runs release RUN close what a run has held back, and take it as the new measure
  sinks            the stores: how far behind each is, what is wrong with it
  reconcile        compare what each store holds with the exposure topics
  tail TOPIC       print the records of a topic as JSON lines
  dlq list         dead letters: how many, why, from where; each with --records
  dlq show LETTER  one dead letter: headers, reason, body; its bytes with --raw
  dlq replay       put dead letters back where they came from, each once
  dlq purge        give dead letters up
  simulate [list]  the vendors' APIs on this machine, with something going wrong by name

  exposure COMMAND --help   what one command does, its options and exit codes
  exposure --version        the version of this build
  --config FILE             default: EXPOSURE_CONFIG, else ./exposure.yaml; what it leaves out of
                            Kafka, registry and store is as \`start\` left it in ./.exposure
  --trace                   show where an error came from

Settings and secrets: exposure.yaml names secrets as env:NAME or file:PATH, never by value.
Exit codes: 0 done, 1 failed (one sentence says why), 2 wrong call; 3 done, but of what was looked
at something is wrong: a run is neither COMPLETE nor SKIPPED, a connection, a schema, a sink.
\`reconcile\` ends with 2 where a store differs.
`

const LETTER_FILTERS = `  --reason R      SCHEMA_VIOLATION and so on: the error types of the README
  --stage S       where it happened: PARSE, NORMALIZE, SINK, ...
  --topic T       where the record was, as raw.prisma-cloud
  --connection C  --stream S  --key K
  --since 2h      at most so old: a number and s, m, h or d
`

const DETAILS: Record<Command, string> = {
  start: `exposure start [--once] [--fresh] [--machines N] [--config FILE] [--data DIR]

Starts what is given neither by exposure.yaml (kafka, registry, sinks) nor by
EXPOSURE_KAFKA_BROKERS, EXPOSURE_REGISTRY_URL or EXPOSURE_POSTGRES_URL, applies topics
and schemas, runs all stages and prints one line per stream every few seconds, and what is broken.
A server that ends by itself ends the command, with exit code 1 and one sentence.
Without connections in exposure.yaml it starts the simulator: one Prisma Cloud, two Cortex tenants.

  --once        one run of every stream, then a JSON summary as the last line of stdout.
                Exit code 0: every run COMPLETE or SKIPPED (not bought, or not needed); 3: one is
                not; 1: something else failed
  --fresh       throw away what earlier starts kept in DIR
  --machines N  size of the simulated estate, default 150
  --data DIR    default .exposure
`,
  run: `exposure run [producers] [transformers] [sinks] [--config FILE]

Runs the stages named, or all three, until SIGINT or SIGTERM. Topics and schemas must have been
applied. Any number of instances of each share the work.
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
  'schemas check': `exposure schemas check [--config FILE]

Compares each schema of this build with every registered version, both ways, and registers nothing:
by the registry's rules, and by ours where it misses what readers meet. Names subject, version,
path and reason. Also tells of subjects that are not there or not FULL_TRANSITIVE.
Exit code 0: all fit; 3: one does not.
`,
  'replay raw': `exposure replay raw --connection NAME --stream NAME [--from RUN|latest] [--diff]
exposure replay raw --connection NAME --stream NAME --from RUN --force [--json]

Reads the kept raw records of a stream by the mapping of this build, each unit's newest since the
run named, and prints which fields of which entities change. Then writes just those records again
for the running transformers, which tell the change as MAPPING, and waits until they have. What is
older than known, gone or removed is passed over. Nothing needs to stop for it.

  --from RUN   the first run to read, as in exposure.runs; default: the last COMPLETE one
  --diff       only show
  --force      write again also what says the same
  --json       a JSON line per field, the last line the totals
`,
  'connections apply': `exposure connections apply [--config FILE]

Writes the connections of exposure.yaml to exposure.connections, secrets as references. What is
unchanged is not written; what others have defined stays. \`run\` and \`start\` do it first.
`,
  'connections list': `exposure connections list [--config FILE]

Every connection with vendor, API host, state and owner, and per stream how its last run ended.
`,
  'connections pause': `exposure connections pause NAME [--config FILE]

Stops polling it wherever that happens. What it has shown stays open; its place in a listing is
kept. Goes on until \`connections resume\`, whatever starts meanwhile.
`,
  'connections resume': `exposure connections resume NAME [--config FILE]

Ends a pause. A run that was interrupted goes on where it was.
`,
  'connections remove': `exposure connections remove NAME --keep|--close [--config FILE]

Stops its polls, forgets the connection and where its streams were, and waits until the running
transformers have closed what it alone has shown. Take it out of exposure.yaml first.

  --close   its assets and findings are closed, but for those that other connections show
  --keep    they stay as they are; nothing will ever close them
`,
  'runs list': `exposure runs list [--connection C] [--stream S] [--limit N] [--json]

Runs of the last 90 days, newest first: verdict, units fetched of those the vendor says there are,
entities closed and held back, dead letters, time until the last answer; below it the reason.
  --limit N   default 20
  --json      a JSON line per run
`,
  'runs show': `exposure runs show RUN [--json] [--config FILE]

Every step of one run: started, fetched, each raw partition's answer, finished, released.
`,
  'runs release': `exposure runs release RUN [--yes] [--timeout S] [--config FILE]

A run that shows far fewer units than before, or other ones because of new filters, closes nothing
by itself. Says how many assets and findings it holds back, and with --yes closes exactly those
that nobody has seen since; later runs are compared with this one, unless a newer one has ended
meanwhile. The transformers carry it out: waits until they have, at most S seconds (default 120).
What comes back clears the hold by itself. A run without rows of a stream that never had any is
released too: from then on the stream is known to be empty.

  --yes   close them; without it nothing is written
Exit code 0: done; 1: refused, or not answered in time (the order then stands).
`,
  sinks: `exposure sinks [--json] [--config FILE]

Every sink of exposure.yaml: whether processes run it, how many records its consumer group has not
read (markers of transactions included) and since when the oldest of them waits, the open dead
letters of its store, and below it what is wrong now, since when, with the next step. No sink needs
to run for it.

  --json   a JSON line per sink, with the lag of every topic
Exit code 0: nothing is wrong; 3: with one of them.
`,
  reconcile: `exposure reconcile [--sink NAME] [--sample N] [--seed S] [--json] [--config FILE]

Compares every store with exposure.assets and exposure.findings, as far as its sink has read them
and by its filter: what is missing, what is extra, what has another revision. It changes nothing,
and sinks may go on meanwhile. Of more than N entities it compares N from each side, and the counts.
Memory: the keys of 5 N entities, and 50 bytes per key of one partition while they are counted.

  --sink NAME   only this one
  --sample N    default and most: 10000
  --seed S      chooses the same N again
  --json        a JSON line per sink
Exit code 0: equal; 2: a store differs; 1: one could not be asked, or none can be.
`,
  tail: `exposure tail TOPIC [--from-end] [--limit N] [--follow] [--config FILE]

Prints the records of a topic as JSON lines: Avro decoded, JSON parsed, else base64. TOPIC is a full
name, or one of ours without the prefix (exposure.findings). Committed records only.

  --from-end   only what arrives from now on (implies --follow)
  --limit N    stop after N records
  --follow     go on until stopped
`,
  'dlq list': `exposure dlq list [FILTERS] [--records] [--limit N] [--all] [--json]

Counts the open dead letters by reason, stage and the topic they came from, with first and last
time. Open is what was neither replayed, put into quarantine, nor purged.

${LETTER_FILTERS}
  --records       also the letters one by one, newest first: PARTITION/OFFSET is a letter's name
  --limit N       so many of them at most, default 50
  --all           also those that are not open, with what became of them
  --json          one JSON document instead of text
`,
  'dlq show': `exposure dlq show PARTITION/OFFSET [--raw] [--config FILE]

Prints why the letter is one, where it came from, its headers and its body: text, or a hex dump
where it is none, cut where it is long.

  --raw  only the body, byte for byte, as in: exposure dlq show 0/17 --raw > body.json
`,
  'dlq replay': `exposure dlq replay (LETTER ... | FILTERS | --everything) [--dry-run]

Puts open letters back to the topic and partition they came from, byte for byte, each once: what
moves and what says that it has moved are one transaction. A record that fails again comes back as
a new letter with one attempt more; after --max-attempts it goes to exposure.quarantine instead.
Only raw records of connections that are defined are replayed. Exit code 1 when letters are named
and none of them moved.

${LETTER_FILTERS}
  --everything        every open letter
  --dry-run           print what would move, and move nothing
  --max-attempts N    default 5

Repairs of one letter, named as PARTITION/OFFSET like those above:
  --value FILE        the content of FILE instead of the body
  --set-key TEXT      another key
  --set-header NAME=VALUE, --drop-header NAME   as often as needed
`,
  'dlq purge': `exposure dlq purge (LETTER ... | FILTERS | --everything) --yes [--config FILE]

Gives open letters up: they are listed no more and not replayed. What lies before the first letter
that is open is deleted from Kafka; the rest goes when it is 30 days old.

${LETTER_FILTERS}
  --everything  every open letter
  --yes         without it, what would be given up is printed and nothing is done (exit code 2)
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
