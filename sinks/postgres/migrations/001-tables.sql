-- Current state of assets and findings, connector errors, runs, and where each consumer group stands.
-- Runs with search_path set to the configured schema. Never change this file once it is released:
-- its checksum is kept, and a changed one is refused. Add another file instead.

CREATE TABLE asset (
  asset_uid text PRIMARY KEY,
  entity_uid text NOT NULL,
  kind text NOT NULL,
  native_type text NOT NULL,
  name text NOT NULL,
  vendor text NOT NULL,
  product text NOT NULL,
  connection_id text NOT NULL,
  tenant text NOT NULL,
  stream text NOT NULL,
  native_id text NOT NULL,
  hostnames text[] NOT NULL,
  private_ips text[] NOT NULL,
  public_ips text[] NOT NULL,
  cloud_provider text,
  cloud_account_id text,
  cloud_region text,
  cloud_resource_id text,
  cloud_instance_id text,
  os_family text,
  os_name text,
  os_version text,
  internet_exposed boolean,
  criticality text,
  status text NOT NULL,
  first_seen timestamptz,
  last_seen timestamptz NOT NULL,
  gone_at timestamptz,
  reopen_count integer NOT NULL,
  change_type text NOT NULL,
  change_cause text NOT NULL,
  backfill boolean NOT NULL,
  observed_at timestamptz NOT NULL,
  run_id text,
  event_id text NOT NULL,
  mapping_version text NOT NULL,
  revision bigint NOT NULL,
  state jsonb NOT NULL,
  src_topic text NOT NULL,
  src_partition integer NOT NULL,
  src_offset bigint NOT NULL
);
CREATE INDEX asset_entity_uid ON asset (entity_uid);
CREATE INDEX asset_cloud_account_id ON asset (cloud_account_id) WHERE cloud_account_id IS NOT NULL;

COMMENT ON TABLE asset IS 'Latest revision of every asset, one row per asset as one source sees it.';
COMMENT ON COLUMN asset.asset_uid IS 'Id of the asset as this source sees it; never changes.';
COMMENT ON COLUMN asset.entity_uid IS 'Equal for two sources that share the strongest identity key.';
COMMENT ON COLUMN asset.kind IS 'HOST, VIRTUAL_MACHINE, CONTAINER_IMAGE and so on.';
COMMENT ON COLUMN asset.native_type IS 'Type in the words of the vendor.';
COMMENT ON COLUMN asset.name IS 'Display name.';
COMMENT ON COLUMN asset.vendor IS 'prisma-cloud or cortex.';
COMMENT ON COLUMN asset.product IS 'Product of the vendor.';
COMMENT ON COLUMN asset.connection_id IS 'Name of the connection.';
COMMENT ON COLUMN asset.tenant IS 'Tenant at the vendor.';
COMMENT ON COLUMN asset.stream IS 'Stream that gave the content.';
COMMENT ON COLUMN asset.native_id IS 'Id in the vendor''s system.';
COMMENT ON COLUMN asset.hostnames IS 'Lower-cased host names.';
COMMENT ON COLUMN asset.private_ips IS 'Private addresses in canonical form.';
COMMENT ON COLUMN asset.public_ips IS 'Public addresses in canonical form.';
COMMENT ON COLUMN asset.cloud_provider IS 'aws, azure, gcp and so on.';
COMMENT ON COLUMN asset.cloud_account_id IS 'Account, subscription or project.';
COMMENT ON COLUMN asset.cloud_region IS 'Region of the provider.';
COMMENT ON COLUMN asset.cloud_resource_id IS 'ARN, Azure resource id, GCP full resource name.';
COMMENT ON COLUMN asset.cloud_instance_id IS 'Id of the virtual machine.';
COMMENT ON COLUMN asset.os_family IS 'WINDOWS, LINUX, MACOS and so on.';
COMMENT ON COLUMN asset.os_name IS 'Distribution or product.';
COMMENT ON COLUMN asset.os_version IS 'Version of the operating system.';
COMMENT ON COLUMN asset.internet_exposed IS 'Null: the source does not say.';
COMMENT ON COLUMN asset.criticality IS 'Criticality as the vendor rates it, normalised.';
COMMENT ON COLUMN asset.status IS 'ACTIVE, INACTIVE or GONE.';
COMMENT ON COLUMN asset.first_seen IS 'First seen by the vendor, else by us.';
COMMENT ON COLUMN asset.last_seen IS 'Last seen by the vendor, else by us.';
COMMENT ON COLUMN asset.gone_at IS 'When it was last seen to be gone; null while it is there.';
COMMENT ON COLUMN asset.reopen_count IS 'How often it came back.';
COMMENT ON COLUMN asset.change_type IS 'What this revision changed: CREATED, UPDATED, REOPENED, GONE.';
COMMENT ON COLUMN asset.change_cause IS 'Why it changed.';
COMMENT ON COLUMN asset.backfill IS 'True for the first load of a stream.';
COMMENT ON COLUMN asset.observed_at IS 'When the connector fetched it.';
COMMENT ON COLUMN asset.run_id IS 'Run that produced this revision.';
COMMENT ON COLUMN asset.event_id IS 'Id of the event; the same event has the same id.';
COMMENT ON COLUMN asset.mapping_version IS 'Version of the mapping code.';
COMMENT ON COLUMN asset.revision IS 'Strictly increasing per asset; an older one never replaces a newer one.';
COMMENT ON COLUMN asset.state IS 'The whole event.';
COMMENT ON COLUMN asset.src_topic IS 'Topic it was read from.';
COMMENT ON COLUMN asset.src_partition IS 'Partition it was read from.';
COMMENT ON COLUMN asset.src_offset IS 'Offset it was read from.';

