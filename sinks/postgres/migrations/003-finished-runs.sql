-- What a run has closed, held back and forgotten, and how long it took.

ALTER TABLE run ADD COLUMN purged bigint NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN duration_ms bigint;
ALTER TABLE run_tally ADD COLUMN hold text;
ALTER TABLE run_tally ADD COLUMN purged bigint NOT NULL DEFAULT 0;

COMMENT ON COLUMN run.phase IS 'Latest step: STARTED, FETCHED, FINISHED; TALLY while only tallies are known.';
COMMENT ON COLUMN run.purged IS 'Entities closed long ago and forgotten by this run.';
COMMENT ON COLUMN run.duration_ms IS 'From its start to its last tally, in ms; null until it has finished.';
COMMENT ON COLUMN run_tally.hold IS 'Why this partition holds closures back; null when it does not.';
COMMENT ON COLUMN run_tally.purged IS 'Entities closed long ago and forgotten.';
