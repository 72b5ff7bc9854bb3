-- What the broker says about an account beside its platform; whom nothing is sent to; and which messages went to a client,
-- counted over all workflows.
CREATE TABLE account_profile (
  account text COLLATE "C" PRIMARY KEY, version bigint NOT NULL, body bytea NOT NULL, created_at bigint NOT NULL, updated_at bigint NOT NULL
);
CREATE TABLE suppression (
  id text COLLATE "C" PRIMARY KEY, kind text COLLATE "C" NOT NULL, value text COLLATE "C" NOT NULL,
  channel text COLLATE "C" NOT NULL, reason text COLLATE "C" NOT NULL, added_by text COLLATE "C" NOT NULL, at bigint NOT NULL
);
CREATE UNIQUE INDEX suppression_of ON suppression (value, kind, channel);
CREATE TABLE contact (
  intent text COLLATE "C" PRIMARY KEY, client text COLLATE "C" NOT NULL, category text COLLATE "C" NOT NULL, at bigint NOT NULL
);
CREATE INDEX contact_of ON contact (client, category, at);
CREATE INDEX contact_at ON contact (at);
