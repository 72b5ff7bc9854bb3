-- Timers stand in the order of their time, in one tree. By hashed id, with an index of times beside it, each timer that
-- came, fired or was cancelled touched a scattered page in one and a second page in the other: three pages of every five
-- the log wrote were timers. Due times grow, so what comes is appended, and what fires is taken from the front.
-- The old table goes at once and not one release later: a timer left in it would be one that never fires, or fires twice,
-- and a hub of the earlier version refuses this store anyway.
CREATE TABLE timer_by_due (
  due INTEGER NOT NULL, id TEXT NOT NULL, partition INTEGER NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (due, id)
) STRICT, WITHOUT ROWID;
INSERT INTO timer_by_due SELECT due, id, partition, key, kind, body FROM timer ORDER BY due, id;
DROP TABLE timer;
ALTER TABLE timer_by_due RENAME TO timer;
