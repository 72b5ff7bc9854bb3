"""Runs that are not over: rows of those that wait, for what, of whom they ask, and of those that have not begun."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from hub.engine.account_rows import AccountRow, ClientRow
from hub.engine.branches import BranchOf, Forked, Taken
from hub.engine.ledger import PeriodFacts


class Cause(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a run was started by, as the root `trigger` shows it; `at` is the moment of the decision, or of the schedule.

    `inputs` and `by` are what somebody gave who asked for the run, and who he was.
    """

    id: str
    at: datetime
    value: Decimal | None = None
    limit: Decimal | None = None
    period: PeriodFacts | None = None  # that ended
    inputs: dict[str, tuple[str, str]] = {}
    by: str = ""
    since: int = 0  # µs, when it happened, where it is neither the moment nor that of the event


NO_EVENT = msgspec.Raw(b"null")


class Waiting(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a run waits for beside an outcome: a moment, an event or a condition; its timer ends it at `due`."""

    what: str  # time, event, condition, retry, approval, outcome
    due: int
    timer: str


class OpenRun(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run that waits for the outcome of `waiting`: enough to carry on with the version it started with."""

    id: str
    workflow: str
    version: str
    cause: Cause
    at: int
    position: int
    waiting: str
    verb: str
    params: msgspec.Raw
    results: dict[str, dict[str, Any]]
    caused_by: str
    depth: int
    semantics: int
    event: msgspec.Raw = NO_EVENT
    account: AccountRow | None = None  # these two by another key than the account, which has its own
    client: ClientRow | None = None
    wait: Waiting | None = None
    kept: dict[str, dict[str, tuple[str, str]]] = {}  # by `set` steps: what kind of value, and its text
    heard: dict[str, msgspec.Raw] = {}  # the events its waits were answered by
    tried: int = 0  # how often the step it stands at was refused
    error: dict[str, str] | None = (
        None  # the step that failed and its message, once what happens then is under way
    )
    mode: str = "live"  # it began in, whatever the file says by now
    early: list[msgspec.Raw] = []  # events that came before the wait they may answer
    before: list[msgspec.Raw] = []  # and before the run began, for waits that count those too
    # By people: the values of later steps' parameters, which are used as they were approved.
    approved: dict[str, dict[str, tuple[str, str]]] = {}
    branch: BranchOf | None = None
    fork: Forked | None = None  # while it waits for its branches
    undo: list[Taken] = []  # what takes back the steps that were applied, in their order
    undoing: dict[str, str] | None = None  # the step that failed and its message, while those are taken back
    asked: AccountRow | None = None  # the account as it was when the step it waits for was asked for
    assumed: dict[str, tuple[str, str]] = {}  # in shadow: what its actions would have changed of the account
    lost: bool = False  # its version cannot be loaded any more: it stays where it is, and holds up no other
    v: int = 1


class Vote(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What one person said: `by` is the key's id, `name` the key's name; `refused` says why it does not count."""

    ballot: str
    by: str
    name: str
    decision: str
    at: int
    comment: str = ""
    refused: str = ""


class Approval(msgspec.Struct, frozen=True, omit_defaults=True):
    """An open question to people, of a run's step. What they were shown stands in the table, under `hash`.

    `fixed` are the values of later steps' parameters, by step and name: they are what is approved, and what is done.
    """

    run: str
    workflow: str
    step: str
    permission: str
    quorum: int
    due: int
    hash: str
    barred: list[str]
    fixed: dict[str, dict[str, tuple[str, str]]]
    votes: list[Vote] = []
    refused: list[Vote] = []
    v: int = 1


class Queued(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run that waits for the one before it to end, with what it was asked for by."""

    run: str
    trigger: str
    cause: Cause
    reason: str
    at: int
    version: str
    caused_by: str
    depth: int
    event: msgspec.Raw = NO_EVENT
    account: AccountRow | None = None  # these two by another key than the account, which has its own
    client: ClientRow | None = None


class Queue(msgspec.Struct, frozen=True):
    """The runs of one workflow and key that have not begun, in order."""

    waiting: tuple[Queued, ...]
    v: int = 1
