-- What phones and browsers hold: tokens for the accounts of one client, and tickets that open one stream once. Hashes only.
CREATE TABLE client_token (
  id TEXT PRIMARY KEY, hash BLOB NOT NULL, client TEXT NOT NULL, accounts TEXT NOT NULL, events TEXT NOT NULL,
  issued_by TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX client_token_hash ON client_token (hash);
CREATE INDEX client_token_of ON client_token (client, expires_at);
CREATE INDEX client_token_expires ON client_token (expires_at);
CREATE TABLE stream_ticket (hash BLOB PRIMARY KEY, holder TEXT NOT NULL, expires_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX stream_ticket_of ON stream_ticket (holder);
CREATE INDEX stream_ticket_expires ON stream_ticket (expires_at);
