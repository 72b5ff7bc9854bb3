-- What the broker says about an account beside its platform.
CREATE TABLE account_profile (
  account text COLLATE "C" PRIMARY KEY, version bigint NOT NULL, body bytea NOT NULL, created_at bigint NOT NULL, updated_at bigint NOT NULL
);
