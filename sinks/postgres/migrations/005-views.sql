-- What data teams ask for: docs/postgres.md has queries on these views.

CREATE INDEX finding_open_first_seen ON finding (first_seen)
  WHERE status IN ('OPEN', 'REOPENED');
CREATE INDEX finding_open_known_exploited ON finding (asset_uid)
  WHERE known_exploited AND status IN ('OPEN', 'REOPENED');
CREATE INDEX finding_open_internet_exposed ON finding (asset_uid)
  WHERE internet_exposed AND status IN ('OPEN', 'REOPENED');
CREATE INDEX asset_internet_exposed ON asset (entity_uid) WHERE internet_exposed;
CREATE INDEX vulnerability_known_exploited ON vulnerability (vuln_id) WHERE known_exploited;
CREATE INDEX finding_history_turns ON finding_history (finding_uid, revision)
  WHERE change_type IN ('CREATED', 'REOPENED') OR status = 'RESOLVED';
CREATE INDEX run_confirming ON run (connection_id, stream, started_at DESC)
  WHERE phase = 'FINISHED' AND verdict = 'COMPLETE' AND kind = 'SNAPSHOT'
    AND hold IS NULL AND held = 0;
CREATE INDEX run_at ON run (at);
CREATE INDEX connector_error_last_at ON connector_error (last_at);

CREATE VIEW last_complete_run AS
SELECT DISTINCT ON (connection_id, stream)
  connection_id, stream, run_id, started_at, at, units_seen,
  dead_lettered + too_large AS unread_units
FROM run
WHERE phase = 'FINISHED' AND verdict = 'COMPLETE' AND kind = 'SNAPSHOT'
  AND hold IS NULL AND held = 0
ORDER BY connection_id, stream, started_at DESC;

COMMENT ON VIEW last_complete_run IS
  'Of every stream, the last run that listed all there is and held no closure back.';
COMMENT ON COLUMN last_complete_run.at IS 'When the last raw partition had answered.';
COMMENT ON COLUMN last_complete_run.unread_units IS
  'Units that could not be read: what they showed before stays as it is.';

CREATE VIEW open_finding AS
SELECT f.finding_uid, f.asset_uid, f.entity_uid, f.asset_name, f.vendor, f.product,
  f.connection_id, f.stream, f.kind, f.name, f.vuln_id, f.severity, f.severity_id, f.status,
  f.cvss_score, f.epss_score, f.known_exploited, f.exploit_available, f.internet_exposed,
  f.package_name, f.package_versions, f.fix_available, f.fix_versions, f.fix_text,
  f.first_seen, f.due_at, f.reopen_count, f.backfill, f.observed_at,
  greatest(0, floor(extract(epoch FROM now() - f.first_seen) / 86400))::integer AS age_days,
  CASE
    WHEN f.first_seen > now() - interval '7 days' THEN '0-6 days'
    WHEN f.first_seen > now() - interval '30 days' THEN '7-29 days'
    WHEN f.first_seen > now() - interval '90 days' THEN '30-89 days'
    ELSE '90+ days'
  END AS age_band,
  greatest(f.observed_at, r.started_at) AS last_confirmed_at,
  r.run_id AS confirming_run_id,
  r.unread_units AS confirming_run_unread_units
FROM finding AS f
LEFT JOIN last_complete_run AS r USING (connection_id, stream)
WHERE f.status IN ('OPEN', 'REOPENED');

COMMENT ON VIEW open_finding IS
  'Findings that are open, with their age and when a whole listing last showed them.';
COMMENT ON COLUMN open_finding.age_days IS
  'Whole days since first_seen; a reopened finding keeps its first_seen.';
COMMENT ON COLUMN open_finding.age_band IS '0-6 days, 7-29 days, 30-89 days or 90+ days.';
COMMENT ON COLUMN open_finding.last_confirmed_at IS
  'Start of the last complete run of its stream, for what is open after it was in it; observed_at where that is later or there is no such run.';
COMMENT ON COLUMN open_finding.confirming_run_id IS 'That run; null: its stream has had none.';
COMMENT ON COLUMN open_finding.confirming_run_unread_units IS
  'Units of that run which could not be read: findings of these are not confirmed by it.';

