-- What was written to clients, and what is known of each message; and the devices clients take push messages on.
-- How a message ended stands with its intent. `ref` is the channel's own number for it, `status` what the channel told later.
CREATE TABLE message (
  id text COLLATE "C" PRIMARY KEY, intent text COLLATE "C" NOT NULL, client text COLLATE "C" NOT NULL, account text COLLATE "C" NOT NULL,
  channel text COLLATE "C" NOT NULL, address text COLLATE "C" NOT NULL, category text COLLATE "C" NOT NULL,
  template text COLLATE "C" NOT NULL, version text COLLATE "C" NOT NULL, at bigint NOT NULL, expires bigint,
  ref text COLLATE "C" NOT NULL, status text COLLATE "C" NOT NULL, error text COLLATE "C" NOT NULL, status_at bigint
);
CREATE INDEX message_of ON message (client, at, id);
CREATE INDEX message_at ON message (at);
CREATE TABLE device (
  id text COLLATE "C" PRIMARY KEY, client text COLLATE "C" NOT NULL, token text COLLATE "C" NOT NULL, platform text COLLATE "C" NOT NULL,
  added_at bigint NOT NULL, seen_at bigint NOT NULL
);
CREATE INDEX device_of ON device (client, seen_at, id);
