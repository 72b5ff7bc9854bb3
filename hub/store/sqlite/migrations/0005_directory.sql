-- What the broker says about an account beside its platform.
CREATE TABLE account_profile (
  account TEXT PRIMARY KEY, version INTEGER NOT NULL, body BLOB NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
