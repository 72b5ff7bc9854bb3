"""Which set of workflows decides a partition, and how far its keys are in line with it."""

import msgspec


class Behind(msgspec.Struct, frozen=True):
    """A set that was live before, and keys beyond `after` have not been brought in line with."""

    hash: str
    n: int
    at: int
    after: str


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which set of workflows decides a partition, by the hash its text is stored under, since its input `n` at `at`.

    `after`: its keys up to this one are in line with it, None: all are. `behind`: the sets before it of which that is
    still to be done, oldest first. `to_come`: the set that is being prepared, activated by its input
    `since`. `counts_from`: since when aggregates by other keys than the account know all, where something before was
    never counted. `told_from`: since when all they know was told to their own key, where they came later.
    """

    hash: str
    v: int = 1
    n: int = 0
    at: int = 0
    after: str | None = None
    to_come: str = ""
    behind: tuple[Behind, ...] = ()
    counts_from: dict[str, int] = {}
    since: int = 0
    told_from: dict[str, int] = {}
