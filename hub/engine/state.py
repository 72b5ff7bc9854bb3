"""What the engine knows of one key: frozen records by kind and name, and the contributions its windows may let go."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from enum import IntEnum
from operator import itemgetter
from typing import Any

import msgspec

from hub.engine.branches import Branched, BranchOf, Forked, Late, Taken
from hub.engine.held import Followed, GroupRow, PositionRow, SymbolRow, ThingRow, Told
from hub.engine.keys import KeyKind, kind_of
from hub.engine.ledger import AGES, Ledger, PeriodEnds, PeriodFacts
from hub.engine.rows import KeyRows
from hub.engine.series import Series

NEVER = 2**63  # later than any moment


class Kind(IntEnum):
    """Written into the store: never renumbered."""

    ACCOUNT = 1
    CLIENT = 2
    TOTAL = 3
    EDGE = 4
    FIRES = 5
    LEVEL = 6
    RUN = 7
    ALARM = 8
    PROGRAM = 9
    HOLD = 10
    ABSENCE = 11
    GRANT = 13
    PERIOD = 14
    FORK = 18
    APPROVAL = 19
    POSITION = 20
    TOLD = 21
    SYMBOL = 22
    GROUP = 23
    LATE = 24
    ANCHOR = 12
    SCHEDULE = 15
    QUEUE = 16
    FOLLOWED = 25


# Rows hold JSON's values and never each other, so no cycle can run through them: `gc=False` spares the collector
# from looking at each one that an event replaces.
class AccountRow(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """An account as its events told it. A field nobody has told yet is None: unknown, never a guess."""

    server: str
    login: int
    v: int = 1
    platform: str | None = None
    group: str | None = None
    currency: str | None = None
    digits: int | None = None
    leverage: int | None = None
    type: str | None = None
    program: str | None = None
    phase: str | None = None
    status: str | None = None
    enabled: bool | None = None
    trading_enabled: bool | None = None
    country: str | None = None
    balance: Decimal | None = None
    credit: Decimal | None = None
    initial_balance: Decimal | None = None
    open_positions: int | None = None
    open_lots: Decimal | None = None
    registered_at: datetime | None = None
    last_trade_at: datetime | None = None
    tags: list[str] | None = None
    attributes: dict[str, Any] = {}


class ClientRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """The client behind an account, as `client.*` events naming that account told it."""

    v: int = 1
    id: str | None = None
    email: str | None = None
    phone: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    language: str | None = None
    country: str | None = None
    timezone: str | None = None
    consent_marketing: bool | None = None
    kyc: str | None = None
    ib: str | None = None
    tags: list[str] | None = None
    attributes: dict[str, Any] = {}
    accounts: list[str] | None = None


NOBODY = ClientRow()
NO_ACCOUNT = AccountRow("", 0)


class Bucket(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One period's running value; `low` and `high` are kept only where the aggregate asks for them."""

    start: int
    sum: Decimal
    count: int
    low: Decimal | None = None
    high: Decimal | None = None


class Total(msgspec.Struct, frozen=True, gc=False):
    """A calendar or lifetime aggregate: its current and previous periods, oldest first."""

    buckets: tuple[Bucket, ...]
    v: int = 1


