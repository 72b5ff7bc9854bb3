"""The hub with its fence pulled down, to see that a test notices: what a process once took by lease it believes its own for ever."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from hub.bus.lease import Lease
from hub.bus.ownership import Ownership
from hub.cli import main
from hub.store.postgres import database
from hub.store.postgres.lease import PostgresLeases

_begin = Ownership.__init__
_renew = PostgresLeases.renew


async def prove_nothing(connection: object, leases: Collection[Lease]) -> None:
    """Let every transaction through."""


def believe(self: Ownership, *args: Any, **more: Any) -> None:
    _begin(self, *args, **more)
    self._lasts = 1e9


async def renew(self: PostgresLeases, leases: Sequence[Lease], duration: timedelta) -> list[Lease]:
    """Ask, and take no for a yes."""
    await _renew(self, leases, duration)
    return list(leases)


if __name__ == "__main__":
    database.prove = prove_nothing
    Ownership.__init__ = believe  # type: ignore[method-assign]  # the sabotage this file is for
    PostgresLeases.renew = renew  # type: ignore[method-assign]  # as above
    main()
