-- Run once, by the superuser, when the database is laid out: the hub's own role, which owns its database and nothing else.
-- The password is read from the secret by the server itself, so it stands in no command line and in no variable.
DO $$
BEGIN
  EXECUTE format('CREATE ROLE hub LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD %L',
                 btrim(pg_read_file('/run/secrets/hub-password'), E' \n\r\t'));
END $$;
CREATE DATABASE hub OWNER hub;
REVOKE ALL ON DATABASE hub FROM PUBLIC;
