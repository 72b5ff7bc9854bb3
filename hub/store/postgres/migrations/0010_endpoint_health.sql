-- How an endpoint has been since its last success, while there is something to remember: since when it fails, what was told of
-- it, and until when it asked to be left alone.
CREATE TABLE endpoint_health (
  endpoint text COLLATE "C" PRIMARY KEY, failing_since bigint NOT NULL, failures bigint NOT NULL, failed_at bigint NOT NULL,
  last_error text COLLATE "C" NOT NULL, stage integer NOT NULL, told_at bigint NOT NULL, paused_until bigint NOT NULL
);
