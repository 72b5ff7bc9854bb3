"""What the engine knows of one key: frozen rows by kind and name, and the contributions its windows may let go."""

from collections.abc import Iterable
from operator import itemgetter

from hub.engine.account_rows import AccountRow, ClientRow
from hub.engine.keys import KeyKind, kind_of
from hub.engine.ledger import AGES, Ledger, PeriodEnds
from hub.engine.rows import KeyRows
from hub.engine.run_rows import OpenRun
from hub.engine.series import Series
from hub.engine.totals import Alarm
from hub.engine.trigger_rows import Absence, Hold, Scheduled
from hub.engine.values import ACCOUNT, CLIENT, Kind, Slot, Value, decode_value, is_known

NEVER = 2**63  # later than any moment


_TIMED = (Alarm, Hold, Absence, Ledger, PeriodEnds, Scheduled)  # each waits for its timer, if it has one
_KINDS = frozenset(_TIMED)  # asked first: most values are none of these, and one look says so


class KeyState:
    """Everything of one key in memory. Only `hub.engine.decision.apply` changes it, after a decision was made."""

    __slots__ = (
        "account",
        "alarm_due",
        "by_mail",
        "client",
        "has_edges",
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
        self.has_edges = False  # how a condition stood may be among the values
        self.open_runs: tuple[OpenRun, ...] = ()  # stand among the values too
        self.ledgers: tuple[tuple[str, Ledger], ...] = ()  # those not closed, by name; among the values too
        self.since = NEVER  # when the first of their periods began: aggregates keep what happened since
        self.alarm_due = NEVER  # the earliest of alarms, holds and waits: nothing runs out before it

    @classmethod
    def from_rows(cls, partition: int, key: str, rows: KeyRows) -> "KeyState":
        state = cls(partition, key)
        for kind, name, value in rows.states:
            if is_known(kind):  # a kind a newer hub wrote is none of our business
                state.values[(kind, name)] = decode_value(kind, value)
                state.has_edges |= kind == Kind.EDGE
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
        first = NEVER
        for value in self.values.values():
            kind = type(value)
            if (
                kind in _KINDS
                and isinstance(value, _TIMED)
                and value.due < first
                and (kind is Alarm or value.timer)
            ):
                first = value.due
        for run in self.open_runs:
            if run.wait is not None and run.wait.due < first:
                first = run.wait.due
        self.alarm_due = first

    def note_runs(self) -> None:
        found = (value for value in self.values.values() if isinstance(value, OpenRun))
        # Which is asked first decides what is written first: no order of rows in a store may have a say in that.
        self.open_runs = tuple(sorted(found, key=_age))

    def note_ledgers(self) -> None:
        found = [(name, value) for name, value in self.of_kind(Kind.GRANT) if isinstance(value, Ledger)]
        self.ledgers = tuple(sorted((each for each in found if each[1].stage != "closed"), key=itemgetter(0)))
        self.since = min((each.start for _, each in self.ledgers if each.end != AGES), default=NEVER)


def _age(run: OpenRun) -> tuple[int, int, str]:
    """Return what orders runs by when they began, and branches of one run by their numbers."""
    return run.at, len(run.id), run.id
