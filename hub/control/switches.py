"""What a person has switched off, and what switched itself off: a handful of rows every process reads."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol, TypeAlias

import msgspec

Rows: TypeAlias = Mapping[str, bytes]
Change: TypeAlias = Callable[[Rows], Mapping[str, bytes | None]]

HALT: Final = "halt"
RESUMED: Final = "resumed"
TRIPPED: Final = "tripped:"
RESET: Final = "reset:"
COUNT: Final = "count:"


class Switched(msgspec.Struct, frozen=True):
    """Who did it, when (µs) and why."""

    at: int
    by: str
    because: str


encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Switched).decode


def decode(value: bytes) -> Switched:
    return _decode(value)


class Stands(NamedTuple):
    """What some rows say: whether everything is halted, who let it go on last, and which workflows are stopped."""

    halted: Switched | None = None
    resumed: Switched | None = None
    tripped: Mapping[str, Switched] = MappingProxyType({})


def stands(rows: Rows) -> Stands:
    return Stands(
        decode(rows[HALT]) if HALT in rows else None,
        decode(rows[RESUMED]) if RESUMED in rows else None,
        {
            name.removeprefix(TRIPPED): decode(value)
            for name, value in sorted(rows.items())
            if name.startswith(TRIPPED)
        },
    )


class SwitchStore(Protocol):
    async def read(self) -> Rows:
        """Return all rows by name, as they are on disk now."""

    async def change(self, work: Change) -> Rows:
        """Have `work` say what changes (None deletes) and return the rows after it, in one transaction.

        Changes of all processes come one after the other. `work` may be called again, and changes nothing else.
        """