CREATE TABLE finding (
  finding_uid text PRIMARY KEY,
  asset_uid text NOT NULL,
  entity_uid text,
  correlation_uid text,
  asset_name text NOT NULL,
  kind text NOT NULL,
  name text NOT NULL,
  vendor text NOT NULL,
  product text NOT NULL,
  connection_id text NOT NULL,
  tenant text NOT NULL,
  stream text NOT NULL,
  native_id text NOT NULL,
  cloud_provider text,
  cloud_account_id text,
  cloud_region text,
  cloud_resource_id text,
  vuln_id text NOT NULL,
  vuln_id_scheme text NOT NULL,
  status text NOT NULL,
  resolution text NOT NULL,
  vendor_status text,
  severity text NOT NULL,
  severity_id integer NOT NULL,
  cvss_score double precision,
  epss_score double precision,
  risk_score double precision,
  known_exploited boolean,
  exploit_available boolean,
  internet_exposed boolean,
  package_name text,
  package_type text,
  package_versions text[],
  package_purl text,
  fix_available boolean,
  fix_versions text[],
  fix_text text,
  published_at timestamptz,
  first_seen timestamptz NOT NULL,
  last_seen timestamptz NOT NULL,
  resolved_at timestamptz,
  due_at timestamptz,
  reopen_count integer NOT NULL,
  change_type text NOT NULL,
  change_cause text NOT NULL,
  backfill boolean NOT NULL,
  observed_at timestamptz NOT NULL,
  run_id text,
  event_id text NOT NULL,
  mapping_version text NOT NULL,
  revision bigint NOT NULL,
  state jsonb NOT NULL,
  src_topic text NOT NULL,
  src_partition integer NOT NULL,
  src_offset bigint NOT NULL
);
CREATE INDEX finding_open_severity ON finding (severity_id DESC, last_seen DESC)
  WHERE status IN ('OPEN', 'REOPENED');
CREATE INDEX finding_asset_uid ON finding (asset_uid);
CREATE INDEX finding_entity_uid ON finding (entity_uid) WHERE entity_uid IS NOT NULL;
CREATE INDEX finding_correlation_uid ON finding (correlation_uid) WHERE correlation_uid IS NOT NULL;
CREATE INDEX finding_vuln_id ON finding (vuln_id);

