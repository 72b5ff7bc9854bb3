-- What phones and browsers hold: tokens for the accounts of one client, and tickets that open one stream once. Hashes only.
CREATE TABLE client_token (
  id text COLLATE "C" PRIMARY KEY, hash bytea NOT NULL, client text COLLATE "C" NOT NULL, accounts text COLLATE "C" NOT NULL, events text COLLATE "C" NOT NULL,
  issued_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, expires_at bigint NOT NULL
);
CREATE UNIQUE INDEX client_token_hash ON client_token (hash);
CREATE INDEX client_token_of ON client_token (client, expires_at);
CREATE INDEX client_token_expires ON client_token (expires_at);
CREATE TABLE stream_ticket (hash bytea PRIMARY KEY, holder text COLLATE "C" NOT NULL, expires_at bigint NOT NULL);
CREATE INDEX stream_ticket_of ON stream_ticket (holder);
CREATE INDEX stream_ticket_expires ON stream_ticket (expires_at);
