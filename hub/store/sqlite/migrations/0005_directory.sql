-- What the broker says about an account beside its platform; whom nothing is sent to; and which messages went to a client,
-- counted over all workflows.
CREATE TABLE account_profile (
  account TEXT PRIMARY KEY, version INTEGER NOT NULL, body BLOB NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE suppression (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, value TEXT NOT NULL, channel TEXT NOT NULL, reason TEXT NOT NULL,
  added_by TEXT NOT NULL, at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX suppression_of ON suppression (value, kind, channel);
CREATE TABLE contact (intent TEXT PRIMARY KEY, client TEXT NOT NULL, category TEXT NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX contact_of ON contact (client, category, at);
CREATE INDEX contact_at ON contact (at);
