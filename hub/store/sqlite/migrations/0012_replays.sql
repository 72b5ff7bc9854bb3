-- Events that are delivered once more: what was asked for, and how far it has come.
CREATE TABLE replay (
  id TEXT PRIMARY KEY, endpoint TEXT NOT NULL, state TEXT NOT NULL, asked TEXT NOT NULL, by TEXT NOT NULL,
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, ended_at INTEGER, place TEXT NOT NULL, upto TEXT NOT NULL,
  reached INTEGER NOT NULL, looked INTEGER NOT NULL, queued INTEGER NOT NULL, left_out INTEGER NOT NULL, expected INTEGER,
  reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX replay_at ON replay (created_at, id);
CREATE INDEX replay_open ON replay (state) WHERE state IN ('running', 'paused');
