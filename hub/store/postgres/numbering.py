"""What the owner of a partition hands out: row numbers per partition, event numbers per account, without gaps.

Kept in memory under the leases they were read with. Whatever could make them wrong makes them be read again: a change of
owner is another epoch, and of a failed transaction everything is forgotten.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from hub.bus.lease import Lease
from hub.store.postgres.database import Connection

_ACCOUNTS_IN_MEMORY = 200_000

# What proves a partition is ours: without `until`, which grows as the lease is prolonged.
_Epochs: TypeAlias = tuple[tuple[str, str, int], ...]


class Numbering:
    def __init__(self) -> None:
        self._under: dict[int, _Epochs] = {}
        self._heads: dict[int, int] = {}
        self._ats: dict[int, int] = {}
        self._sequences: dict[int, dict[str, int]] = {}
        self._accounts = 0
        self._last_at = 0

    def forget(self) -> None:
        """Start again from what is committed, at the next `refresh`."""
        self._under.clear()
        self._sequences.clear()
        self._accounts = 0

    async def refresh(self, connection: Connection, held: Mapping[int, Sequence[Lease]]) -> None:
        """Make the heads of these partitions what is committed, unless they are known under the same leases."""
        epochs = {p: tuple((lease.name, lease.owner, lease.epoch) for lease in by) for p, by in held.items()}
        missing = [p for p, by in epochs.items() if self._under.get(p) != by]
        if not missing:
            return
        rows = await connection.fetch(
            "SELECT partition, n, at FROM head WHERE partition = ANY($1::smallint[])", missing
        )
        found = {row["partition"]: (row["n"], row["at"]) for row in rows}
        for p in missing:
            self._heads[p], self._ats[p] = found.get(p, (0, 0))
            self._sequences.pop(p, None)
            self._under[p] = epochs[p]

    async def load_sequences(self, connection: Connection, accounts: Mapping[str, int]) -> None:
        """Know the last event number of these accounts, each with its partition."""
        if self._accounts > _ACCOUNTS_IN_MEMORY:
            self._sequences.clear()
            self._accounts = 0
        missing = [name for name, p in accounts.items() if name not in self._sequences.get(p, ())]
        if not missing:
            return
        rows = await connection.fetch(
            "SELECT account, last FROM sequence WHERE account = ANY($1::text[])", missing
        )
        found = {row["account"]: row["last"] for row in rows}
        for name in missing:
            self._sequences.setdefault(accounts[name], {})[name] = found.get(name, 0)
        self._accounts += len(missing)

    def next_n(self, partition: int) -> int:
        self._heads[partition] += 1
        return self._heads[partition]

    def next_sequence(self, partition: int, account: str) -> int:
        self._sequences[partition][account] += 1
        return self._sequences[partition][account]

    def at(self, now_us: int, partitions: Sequence[int]) -> int:
        """Return now, or the latest moment these partitions or this process have seen: `at` never decreases."""
        self._last_at = max(now_us, self._last_at, *(self._ats[p] for p in partitions))
        for p in partitions:
            self._ats[p] = self._last_at
        return self._last_at
