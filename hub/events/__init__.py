"""What happened: the catalogue of events, their identity, and their bytes."""
