-- What was said and seen in an attempt, as dispatch encodes it; empty for attempts made before.
ALTER TABLE attempt ADD COLUMN record bytea NOT NULL DEFAULT '';
