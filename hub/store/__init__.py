"""The log of record and the state: on SQLite, one file and one writer, or on PostgreSQL, past one machine."""
