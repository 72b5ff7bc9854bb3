-- Events that are delivered once more: what was asked for, and how far it has come.
CREATE TABLE replay (
  id text COLLATE "C" PRIMARY KEY, endpoint text COLLATE "C" NOT NULL, state text COLLATE "C" NOT NULL,
  asked text COLLATE "C" NOT NULL, by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_at bigint NOT NULL,
  ended_at bigint, place text COLLATE "C" NOT NULL, upto text COLLATE "C" NOT NULL, reached bigint NOT NULL,
  looked bigint NOT NULL, queued bigint NOT NULL, left_out bigint NOT NULL, expected bigint, reason text COLLATE "C" NOT NULL
);
CREATE INDEX replay_at ON replay (created_at, id);
CREATE INDEX replay_open ON replay (state) WHERE state IN ('running', 'paused');
