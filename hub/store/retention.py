"""What is kept how long."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Retention:
    """Numbered keys, money intents, runs and audit are kept for ever and have no entry here."""

    input: timedelta = timedelta(days=400)
    hashed_keys: timedelta = timedelta(days=35)
    attempts: timedelta = timedelta(days=30)
    traces: timedelta = timedelta(days=30)
