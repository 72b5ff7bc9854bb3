-- What was written to clients, and what is known of each message; and the devices clients take push messages on.
-- How a message ended stands with its intent. `ref` is the channel's own number for it, `status` what the channel told later.
CREATE TABLE message (
  id TEXT PRIMARY KEY, intent TEXT NOT NULL, client TEXT NOT NULL, account TEXT NOT NULL, channel TEXT NOT NULL, address TEXT NOT NULL,
  category TEXT NOT NULL, template TEXT NOT NULL, version TEXT NOT NULL, at INTEGER NOT NULL, expires INTEGER,
  ref TEXT NOT NULL, status TEXT NOT NULL, error TEXT NOT NULL, status_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX message_of ON message (client, at, id);
CREATE INDEX message_at ON message (at);
CREATE TABLE device (
  id TEXT PRIMARY KEY, client TEXT NOT NULL, token TEXT NOT NULL, platform TEXT NOT NULL, added_at INTEGER NOT NULL, seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX device_of ON device (client, seen_at, id);
