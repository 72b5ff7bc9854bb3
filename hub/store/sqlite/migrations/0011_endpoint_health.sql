-- How an endpoint has been since its last success, while there is something to remember: since when it fails, what was told of
-- it, and until when it asked to be left alone.
CREATE TABLE endpoint_health (
  endpoint TEXT PRIMARY KEY, failing_since INTEGER NOT NULL, failures INTEGER NOT NULL, failed_at INTEGER NOT NULL,
  last_error TEXT NOT NULL, stage INTEGER NOT NULL, told_at INTEGER NOT NULL, paused_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