COMMENT ON TABLE finding IS 'Latest revision of every finding on every asset.';
COMMENT ON COLUMN finding.finding_uid IS 'Id of the finding; never changes.';
COMMENT ON COLUMN finding.asset_uid IS 'Asset it is on; joins asset.asset_uid.';
COMMENT ON COLUMN finding.entity_uid IS 'entity_uid of the asset as known then; null while unknown.';
COMMENT ON COLUMN finding.correlation_uid IS 'Equal where two vendors see one weakness on one machine.';
COMMENT ON COLUMN finding.asset_name IS 'Name of the asset as known then.';
COMMENT ON COLUMN finding.kind IS 'VULNERABILITY, EXPOSURE, MISCONFIGURATION and so on.';
COMMENT ON COLUMN finding.name IS 'Title, one line.';
COMMENT ON COLUMN finding.vendor IS 'prisma-cloud or cortex.';
COMMENT ON COLUMN finding.product IS 'Product of the vendor.';
COMMENT ON COLUMN finding.connection_id IS 'Name of the connection.';
COMMENT ON COLUMN finding.tenant IS 'Tenant at the vendor.';
COMMENT ON COLUMN finding.stream IS 'Stream that gave the content.';
COMMENT ON COLUMN finding.native_id IS 'Id in the vendor''s system.';
COMMENT ON COLUMN finding.cloud_provider IS 'Provider of the asset.';
COMMENT ON COLUMN finding.cloud_account_id IS 'Account of the asset.';
COMMENT ON COLUMN finding.cloud_region IS 'Region of the asset.';
COMMENT ON COLUMN finding.cloud_resource_id IS 'Resource id of the asset.';
COMMENT ON COLUMN finding.vuln_id IS 'CVE, GHSA, vendor or rule id.';
COMMENT ON COLUMN finding.vuln_id_scheme IS 'cve, ghsa, vendor or rule.';
COMMENT ON COLUMN finding.status IS 'OPEN, REOPENED, RESOLVED or SUPPRESSED.';
COMMENT ON COLUMN finding.resolution IS 'Why it is not open.';
COMMENT ON COLUMN finding.vendor_status IS 'Status in the words of the vendor.';
COMMENT ON COLUMN finding.severity IS 'Normalised severity.';
COMMENT ON COLUMN finding.severity_id IS '0 unknown, 1 informational, 2 low, 3 medium, 4 high, 5 critical.';
COMMENT ON COLUMN finding.cvss_score IS 'Base score of the preferred CVSS entry, 0 to 10.';
COMMENT ON COLUMN finding.epss_score IS 'Probability of exploitation, 0 to 1.';
COMMENT ON COLUMN finding.risk_score IS 'Risk score of the vendor.';
COMMENT ON COLUMN finding.known_exploited IS 'In the CISA catalogue according to the source; null: not stated.';
COMMENT ON COLUMN finding.exploit_available IS 'An exploit or a proof of concept exists; null: not stated.';
COMMENT ON COLUMN finding.internet_exposed IS 'Exposure of the asset as the finding states it.';
COMMENT ON COLUMN finding.package_name IS 'Affected package.';
COMMENT ON COLUMN finding.package_type IS 'deb, rpm, npm and so on.';
COMMENT ON COLUMN finding.package_versions IS 'Installed versions.';
COMMENT ON COLUMN finding.package_purl IS 'Package URL without version.';
COMMENT ON COLUMN finding.fix_available IS 'A fix exists; null: not stated.';
COMMENT ON COLUMN finding.fix_versions IS 'Versions with the fix.';
COMMENT ON COLUMN finding.fix_text IS 'Fix status in the words of the vendor.';
COMMENT ON COLUMN finding.published_at IS 'Publication of the vulnerability.';
COMMENT ON COLUMN finding.first_seen IS 'First detected.';
COMMENT ON COLUMN finding.last_seen IS 'Last detected.';
COMMENT ON COLUMN finding.resolved_at IS 'When it stopped being open.';
COMMENT ON COLUMN finding.due_at IS 'End of the grace period.';
COMMENT ON COLUMN finding.reopen_count IS 'How often it came back.';
COMMENT ON COLUMN finding.change_type IS 'What this revision changed: CREATED, UPDATED, RESOLVED, REOPENED.';
COMMENT ON COLUMN finding.change_cause IS 'Why it changed.';
COMMENT ON COLUMN finding.backfill IS 'True for the first load of a stream.';
COMMENT ON COLUMN finding.observed_at IS 'When the connector fetched it.';
COMMENT ON COLUMN finding.run_id IS 'Run that produced this revision.';
COMMENT ON COLUMN finding.event_id IS 'Id of the event; the same event has the same id.';
COMMENT ON COLUMN finding.mapping_version IS 'Version of the mapping code.';
COMMENT ON COLUMN finding.revision IS 'Strictly increasing per finding; an older one never replaces a newer one.';
COMMENT ON COLUMN finding.state IS 'The whole event.';
COMMENT ON COLUMN finding.src_topic IS 'Topic it was read from.';
COMMENT ON COLUMN finding.src_partition IS 'Partition it was read from.';
COMMENT ON COLUMN finding.src_offset IS 'Offset it was read from.';

CREATE TABLE connector_error (
  error_id text PRIMARY KEY,
  fingerprint text NOT NULL,
  state text NOT NULL,
  error_type text NOT NULL,
  stage text NOT NULL,
  severity text NOT NULL,
  retryable boolean NOT NULL,
  connection_id text,
  vendor text,
  product text,
  stream text,
  run_id text,
  sink_id text,
  message text NOT NULL,
  remediation text NOT NULL,
  http_status integer,
  occurrences bigint NOT NULL,
  first_at timestamptz NOT NULL,
  last_at timestamptz NOT NULL,
  next_attempt_at timestamptz,
  event jsonb NOT NULL,
  src_topic text NOT NULL,
  src_partition integer NOT NULL,
  src_offset bigint NOT NULL
);
CREATE INDEX connector_error_fingerprint ON connector_error (fingerprint, last_at DESC, src_offset DESC);