CREATE VIEW open_finding_age AS
SELECT severity_id, severity, age_band,
  count(*) AS findings,
  count(DISTINCT asset_uid) AS assets,
  count(*) FILTER (WHERE known_exploited) AS known_exploited,
  count(*) FILTER (WHERE fix_available) AS with_fix,
  max(age_days) AS oldest_days
FROM open_finding
GROUP BY severity_id, severity, age_band;

COMMENT ON VIEW open_finding_age IS 'Open findings by severity and age.';
COMMENT ON COLUMN open_finding_age.age_band IS '0-6 days, 7-29 days, 30-89 days or 90+ days since first_seen.';
COMMENT ON COLUMN open_finding_age.findings IS 'Open findings.';
COMMENT ON COLUMN open_finding_age.assets IS 'Assets that have them, as each source sees its own.';
COMMENT ON COLUMN open_finding_age.known_exploited IS 'Of these findings, known to be exploited.';
COMMENT ON COLUMN open_finding_age.with_fix IS 'Of these findings, with a fix.';
COMMENT ON COLUMN open_finding_age.oldest_days IS 'Age of the oldest, in days.';

CREATE VIEW finding_episode AS
WITH turn AS (
  SELECT finding_uid, revision, valid_from, status, backfill, change_type, severity, severity_id,
    connection_id, vendor, product, asset_uid, vuln_id, resolution,
    status IN ('OPEN', 'REOPENED') AND change_type IN ('CREATED', 'REOPENED') AS begins,
    count(*) FILTER (
      WHERE status IN ('OPEN', 'REOPENED') AND change_type IN ('CREATED', 'REOPENED')
    ) OVER (PARTITION BY finding_uid ORDER BY revision) AS episode
  FROM finding_history
  WHERE change_type IN ('CREATED', 'REOPENED') OR status = 'RESOLVED'
), ended AS (
  SELECT DISTINCT ON (finding_uid, episode) *
  FROM turn WHERE status = 'RESOLVED'
  ORDER BY finding_uid, episode, revision
)
SELECT b.finding_uid, b.episode, b.asset_uid, b.vuln_id, b.vendor, b.product, b.connection_id,
  coalesce(e.severity, b.severity) AS severity,
  coalesce(e.severity_id, b.severity_id) AS severity_id,
  b.backfill,
  b.valid_from AS opened_at,
  e.valid_from AS resolved_at,
  e.resolution,
  extract(epoch FROM e.valid_from - b.valid_from)::double precision / 3600 AS hours_to_resolve
FROM turn AS b
LEFT JOIN ended AS e USING (finding_uid, episode)
WHERE b.begins;

COMMENT ON VIEW finding_episode IS
  'From every opening of a finding to its resolution; one that is reopened begins another. Only where the history holds the opening; being suppressed ends no episode.';
COMMENT ON COLUMN finding_episode.episode IS
  'From 1; counted among the openings that the history holds.';
COMMENT ON COLUMN finding_episode.severity IS 'When it was resolved; until then, when it was opened.';
COMMENT ON COLUMN finding_episode.severity_id IS 'That severity, 0 to 5.';
COMMENT ON COLUMN finding_episode.backfill IS
  'True: it came with the first load of its stream, so nobody knows when it was opened.';
COMMENT ON COLUMN finding_episode.opened_at IS 'When we first saw it open; not the vendor''s first_seen.';
COMMENT ON COLUMN finding_episode.resolved_at IS 'When it was seen to be resolved; null: it was not.';
COMMENT ON COLUMN finding_episode.resolution IS
  'Why it was resolved. ASSET_GONE: with its asset; EXPIRED: nobody looks any more.';
COMMENT ON COLUMN finding_episode.hours_to_resolve IS 'From opened_at to resolved_at, in hours.';

CREATE VIEW time_to_resolve AS
SELECT connection_id, severity_id, severity,
  count(*) AS resolved,
  count(*) FILTER (WHERE resolution = 'ASSET_GONE') AS resolved_asset_gone,
  avg(hours_to_resolve) AS mean_hours,
  percentile_cont(0.5) WITHIN GROUP (ORDER BY hours_to_resolve) AS median_hours,
  max(hours_to_resolve) AS longest_hours
FROM finding_episode
WHERE NOT backfill AND resolved_at IS NOT NULL AND resolution <> 'EXPIRED'
GROUP BY connection_id, severity_id, severity;

