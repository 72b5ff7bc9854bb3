-- The first shape. Migrations only add; what is dropped is dropped one release later.
-- `rank` counts the rows of a table in the order they came: appending is the cheapest thing SQLite does.

CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE input (
  rank INTEGER PRIMARY KEY, partition INTEGER NOT NULL, n INTEGER NOT NULL, at INTEGER NOT NULL, kind INTEGER NOT NULL,
  key TEXT NOT NULL, ref TEXT NOT NULL, sequence INTEGER, body BLOB NOT NULL
) STRICT;
CREATE TABLE head (partition INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT;
-- Where every 64th row of a partition stands. An index of all rows would have 64 places that grow, a page each in every
-- commit: it made a row four times as dear. A read by (partition, n) starts at the landmark and looks on from there.
CREATE TABLE landmark (partition INTEGER NOT NULL, n INTEGER NOT NULL, rank INTEGER NOT NULL, PRIMARY KEY (partition, n)) STRICT, WITHOUT ROWID;

-- Numbered keys append and are kept for ever; hashed ones scatter and go after 35 days, so they live apart.
CREATE TABLE fact (key BLOB PRIMARY KEY, input INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE fact_hashed (key BLOB PRIMARY KEY, input INTEGER NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX fact_hashed_at ON fact_hashed (at);

CREATE TABLE sequence (account TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE entity (name TEXT PRIMARY KEY, version INTEGER NOT NULL, state TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE mark (source TEXT NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (source, name)) STRICT, WITHOUT ROWID;
CREATE TABLE position (consumer TEXT NOT NULL, partition INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (consumer, partition)) STRICT, WITHOUT ROWID;
CREATE TABLE lease (name TEXT PRIMARY KEY, owner TEXT NOT NULL, epoch INTEGER NOT NULL, until INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE state (
  partition INTEGER NOT NULL, key TEXT NOT NULL, kind INTEGER NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL,
  PRIMARY KEY (partition, key, kind, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE series (
  partition INTEGER NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL, at INTEGER NOT NULL, ref TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (partition, key, name, at, ref)
) STRICT, WITHOUT ROWID;
-- Changes on their way into the two tables above; a NULL value deletes.
CREATE TABLE state_change (
  rank INTEGER PRIMARY KEY, partition INTEGER NOT NULL, key TEXT NOT NULL, kind INTEGER NOT NULL, name TEXT NOT NULL, value BLOB
) STRICT;
CREATE TABLE series_change (
  rank INTEGER PRIMARY KEY, partition INTEGER NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL, at INTEGER NOT NULL,
  ref TEXT NOT NULL, value TEXT
) STRICT;
CREATE TABLE timer (
  id TEXT PRIMARY KEY, partition INTEGER NOT NULL, due INTEGER NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX timer_due ON timer (due, id);
CREATE TABLE level (
  level_id TEXT PRIMARY KEY, partition INTEGER NOT NULL, key TEXT NOT NULL, field TEXT NOT NULL, side TEXT NOT NULL,
  threshold TEXT NOT NULL, rearm TEXT NOT NULL, generation INTEGER NOT NULL, state TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX level_key ON level (partition, key);
CREATE TABLE run (
  id TEXT PRIMARY KEY, partition INTEGER NOT NULL, key TEXT NOT NULL, workflow TEXT NOT NULL, version TEXT NOT NULL,
  state TEXT NOT NULL, at INTEGER NOT NULL, body BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX run_open ON run (partition) WHERE state = 'running';
CREATE INDEX run_of ON run (workflow, key, at);
CREATE INDEX run_at ON run (at, id);
CREATE TABLE mailbox (
  partition INTEGER NOT NULL, source_partition INTEGER NOT NULL, source_n INTEGER NOT NULL, ordinal INTEGER NOT NULL,
  key TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (partition, source_partition, source_n, ordinal)
) STRICT, WITHOUT ROWID;
CREATE TABLE trace (
  rank INTEGER PRIMARY KEY, partition INTEGER NOT NULL, n INTEGER NOT NULL, id TEXT NOT NULL, workflow TEXT NOT NULL,
  key TEXT NOT NULL, at INTEGER NOT NULL, outcome TEXT NOT NULL, body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX trace_of ON trace (workflow, key, at DESC, partition, n, id);
CREATE TABLE workflow_version (hash TEXT PRIMARY KEY, workflow TEXT NOT NULL, body TEXT NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE intent (
  key TEXT PRIMARY KEY, partition INTEGER NOT NULL, account TEXT NOT NULL, verb TEXT NOT NULL, params BLOB NOT NULL,
  workflow TEXT NOT NULL, run TEXT NOT NULL, step TEXT NOT NULL, caused_by TEXT NOT NULL, state TEXT NOT NULL,
  at INTEGER NOT NULL, due INTEGER NOT NULL, priority INTEGER NOT NULL, attempts INTEGER NOT NULL, sends INTEGER NOT NULL,
  looks INTEGER NOT NULL, sent_at INTEGER, ticket INTEGER, reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX intent_due ON intent (priority, due, key) WHERE state IN ('ready', 'unknown');
CREATE INDEX intent_next ON intent (due) WHERE state IN ('ready', 'unknown');
CREATE INDEX intent_open ON intent (state) WHERE state IN ('sending', 'unknown', 'parked');
CREATE INDEX intent_of ON intent (account, at, key);
CREATE INDEX intent_at ON intent (at, key);

CREATE TABLE endpoint (
  id TEXT PRIMARY KEY, url TEXT NOT NULL, events TEXT NOT NULL, secret TEXT NOT NULL, state TEXT NOT NULL,
  description TEXT NOT NULL, created_at INTEGER NOT NULL, schedule TEXT, reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;
-- Where a delivery stands is which table it is in: `waiting` until it is over, and every attempt in `attempt`.
CREATE TABLE waiting (
  endpoint TEXT NOT NULL, due INTEGER NOT NULL, partition INTEGER NOT NULL, n INTEGER NOT NULL, event_id TEXT NOT NULL,
  attempts INTEGER NOT NULL, created_at INTEGER NOT NULL, PRIMARY KEY (endpoint, due, partition, n)
) STRICT, WITHOUT ROWID;
CREATE TABLE attempt (
  rank INTEGER PRIMARY KEY, endpoint TEXT NOT NULL, partition INTEGER NOT NULL, n INTEGER NOT NULL, number INTEGER NOT NULL,
  event_id TEXT NOT NULL, state TEXT NOT NULL, at INTEGER NOT NULL, outcome TEXT NOT NULL, status INTEGER, error TEXT,
  latency_us INTEGER NOT NULL, response TEXT NOT NULL, due INTEGER NOT NULL, created_at INTEGER NOT NULL
) STRICT;
-- n first: rows of all partitions come with n close together, so the index grows in one place and not in 64.
CREATE INDEX attempt_of ON attempt (n, partition, endpoint);

CREATE TABLE client (
  id TEXT PRIMARY KEY, version INTEGER NOT NULL, body BLOB NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE client_account (account TEXT PRIMARY KEY, client TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX client_account_of ON client_account (client);
CREATE TABLE api_key (
  id TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, name TEXT NOT NULL UNIQUE, scopes TEXT NOT NULL, servers TEXT NOT NULL,
  created_at INTEGER NOT NULL, expires_at INTEGER, last_used INTEGER
) STRICT, WITHOUT ROWID;
