-- The first shape. Migrations only add; what is dropped is dropped one release later.
-- Several processes write here. Each row belongs to whoever holds a lease, of a partition, an endpoint or a server, and every
-- transaction that changes such rows proves its epochs first.

CREATE TABLE meta (name text PRIMARY KEY, value text NOT NULL);

-- `rank` grows with time within a partition, whoever owned it: its owner draws it, and a successor draws later.
-- Kept in ranges of time, so that what outlived its retention is dropped and not deleted row by row.
CREATE SEQUENCE input_rank;
CREATE TABLE input (
  partition smallint NOT NULL, n bigint NOT NULL, at bigint NOT NULL, kind smallint NOT NULL, key text NOT NULL, ref text NOT NULL,
  sequence bigint, body bytea NOT NULL, rank bigint NOT NULL
) PARTITION BY RANGE (at);
CREATE UNIQUE INDEX input_of ON input (partition, n, at);
CREATE INDEX input_rank_of ON input (rank);
-- What no range was made for in time is taken all the same.
CREATE TABLE input_rest PARTITION OF input DEFAULT;
CREATE INDEX input_rest_at ON input_rest (at);

CREATE TABLE head (partition smallint PRIMARY KEY, n bigint NOT NULL, at bigint NOT NULL) WITH (fillfactor = 50);

-- Numbered keys append and are kept for ever; hashed ones scatter and go after 35 days, so they live apart.
CREATE TABLE fact (key bytea PRIMARY KEY, partition smallint NOT NULL, n bigint NOT NULL, at bigint NOT NULL);
CREATE TABLE fact_hashed (key bytea PRIMARY KEY, partition smallint NOT NULL, n bigint NOT NULL, at bigint NOT NULL);
CREATE INDEX fact_hashed_at ON fact_hashed (at);

CREATE TABLE sequence (account text PRIMARY KEY, last bigint NOT NULL) WITH (fillfactor = 80);
CREATE TABLE entity (name text PRIMARY KEY, version bigint NOT NULL, state text NOT NULL) WITH (fillfactor = 80);
CREATE TABLE mark (source text NOT NULL, name text NOT NULL, value bytea NOT NULL, PRIMARY KEY (source, name));
CREATE TABLE position (
  consumer text NOT NULL, partition smallint NOT NULL, n bigint NOT NULL, PRIMARY KEY (consumer, partition)
) WITH (fillfactor = 50);
CREATE TABLE lease (name text PRIMARY KEY, owner text NOT NULL, epoch bigint NOT NULL, until bigint NOT NULL) WITH (fillfactor = 50);
-- Who has these leases, read once nobody can take them over until the transaction ends. The two statements of a volatile
-- function see each what was committed before it, under READ COMMITTED, and the names come in one order everywhere.
CREATE FUNCTION fenced(wanted text[]) RETURNS TABLE (name text, owner text, epoch bigint) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(hashtextextended(one, 0)) FROM unnest(wanted) AS one;
  RETURN QUERY SELECT lease.name, lease.owner, lease.epoch FROM lease WHERE lease.name = ANY(wanted);
END
$$;

-- What another process has for a partition's owner, who turns it into the partition's next inputs and removes it.
-- One that can never be taken says why in `refused` and stays for a person to look at, so that it stops nobody behind it.
CREATE TABLE arrival (rank bigserial PRIMARY KEY, partition smallint NOT NULL, body bytea NOT NULL, refused text);
CREATE INDEX arrival_of ON arrival (partition, rank) WHERE refused IS NULL;

CREATE TABLE state (
  partition smallint NOT NULL, key text NOT NULL, kind smallint NOT NULL, name text NOT NULL, value bytea NOT NULL,
  PRIMARY KEY (partition, key, kind, name)
) WITH (fillfactor = 80);
CREATE TABLE series (
  partition smallint NOT NULL, key text NOT NULL, name text NOT NULL, at bigint NOT NULL, ref text NOT NULL, value text NOT NULL,
  PRIMARY KEY (partition, key, name, at, ref)
);
CREATE TABLE timer (
  partition smallint NOT NULL, due bigint NOT NULL, id text NOT NULL, key text NOT NULL, kind text NOT NULL, body bytea NOT NULL,
  PRIMARY KEY (partition, due, id)
);
CREATE TABLE level (
  level_id text PRIMARY KEY, partition smallint NOT NULL, key text NOT NULL, field text NOT NULL, side text NOT NULL,
  threshold text NOT NULL, rearm text NOT NULL, generation bigint NOT NULL, state text NOT NULL
);
CREATE INDEX level_key ON level (partition, key);
CREATE TABLE run (
  id text PRIMARY KEY, partition smallint NOT NULL, key text NOT NULL, workflow text NOT NULL, version text NOT NULL,
  state text NOT NULL, at bigint NOT NULL, body bytea NOT NULL
);
CREATE INDEX run_open ON run (partition) WHERE state = 'running';
CREATE INDEX run_of ON run (workflow, key, at);
CREATE INDEX run_at ON run (at, id);
CREATE TABLE mailbox (
  partition smallint NOT NULL, source_partition smallint NOT NULL, source_n bigint NOT NULL, ordinal integer NOT NULL,
  key text NOT NULL, body bytea NOT NULL, PRIMARY KEY (partition, source_partition, source_n, ordinal)
);
CREATE TABLE trace (
  partition smallint NOT NULL, n bigint NOT NULL, id text NOT NULL, workflow text NOT NULL, key text NOT NULL, at bigint NOT NULL,
  outcome text NOT NULL, body bytea NOT NULL
);
CREATE UNIQUE INDEX trace_of ON trace (workflow, key, at DESC, partition, n, id);
CREATE INDEX trace_at ON trace (at);
CREATE TABLE workflow_version (hash text PRIMARY KEY, workflow text NOT NULL, body text NOT NULL, at bigint NOT NULL);