COMMENT ON VIEW time_to_resolve IS
  'Mean time to resolve per connection and severity. Every episode counts, also a second one of a finding that was reopened; first loads, and what only a removed connection showed, do not.';
COMMENT ON COLUMN time_to_resolve.severity IS 'When it was resolved.';
COMMENT ON COLUMN time_to_resolve.severity_id IS 'That severity, 0 to 5.';
COMMENT ON COLUMN time_to_resolve.resolved IS 'Episodes that ended.';
COMMENT ON COLUMN time_to_resolve.resolved_asset_gone IS
  'Of these, because the asset was gone: retired, or replaced as images are.';
COMMENT ON COLUMN time_to_resolve.mean_hours IS 'Mean of their hours.';
COMMENT ON COLUMN time_to_resolve.median_hours IS 'Median of their hours.';
COMMENT ON COLUMN time_to_resolve.longest_hours IS 'The longest of them, in hours.';

CREATE VIEW exposed_known_exploited AS
WITH exploited AS (
  SELECT finding_uid FROM finding
  WHERE known_exploited AND status IN ('OPEN', 'REOPENED')
  UNION
  SELECT f.finding_uid FROM vulnerability AS v JOIN finding AS f USING (vuln_id)
  WHERE v.known_exploited AND v.status <> 'GONE' AND f.status IN ('OPEN', 'REOPENED')
), exposed AS (
  SELECT entity_uid, product FROM asset WHERE internet_exposed AND status <> 'GONE'
  UNION
  SELECT a.entity_uid, f.product FROM finding AS f JOIN asset AS a USING (asset_uid)
  WHERE f.internet_exposed AND f.status IN ('OPEN', 'REOPENED')
)
SELECT a.asset_uid, a.entity_uid, a.name, a.kind, a.vendor, a.product, a.connection_id,
  a.cloud_provider, a.cloud_account_id, a.cloud_region, a.public_ips, a.criticality,
  array_agg(DISTINCT e.product) AS exposure_told_by,
  array_agg(DISTINCT f.vuln_id) AS vuln_ids,
  count(DISTINCT f.finding_uid) AS findings,
  max(f.severity_id) AS severity_id,
  max(f.epss_score) AS epss_score,
  min(f.first_seen) AS first_seen
FROM exploited
JOIN finding AS f USING (finding_uid)
JOIN asset AS a ON a.asset_uid = f.asset_uid AND a.status <> 'GONE'
JOIN exposed AS e ON e.entity_uid = a.entity_uid
GROUP BY a.asset_uid;

COMMENT ON VIEW exposed_known_exploited IS
  'Assets that the internet can reach and that have an open weakness which is known to be exploited. That it can be reached may be told by the asset, a finding, or another asset of the same entity_uid, and one yes outweighs any no; exploitation by the finding or the dictionary.';
COMMENT ON COLUMN exposed_known_exploited.exposure_told_by IS 'Products that tell the exposure.';
COMMENT ON COLUMN exposed_known_exploited.vuln_ids IS 'The weaknesses that are known to be exploited.';
COMMENT ON COLUMN exposed_known_exploited.findings IS 'Open findings of these.';
COMMENT ON COLUMN exposed_known_exploited.severity_id IS 'The worst of these, 0 to 5.';
COMMENT ON COLUMN exposed_known_exploited.epss_score IS 'The highest of these, 0 to 1.';
COMMENT ON COLUMN exposed_known_exploited.first_seen IS 'The earliest of these.';

