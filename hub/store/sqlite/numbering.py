"""What the log hands out: row numbers per partition, event numbers per account, ranks; all without gaps.

Lives on the writer's thread. What a failed transaction had handed out is forgotten, and read again from the tables.
"""

from collections.abc import Iterable

import apsw

from hub.ids import PARTITIONS
from hub.store.sqlite.wide import among

LANDMARK_EVERY = 64
SEQUENCES_EVERY = 8_192  # rows between two writings of the event numbers
_SEQUENCES_IN_MEMORY = 200_000


class Numbering:
    """Event numbers stand in the log's own rows; the `sequence` table is right up to one rank.

    It is written every so often: accounts are scattered over it, and with every commit it would cost a page an event.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._heads: list[int] = []
        self._rank = 0
        self._last_at = 0
        self._sequences: dict[str, int] = {}
        self._since: dict[str, int] = {}  # numbers given after the table was last written
        self._written = 0  # the rank up to which the table is right
        self._stale = True
        self.refresh()

    def forget(self) -> None:
        """Start again from what is committed, at the next `refresh`: forgetting reads nothing and so never fails."""
        self._stale = True

    def refresh(self) -> None:
        """Read what is committed if it was forgotten; half a reading must not count, or numbers would be given twice."""
        if not self._stale:
            return
        heads = [0] * PARTITIONS
        for partition, n in self._connection.execute("SELECT partition, n FROM head"):
            heads[partition] = n
        last = self._connection.execute("SELECT rank, at FROM input ORDER BY rank DESC LIMIT 1").fetchone()
        if last is not None:
            self._rank, at = last
            self._last_at = max(self._last_at, at)
        else:
            self._rank = 0
        written = written_sequences(self._connection)
        since = self._connection.execute(
            "SELECT key, max(sequence) FROM input WHERE rank > ? AND sequence IS NOT NULL GROUP BY key",
            (written,),
        ).fetchall()
        self._written = written
        self._since = {str(account): int(str(sequence)) for account, sequence in since}
        self._heads = heads
        self._sequences.clear()
        self._stale = False

    def heads(self) -> list[int]:
        return list(self._heads)

    def next_n(self, partition: int) -> int:
        self._heads[partition] += 1
        return self._heads[partition]

    def next_rank(self) -> int:
        self._rank += 1
        return self._rank

    def at(self, now_us: int) -> int:
        """Return now, or the latest moment handed out if the clock went back: `at` never decreases."""
        self._last_at = max(self._last_at, now_us)
        return self._last_at

    def load_sequences(self, accounts: Iterable[str]) -> None:
        wanted = set(accounts)
        if len(self._sequences) > _SEQUENCES_IN_MEMORY:
            self._sequences.clear()
        missing = [account for account in wanted if account not in self._sequences]
        self._sequences.update(dict.fromkeys(missing, 0))
        found = among(
            self._connection,
            "SELECT account, last FROM sequence WHERE account",
            [(account,) for account in missing],
        )
        self._sequences.update({str(account): int(last) for account, last in found})
        since = self._since
        self._sequences.update({account: since[account] for account in missing if account in since})

    def next_sequence(self, account: str) -> int:
        number = self._sequences[account] + 1
        self._sequences[account] = number
        self._since[account] = number
        return number

    @property
    def sequences_are_due(self) -> bool:
        return self._rank - self._written >= SEQUENCES_EVERY

    def take_sequences(self) -> list[tuple[str, int]]:
        """Return what the table lacks up to `rank`; the caller's transaction writes it."""
        rows = list(self._since.items())
        self._since.clear()
        self._written = self._rank
        return rows

    @property
    def rank(self) -> int:
        return self._rank


def written_sequences(connection: apsw.Connection) -> int:
    """Return the rank up to which the `sequence` table is right."""
    row = connection.execute("SELECT value FROM meta WHERE name = 'sequences'").fetchone()
    return int(row[0]) if row else 0
