"""Everything in one file: one writer, acknowledged means on disk."""
