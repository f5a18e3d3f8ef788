-- Every revision of assets and findings, with the time in which it was valid. What is there now
-- begins the history; older revisions come in when the topics are read again.

CREATE TABLE asset_history (
  LIKE asset INCLUDING COMMENTS,
  changed_fields text[] NOT NULL,
  ingested_at timestamptz NOT NULL,
  valid_from timestamptz NOT NULL,
  valid_to timestamptz,
  purged_at timestamptz,
  purge_offset bigint,
  is_current boolean GENERATED ALWAYS AS (valid_to IS NULL) STORED,
  PRIMARY KEY (asset_uid, revision)
);
CREATE TABLE finding_history (
  LIKE finding INCLUDING COMMENTS,
  changed_fields text[] NOT NULL,
  ingested_at timestamptz NOT NULL,
  valid_from timestamptz NOT NULL,
  valid_to timestamptz,
  purged_at timestamptz,
  purge_offset bigint,
  is_current boolean GENERATED ALWAYS AS (valid_to IS NULL) STORED,
  PRIMARY KEY (finding_uid, revision)
);

INSERT INTO asset_history
SELECT asset.*,
  ARRAY(SELECT jsonb_array_elements_text(state #> '{meta,changed_fields}')),
  to_timestamp((state #>> '{meta,ingested_at}')::float8 / 1000),
  to_timestamp(revision::float8 / 1000)
FROM asset;
INSERT INTO finding_history
SELECT finding.*,
  ARRAY(SELECT jsonb_array_elements_text(state #> '{meta,changed_fields}')),
  to_timestamp((state #>> '{meta,ingested_at}')::float8 / 1000),
  to_timestamp(revision::float8 / 1000)
FROM finding;

CREATE INDEX asset_history_valid_from ON asset_history (valid_from);
CREATE INDEX asset_history_valid_to ON asset_history (valid_to) WHERE valid_to IS NOT NULL;
CREATE INDEX finding_history_valid_from ON finding_history (valid_from);
CREATE INDEX finding_history_valid_to ON finding_history (valid_to) WHERE valid_to IS NOT NULL;

COMMENT ON TABLE asset_history IS 'Every revision of every asset. A revision was valid from valid_from until before valid_to.';
COMMENT ON COLUMN asset_history.changed_fields IS 'Dotted names of what differs from the revision before; values in state -> meta -> changes.';
COMMENT ON COLUMN asset_history.ingested_at IS 'When the raw record reached Kafka.';
COMMENT ON COLUMN asset_history.valid_from IS 'Its revision as a time: observed_at, a few ms later where two revisions share it.';
COMMENT ON COLUMN asset_history.valid_to IS 'valid_from of the next revision, or when it was purged; null: still valid.';
COMMENT ON COLUMN asset_history.purged_at IS 'When the asset was forgotten after this revision; null: it was not.';
COMMENT ON COLUMN asset_history.purge_offset IS 'Offset of the tombstone that did it.';
COMMENT ON COLUMN asset_history.is_current IS 'True for the revision that is in asset.';

COMMENT ON TABLE finding_history IS 'Every revision of every finding. A revision was valid from valid_from until before valid_to.';
COMMENT ON COLUMN finding_history.changed_fields IS 'Dotted names of what differs from the revision before; values in state -> meta -> changes.';
COMMENT ON COLUMN finding_history.ingested_at IS 'When the raw record reached Kafka.';
COMMENT ON COLUMN finding_history.valid_from IS 'Its revision as a time: observed_at, a few ms later where two revisions share it.';
COMMENT ON COLUMN finding_history.valid_to IS 'valid_from of the next revision, or when it was purged; null: still valid.';
COMMENT ON COLUMN finding_history.purged_at IS 'When the finding was forgotten after this revision; null: it was not.';
COMMENT ON COLUMN finding_history.purge_offset IS 'Offset of the tombstone that did it.';
COMMENT ON COLUMN finding_history.is_current IS 'True for the revision that is in finding.';

COMMENT ON TABLE migration IS 'Migrations that were applied to this schema.';
COMMENT ON COLUMN migration.name IS 'File.';
COMMENT ON COLUMN migration.checksum IS 'SHA-256 of the file; one that has changed since is refused.';
COMMENT ON COLUMN migration.applied_at IS 'When it was applied.';