COMMENT ON TABLE connector_error IS 'Connector-error events: every report of a fault, and of its end.';
COMMENT ON COLUMN connector_error.error_id IS 'Id of the event.';
COMMENT ON COLUMN connector_error.fingerprint IS 'Groups the reports of one condition.';
COMMENT ON COLUMN connector_error.state IS 'RAISED, ONGOING or CLEARED.';
COMMENT ON COLUMN connector_error.error_type IS 'The closed list of failures.';
COMMENT ON COLUMN connector_error.stage IS 'Where it happened.';
COMMENT ON COLUMN connector_error.severity IS 'INFORMATIONAL when cleared.';
COMMENT ON COLUMN connector_error.retryable IS 'Whether the component tries again by itself.';
COMMENT ON COLUMN connector_error.connection_id IS 'Name of the connection.';
COMMENT ON COLUMN connector_error.vendor IS 'prisma-cloud or cortex.';
COMMENT ON COLUMN connector_error.product IS 'Product of the vendor.';
COMMENT ON COLUMN connector_error.stream IS 'Stream.';
COMMENT ON COLUMN connector_error.run_id IS 'Run.';
COMMENT ON COLUMN connector_error.sink_id IS 'Sink.';
COMMENT ON COLUMN connector_error.message IS 'What happened, without secrets.';
COMMENT ON COLUMN connector_error.remediation IS 'What to do next.';
COMMENT ON COLUMN connector_error.http_status IS 'Status of the HTTP call that failed.';
COMMENT ON COLUMN connector_error.occurrences IS 'How often since first_at.';
COMMENT ON COLUMN connector_error.first_at IS 'First occurrence.';
COMMENT ON COLUMN connector_error.last_at IS 'Latest occurrence.';
COMMENT ON COLUMN connector_error.next_attempt_at IS 'When it is tried again.';
COMMENT ON COLUMN connector_error.event IS 'The whole event.';
COMMENT ON COLUMN connector_error.src_topic IS 'Topic it was read from.';
COMMENT ON COLUMN connector_error.src_partition IS 'Partition it was read from.';
COMMENT ON COLUMN connector_error.src_offset IS 'Offset it was read from.';

CREATE VIEW open_connector_error AS
SELECT *
FROM (
  SELECT DISTINCT ON (fingerprint) *
  FROM connector_error
  ORDER BY fingerprint, last_at DESC, src_offset DESC
) AS latest
WHERE state <> 'CLEARED';
COMMENT ON VIEW open_connector_error IS 'What is broken now: the latest report of each condition that has not cleared.';

CREATE TABLE run (
  connection_id text NOT NULL,
  stream text NOT NULL,
  run_id text NOT NULL,
  vendor text NOT NULL,
  product text NOT NULL,
  tenant text NOT NULL,
  scope text NOT NULL,
  phase text NOT NULL,
  phase_rank integer NOT NULL,
  kind text NOT NULL,
  verdict text NOT NULL,
  reason text,
  hold text,
  started_at timestamptz NOT NULL,
  at timestamptz NOT NULL,
  partitions integer NOT NULL,
  declared bigint,
  pages bigint NOT NULL,
  fetched bigint NOT NULL,
  published bigint NOT NULL,
  too_large bigint NOT NULL,
  tallies integer NOT NULL DEFAULT 0,
  units_seen bigint NOT NULL DEFAULT 0,
  dead_lettered bigint NOT NULL DEFAULT 0,
  closed bigint NOT NULL DEFAULT 0,
  held bigint NOT NULL DEFAULT 0,
  src_topic text NOT NULL,
  src_partition integer NOT NULL,
  src_offset bigint NOT NULL,
  PRIMARY KEY (connection_id, stream, run_id)
);
CREATE INDEX run_started_at ON run (started_at DESC);