CREATE VIEW shared_entity AS
SELECT entity_uid,
  array_agg(DISTINCT vendor) AS vendors,
  array_agg(DISTINCT product) AS products,
  array_agg(DISTINCT name) AS names,
  array_agg(DISTINCT kind) AS kinds,
  array_agg(asset_uid ORDER BY asset_uid) AS asset_uids,
  min(state #>> '{correlation_keys,0,type}') AS matched_by,
  min(state #>> '{correlation_keys,0,value}') AS matched_value,
  max(last_seen) AS last_seen
FROM asset
WHERE status <> 'GONE'
GROUP BY entity_uid
HAVING count(DISTINCT vendor) > 1;

COMMENT ON VIEW shared_entity IS
  'Machines and images that both vendors see. They match when the strongest identity key of both is the same: cloud instance id, else image digest or id, cloud resource id, agent id, certificate or serial. Host names and addresses match nothing, so a machine without such a key is not here though both see it, nor is one whose vendors give different kinds of key.';
COMMENT ON COLUMN shared_entity.vendors IS 'Vendors that see it.';
COMMENT ON COLUMN shared_entity.products IS 'Products that see it.';
COMMENT ON COLUMN shared_entity.names IS 'Its names.';
COMMENT ON COLUMN shared_entity.kinds IS 'What it is to them.';
COMMENT ON COLUMN shared_entity.asset_uids IS 'Its assets, one per source.';
COMMENT ON COLUMN shared_entity.matched_by IS 'Type of the key that matched.';
COMMENT ON COLUMN shared_entity.matched_value IS 'The key that matched.';
COMMENT ON COLUMN shared_entity.last_seen IS 'When any of them saw it last.';

CREATE VIEW shared_weakness AS
SELECT a.entity_uid, f.vuln_id,
  array_agg(DISTINCT a.name) AS names,
  array_agg(DISTINCT f.vendor) AS vendors,
  array_remove(array_agg(
    DISTINCT CASE WHEN f.status IN ('OPEN', 'REOPENED') THEN f.vendor END
  ), NULL) AS open_at,
  array_remove(array_agg(DISTINCT f.package_name), NULL) AS packages,
  array_agg(f.finding_uid ORDER BY f.finding_uid) AS finding_uids,
  min(f.severity_id) AS lowest_severity_id,
  max(f.severity_id) AS highest_severity_id,
  min(f.first_seen) AS first_seen
FROM finding AS f
JOIN asset AS a USING (asset_uid)
WHERE f.kind = 'VULNERABILITY'
GROUP BY a.entity_uid, f.vuln_id
HAVING count(DISTINCT f.vendor) > 1;

COMMENT ON VIEW shared_weakness IS
  'One weakness that both vendors tell of one machine or image: the same vuln_id, on assets that match as in shared_entity. The package is not compared, since vendors name it differently; finding.correlation_uid is equal where it agrees too.';
COMMENT ON COLUMN shared_weakness.names IS 'Names of the assets.';
COMMENT ON COLUMN shared_weakness.vendors IS 'Vendors that tell it, open or not.';
COMMENT ON COLUMN shared_weakness.open_at IS 'Vendors to which it is open; fewer than vendors: they disagree.';
COMMENT ON COLUMN shared_weakness.packages IS 'Packages as the vendors name them.';
COMMENT ON COLUMN shared_weakness.finding_uids IS 'The findings.';
COMMENT ON COLUMN shared_weakness.lowest_severity_id IS 'The mildest rating, 0 to 5.';
COMMENT ON COLUMN shared_weakness.highest_severity_id IS 'The worst rating, 0 to 5.';
COMMENT ON COLUMN shared_weakness.first_seen IS 'When the first of them saw it.';

-- A column of a view that is a table's own is described as it is there.
DO $$
DECLARE
  bare record;
BEGIN
  FOR bare IN
    SELECT v.oid::regclass AS view, c.attname AS name, min(col_description(t.oid, s.attnum)) AS says
    FROM pg_class AS v
    JOIN pg_attribute AS c ON c.attrelid = v.oid AND c.attnum > 0
    JOIN (VALUES ('open_connector_error', 'connector_error'), ('last_complete_run', 'run'),
      ('open_finding', 'finding'), ('open_finding_age', 'finding'), ('finding_episode', 'finding'),
      ('time_to_resolve', 'finding'), ('exposed_known_exploited', 'asset'),
      ('shared_entity', 'asset'), ('shared_weakness', 'finding')) AS p(of_view, of_table)
      ON p.of_view = v.relname
    JOIN pg_class AS t ON t.relname = p.of_table AND t.relnamespace = v.relnamespace
    JOIN pg_attribute AS s ON s.attrelid = t.oid AND s.attname = c.attname
    WHERE v.relnamespace = current_schema()::regnamespace AND v.relkind = 'v'
      AND col_description(v.oid, c.attnum) IS NULL
    GROUP BY 1, 2
  LOOP
    EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', bare.view, bare.name, bare.says);
  END LOOP;
END $$;
