"""What a run that forks, and what is taken back where a run fails, keep in the store."""

from typing import Any

import msgspec

from hub.intents.kept import Kept


class Taken(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a step that was applied is taken back: worked out then, for later nobody knows how it was before.

    `problem` where that could not be worked out.
    """

    path: str
    item: str
    verb: str
    params: msgspec.Raw
    problem: str = ""


class BranchOf(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whose branch a run is: it takes the steps up to `until`, and reads the items around it by name.

    `root` is the run that began at a trigger, `at` where the fork stands in the code, `item` which item it is for.
    """

    root: str
    parent: str
    at: int
    number: int
    until: int
    item: str = ""
    bound: dict[str, Kept] = {}


class Forked(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a run has got with its branches. `ends` is why no more begin: one failed, or `stops` the run."""

    total: int
    next: int = 0
    open: list[str] = []
    ends: str = ""
    step: str = ""  # the one that failed
    stops: bool = False


class Branched(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of a fork: the items it goes through; of a branch that is at its end: what came of it."""

    items: list[Kept] = []
    ok: bool = False
    reason: str = ""
    results: dict[str, dict[str, Any]] = {}
    kept: dict[str, dict[str, Kept]] = {}
    heard: dict[str, msgspec.Raw] = {}
    undo: list[Taken] = []
    assumed: dict[str, Kept] = {}
    v: int = 1


class Late(msgspec.Struct, frozen=True):
    """An action a run has given up waiting for: what comes of it is told all the same."""

    run: str
    workflow: str
    trigger: str
    path: str
    verb: str
    params: msgspec.Raw
    depth: int
    v: int = 1