COMMENT ON TABLE run IS 'The ledger of runs: one row per run, its latest step, and the sum of its tallies.';
COMMENT ON COLUMN run.connection_id IS 'Name of the connection.';
COMMENT ON COLUMN run.stream IS 'Stream.';
COMMENT ON COLUMN run.run_id IS 'Id of the run; sorts by start.';
COMMENT ON COLUMN run.vendor IS 'prisma-cloud or cortex.';
COMMENT ON COLUMN run.product IS 'Product of the vendor.';
COMMENT ON COLUMN run.tenant IS 'Tenant at the vendor.';
COMMENT ON COLUMN run.scope IS 'Hash of connection, stream and the filters in force.';
COMMENT ON COLUMN run.phase IS 'Latest step of the producer: STARTED, FETCHED, FINISHED; TALLY while only tallies are known.';
COMMENT ON COLUMN run.phase_rank IS 'Order of the phases: TALLY 0, STARTED 1, FETCHED 2, FINISHED 3.';
COMMENT ON COLUMN run.kind IS 'SNAPSHOT or INCREMENTAL.';
COMMENT ON COLUMN run.verdict IS 'COMPLETE, DRIFTED, PARTIAL or FAILED; UNKNOWN while it runs.';
COMMENT ON COLUMN run.reason IS 'Why it is not COMPLETE.';
COMMENT ON COLUMN run.hold IS 'Why closures of this run are held; null when they are not.';
COMMENT ON COLUMN run.started_at IS 'Start of the run.';
COMMENT ON COLUMN run.at IS 'Time of the latest step.';
COMMENT ON COLUMN run.partitions IS 'How many tallies a finished run has.';
COMMENT ON COLUMN run.declared IS 'Units the vendor says there are.';
COMMENT ON COLUMN run.pages IS 'Pages fetched.';
COMMENT ON COLUMN run.fetched IS 'Units fetched.';
COMMENT ON COLUMN run.published IS 'Units published.';
COMMENT ON COLUMN run.too_large IS 'Units too large to publish.';
COMMENT ON COLUMN run.tallies IS 'Tallies so far; equal to partitions when the run has been transformed.';
COMMENT ON COLUMN run.units_seen IS 'Units the transformers have met.';
COMMENT ON COLUMN run.dead_lettered IS 'Of these, units in the dead-letter topic.';
COMMENT ON COLUMN run.closed IS 'Entities closed.';
COMMENT ON COLUMN run.held IS 'Closures held back.';
COMMENT ON COLUMN run.src_topic IS 'Topic it was read from.';
COMMENT ON COLUMN run.src_partition IS 'Partition it was read from.';
COMMENT ON COLUMN run.src_offset IS 'Offset it was read from.';

CREATE TABLE run_tally (
  connection_id text NOT NULL,
  stream text NOT NULL,
  run_id text NOT NULL,
  raw_partition integer NOT NULL,
  units_seen bigint NOT NULL,
  dead_lettered bigint NOT NULL,
  closed bigint NOT NULL,
  held bigint NOT NULL,
  outputs jsonb NOT NULL,
  at timestamptz NOT NULL,
  src_topic text NOT NULL,
  src_partition integer NOT NULL,
  src_offset bigint NOT NULL,
  PRIMARY KEY (connection_id, stream, run_id, raw_partition)
);

COMMENT ON TABLE run_tally IS 'What the transformer of one raw partition says of a run.';
COMMENT ON COLUMN run_tally.connection_id IS 'Name of the connection.';
COMMENT ON COLUMN run_tally.stream IS 'Stream.';
COMMENT ON COLUMN run_tally.run_id IS 'Id of the run.';
COMMENT ON COLUMN run_tally.raw_partition IS 'Raw partition.';
COMMENT ON COLUMN run_tally.units_seen IS 'Units of the run met in this partition.';
COMMENT ON COLUMN run_tally.dead_lettered IS 'Of these, units in the dead-letter topic.';
COMMENT ON COLUMN run_tally.closed IS 'Entities closed by this run.';
COMMENT ON COLUMN run_tally.held IS 'Closures held back.';
COMMENT ON COLUMN run_tally.outputs IS 'Highest offset written per output partition.';
COMMENT ON COLUMN run_tally.at IS 'Time of the tally.';
COMMENT ON COLUMN run_tally.src_topic IS 'Topic it was read from.';
COMMENT ON COLUMN run_tally.src_partition IS 'Partition it was read from.';
COMMENT ON COLUMN run_tally.src_offset IS 'Offset it was read from.';

CREATE TABLE sink_offset (
  consumer_group text NOT NULL,
  topic text NOT NULL,
  partition integer NOT NULL,
  next_offset bigint NOT NULL,
  PRIMARY KEY (consumer_group, topic, partition)
);
COMMENT ON TABLE sink_offset IS 'Where to go on, moved in the transaction that writes the rows.';
COMMENT ON COLUMN sink_offset.consumer_group IS 'Kafka consumer group of the writer.';
COMMENT ON COLUMN sink_offset.topic IS 'Topic.';
COMMENT ON COLUMN sink_offset.partition IS 'Partition.';
COMMENT ON COLUMN sink_offset.next_offset IS 'Everything below is in the tables.';
