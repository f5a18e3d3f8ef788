-- What a process of a version without history has written or deleted since 004 copied the rows: into
-- the history as well. Nobody writes meanwhile.

LOCK TABLE asset, finding IN SHARE MODE;

INSERT INTO asset_history
SELECT asset.*,
  ARRAY(SELECT jsonb_array_elements_text(state #> '{meta,changed_fields}')),
  to_timestamp((state #>> '{meta,ingested_at}')::float8 / 1000),
  to_timestamp(revision::float8 / 1000)
FROM asset
WHERE NOT EXISTS (SELECT 1 FROM asset_history AS h
  WHERE (h.asset_uid, h.revision) = (asset.asset_uid, asset.revision));
UPDATE asset_history AS h SET valid_to = to_timestamp(n.revision::float8 / 1000)
FROM asset AS n
WHERE n.asset_uid = h.asset_uid AND h.valid_to IS NULL AND h.revision < n.revision;
-- Their tombstones were not kept: about when is all that is known.
UPDATE asset_history AS h SET purged_at = now(), valid_to = greatest(now(), valid_from)
WHERE valid_to IS NULL AND NOT EXISTS (SELECT 1 FROM asset AS n WHERE n.asset_uid = h.asset_uid);

INSERT INTO finding_history
SELECT finding.*,
  ARRAY(SELECT jsonb_array_elements_text(state #> '{meta,changed_fields}')),
  to_timestamp((state #>> '{meta,ingested_at}')::float8 / 1000),
  to_timestamp(revision::float8 / 1000)
FROM finding
WHERE NOT EXISTS (SELECT 1 FROM finding_history AS h
  WHERE (h.finding_uid, h.revision) = (finding.finding_uid, finding.revision));
UPDATE finding_history AS h SET valid_to = to_timestamp(n.revision::float8 / 1000)
FROM finding AS n
WHERE n.finding_uid = h.finding_uid AND h.valid_to IS NULL AND h.revision < n.revision;
-- Their tombstones were not kept: about when is all that is known.
UPDATE finding_history AS h SET purged_at = now(), valid_to = greatest(now(), valid_from)
WHERE valid_to IS NULL AND NOT EXISTS (SELECT 1 FROM finding AS n WHERE n.finding_uid = h.finding_uid);