CREATE TABLE intent (
  key text PRIMARY KEY, partition smallint NOT NULL, account text NOT NULL, server text NOT NULL,
  verb text NOT NULL, params bytea NOT NULL, workflow text NOT NULL, run text NOT NULL, step text NOT NULL, caused_by text NOT NULL, state text NOT NULL,
  at bigint NOT NULL, due bigint NOT NULL, priority integer NOT NULL, attempts integer NOT NULL, sends integer NOT NULL,
  looks integer NOT NULL, sent_at bigint, ticket bigint, reason text NOT NULL
);
-- Each dispatcher asks for the servers it owns; `server` is the account's, or "" for what concerns none.
CREATE INDEX intent_due ON intent (server, priority, due, key) WHERE state IN ('ready', 'unknown');
CREATE INDEX intent_next ON intent (server, due) WHERE state IN ('ready', 'unknown');
CREATE INDEX intent_open ON intent (state, server, due, key) WHERE state IN ('sending', 'unknown', 'parked');
CREATE INDEX intent_of ON intent (account, at, key);
CREATE INDEX intent_at ON intent (at, key);

CREATE TABLE endpoint (
  id text PRIMARY KEY, url text NOT NULL, events text NOT NULL, secret text NOT NULL, state text NOT NULL,
  description text NOT NULL, created_at bigint NOT NULL, schedule text, reason text NOT NULL
);
-- Where a delivery stands is which table it is in: `waiting` until it is over, and every attempt in `attempt`.
CREATE TABLE waiting (
  endpoint text NOT NULL, due bigint NOT NULL, partition smallint NOT NULL, n bigint NOT NULL, event_id text NOT NULL,
  attempts integer NOT NULL, created_at bigint NOT NULL, PRIMARY KEY (endpoint, due, partition, n)
);
CREATE INDEX waiting_of ON waiting (n, partition);
CREATE TABLE attempt (
  rank bigserial PRIMARY KEY, endpoint text NOT NULL, partition smallint NOT NULL, n bigint NOT NULL, number integer NOT NULL,
  event_id text NOT NULL, state text NOT NULL, at bigint NOT NULL, outcome text NOT NULL, status integer, error text,
  latency_us bigint NOT NULL, response text NOT NULL, due bigint NOT NULL, created_at bigint NOT NULL
);
-- The moment makes an attempt that is written twice one: a process that heard no answer to its commit writes it again.
CREATE UNIQUE INDEX attempt_of ON attempt (n, partition, endpoint, number, at);

CREATE TABLE client (
  id text PRIMARY KEY, version bigint NOT NULL, body bytea NOT NULL, created_at bigint NOT NULL, updated_at bigint NOT NULL
);
CREATE TABLE client_account (account text PRIMARY KEY, client text NOT NULL);
CREATE INDEX client_account_of ON client_account (client);
CREATE TABLE api_key (
  id text PRIMARY KEY, hash bytea NOT NULL UNIQUE, name text NOT NULL UNIQUE, scopes text NOT NULL, servers text NOT NULL,
  created_at bigint NOT NULL, expires_at bigint, last_used bigint
);

-- Text is in the order of its bytes, as it is everywhere else in the hub, whatever the database's language is.
DO $$
DECLARE tables text;
BEGIN
  FOR tables IN
    SELECT format('ALTER TABLE %I %s', r.relname, string_agg(format('ALTER COLUMN %I TYPE text COLLATE "C"', a.attname), ', '))
    FROM pg_attribute a JOIN pg_class r ON r.oid = a.attrelid
    WHERE r.relnamespace = current_schema()::regnamespace AND r.relkind IN ('r', 'p') AND NOT r.relispartition
      AND a.atttypid = 'text'::regtype AND a.attnum > 0 AND NOT a.attisdropped
    GROUP BY r.relname
  LOOP
    EXECUTE tables;
  END LOOP;
END $$;
