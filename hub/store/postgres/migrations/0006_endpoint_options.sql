-- What an endpoint asks for beside its address and its types, as JSON: a field more needs no further migration.
ALTER TABLE endpoint ADD COLUMN options text COLLATE "C" NOT NULL DEFAULT '';
