-- Questions to people, asked by runs. What was shown never changes; `state` and `votes` do.
CREATE TABLE approval (
  id text COLLATE "C" PRIMARY KEY, partition smallint NOT NULL, key text COLLATE "C" NOT NULL, workflow text COLLATE "C" NOT NULL,
  run text COLLATE "C" NOT NULL, step text COLLATE "C" NOT NULL, title text COLLATE "C" NOT NULL, account text COLLATE "C" NOT NULL,
  permission text COLLATE "C" NOT NULL, state text COLLATE "C" NOT NULL, at bigint NOT NULL, due bigint NOT NULL,
  hash text COLLATE "C" NOT NULL, shown bytea NOT NULL, votes bytea NOT NULL
);
CREATE INDEX approval_in ON approval (state, at, id);
CREATE INDEX approval_at ON approval (at, id);
-- What the holder of a key may approve; a key from before may approve nothing, unless it is an admin's.
ALTER TABLE api_key ADD COLUMN permissions text COLLATE "C" NOT NULL DEFAULT '[]';
