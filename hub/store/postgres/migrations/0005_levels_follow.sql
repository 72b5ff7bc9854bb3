-- A level may follow a peak, be passed by being reached, or have to be passed for a while: `rule` says so, and what is
-- followed says in `peak` how far it has come.
ALTER TABLE level ADD COLUMN rule text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE level ADD COLUMN peak text COLLATE "C" NOT NULL DEFAULT '';
