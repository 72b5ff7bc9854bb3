"""The log of record and the state, on SQLite: one file, one writer, acknowledged means on disk."""