class Edge(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """How a condition last stood (None: not known, or its scope was left) and how often it has fired."""

    value: bool | None
    number: int
    v: int = 1


class Fires(msgspec.Struct, frozen=True, gc=False):
    """When a limited workflow ran: the latest instants (µs), as many as its limit counts."""

    at: tuple[int, ...]
    v: int = 1


class Level(msgspec.Struct, frozen=True, gc=False):
    """A watched level and the trigger it belongs to. A gone level stays, because its generation only grows."""

    workflow: str
    trigger: str
    field: str
    side: str
    threshold: str
    rearm: str
    generation: int
    state: str  # new, armed, crossed, gone
    v: int = 1
    rule: str | msgspec.UnsetType = msgspec.UNSET  # where there is none its row reads as it always did


class Alarm(msgspec.Struct, frozen=True, gc=False):
    """The timer that waits for an aggregate's next expiry."""

    due: int
    timer: str
    v: int = 1


class Hold(msgspec.Struct, frozen=True, gc=False):
    """A condition that turned true and has to hold until `due` before its trigger fires."""

    since: int
    due: int
    timer: str
    number: int  # the edge's
    reason: str
    v: int = 1
    value: Decimal | msgspec.UnsetType | None = msgspec.UNSET  # these four of a level that was passed
    limit: Decimal | msgspec.UnsetType | None = msgspec.UNSET
    span: int | msgspec.UnsetType = msgspec.UNSET
    unproven: bool | msgspec.UnsetType = msgspec.UNSET  # the feed was away: it begins anew when it is back


class Absence(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a trigger waits for not to come. `since` None: it has fired, or nothing has begun it.

    The timer stays where it is while `since` moves on: when it comes it looks, and goes on if it came too soon.
    """

    since: int | None
    number: int  # how often it has fired
    due: int = 0
    timer: str = ""
    v: int = 1


class Anchor(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A value that is remembered. `value` None: none was taken yet, or it could not be known when it should have been.

    `until` is when the day began whose value it is, `generation` and `state` are those of the row the watcher has of it.
    """

    definition: str
    value: tuple[str, str] | None = None  # what kind of value, and its text
    at: int = 0  # when it was taken
    source: str = ""  # from what
    until: int = 0
    generation: int = 0
    state: str = ""
    v: int = 1


class Scheduled(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The next moment of a schedule; without a timer there is none. `rule` is what it follows from."""

    rule: str
    due: int = 0
    timer: str = ""
    v: int = 1


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


class Behind(msgspec.Struct, frozen=True):
    """A set that was live before, and keys beyond `after` have not been brought in line with."""

    hash: str
    n: int
    at: int
    after: str


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which set of workflows decides a partition, by the hash its text is stored under, since its input `n` at `at`.

    `after`: its keys up to this one are in line with it, None: all are. `behind`: the sets before it of which that is
    still to be done, oldest first. `to_come`: the set that is being prepared.
    """

    hash: str
    v: int = 1
    n: int = 0
    at: int = 0
    after: str | None = None
    to_come: str = ""
    behind: tuple[Behind, ...] = ()


Value = (
    AccountRow
    | ClientRow
    | Total
    | Edge
    | Fires
    | Level
    | Alarm
    | Hold
    | Absence
    | Approval
    | Anchor
    | Scheduled
    | Queue
    | OpenRun
    | Manifest
    | Ledger
    | PeriodEnds
    | PositionRow
    | Told
    | ThingRow
    | Branched
    | Late
    | Followed
)
Slot = tuple[int, str]

ACCOUNT: Slot = (Kind.ACCOUNT.value, "")  # plain numbers: an enum hashes more slowly
CLIENT: Slot = (Kind.CLIENT.value, "")

_decoders: dict[int, msgspec.json.Decoder[Any]] = {
    Kind.ACCOUNT: msgspec.json.Decoder(AccountRow),
    Kind.CLIENT: msgspec.json.Decoder(ClientRow),
    Kind.TOTAL: msgspec.json.Decoder(Total),
    Kind.EDGE: msgspec.json.Decoder(Edge),
    Kind.FIRES: msgspec.json.Decoder(Fires),
    Kind.LEVEL: msgspec.json.Decoder(Level),
    Kind.RUN: msgspec.json.Decoder(OpenRun),
    Kind.ALARM: msgspec.json.Decoder(Alarm),
    Kind.PROGRAM: msgspec.json.Decoder(Manifest),
    Kind.HOLD: msgspec.json.Decoder(Hold),
    Kind.ABSENCE: msgspec.json.Decoder(Absence),
    Kind.GRANT: msgspec.json.Decoder(Ledger),
    Kind.PERIOD: msgspec.json.Decoder(PeriodEnds),
    Kind.APPROVAL: msgspec.json.Decoder(Approval),
    Kind.POSITION: msgspec.json.Decoder(PositionRow),
    Kind.TOLD: msgspec.json.Decoder(Told),
    Kind.SYMBOL: msgspec.json.Decoder(SymbolRow),
    Kind.GROUP: msgspec.json.Decoder(GroupRow),
    Kind.FORK: msgspec.json.Decoder(Branched),
    Kind.LATE: msgspec.json.Decoder(Late),
    Kind.ANCHOR: msgspec.json.Decoder(Anchor),
    Kind.SCHEDULE: msgspec.json.Decoder(Scheduled),
    Kind.QUEUE: msgspec.json.Decoder(Queue),
    Kind.FOLLOWED: msgspec.json.Decoder(Followed),
}
encode_value = msgspec.json.Encoder(decimal_format="string").encode


def decode_value(kind: int, value: bytes) -> Value:
    decoded: Value = _decoders[kind].decode(value)
    return decoded


class KeyState:
    """Everything of one key in memory. Only `hub.engine.decision.apply` changes it, after a decision was made."""

    __slots__ = (
        "account",
        "alarm_due",
        "by_mail",
        "client",
        "key",
        "kind",
        "ledgers",
        "login",
        "open_runs",
        "partition",
        "series",
        "server",
        "since",
        "values",
    )

    def __init__(self, partition: int, key: str) -> None:
        self.partition = partition
        self.key = key
        self.kind = kind_of(key)
        self.by_mail = self.kind is not KeyKind.ACCOUNT  # it hears of events from the accounts they belong to
        server, _, login = ("", "", "") if self.by_mail else key.rpartition(":")
        self.server = server
        self.login = int(login) if login.isdecimal() else 0
        self.values: dict[Slot, Value] = {}
        self.account: AccountRow | None = None  # these two stand among the values as well
        self.client: ClientRow | None = None
        self.series: dict[str, Series] = {}
        self.open_runs: tuple[OpenRun, ...] = ()  # stand among the values too
        self.ledgers: tuple[tuple[str, Ledger], ...] = ()  # those not closed, by name; among the values too
        self.since = NEVER  # when the first of their periods began: aggregates keep what happened since
        self.alarm_due = NEVER  # the earliest of alarms, holds and waits: nothing runs out before it

    @classmethod
    def from_rows(cls, partition: int, key: str, rows: KeyRows) -> "KeyState":
        state = cls(partition, key)
        for kind, name, value in rows.states:
            if kind in _decoders:  # a kind a newer hub wrote is none of our business
                state.values[(kind, name)] = decode_value(kind, value)
        for name, at, ref, text in rows.series:
            series = state.series.get(name)
            if series is None:
                series = state.series[name] = Series()
            series.load(at, ref, text)
        state.note_rows()
        state.note_runs()
        state.note_ledgers()
        state.set_alarm()
        return state

    def note_rows(self) -> None:
        account, client = self.values.get(ACCOUNT), self.values.get(CLIENT)
        self.account = account if isinstance(account, AccountRow) else None
        self.client = client if isinstance(client, ClientRow) else None

    def of_kind(self, kind: Kind) -> Iterable[tuple[str, Value]]:
        return [(name, value) for (k, name), value in self.values.items() if k == kind]

    def set_alarm(self) -> None:
        due = [value.due for value in self.values.values() if isinstance(value, Alarm)]
        timed = Hold | Absence | Ledger | PeriodEnds | Scheduled
        due += [each.due for each in self.values.values() if isinstance(each, timed) and each.timer]
        due += [run.wait.due for run in self.open_runs if run.wait is not None]
        self.alarm_due = min(due, default=NEVER)

    def note_runs(self) -> None:
        self.open_runs = tuple(value for value in self.values.values() if isinstance(value, OpenRun))

    def note_ledgers(self) -> None:
        found = [(name, value) for name, value in self.of_kind(Kind.GRANT) if isinstance(value, Ledger)]
        self.ledgers = tuple(sorted((each for each in found if each[1].stage != "closed"), key=itemgetter(0)))
        self.since = min((each.start for _, each in self.ledgers if each.end != AGES), default=NEVER)
