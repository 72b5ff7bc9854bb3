-- Questions to people, asked by runs. What was shown never changes; `state` and `votes` do.
CREATE TABLE approval (
  id TEXT PRIMARY KEY, partition INTEGER NOT NULL, key TEXT NOT NULL, workflow TEXT NOT NULL, run TEXT NOT NULL, step TEXT NOT NULL,
  title TEXT NOT NULL, account TEXT NOT NULL, permission TEXT NOT NULL, state TEXT NOT NULL, at INTEGER NOT NULL, due INTEGER NOT NULL, hash TEXT NOT NULL,
  shown BLOB NOT NULL, votes BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX approval_in ON approval (state, at, id);
CREATE INDEX approval_at ON approval (at, id);
-- What the holder of a key may approve; a key from before may approve nothing, unless it is an admin's.
ALTER TABLE api_key ADD COLUMN permissions TEXT NOT NULL DEFAULT '[]';
