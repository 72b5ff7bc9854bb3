"""One input being decided: the key as it stood before and as it stands with what was decided so far."""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from hub.bus.log import Input
from hub.clock import from_us, to_us
from hub.engine.account_rows import NOBODY, AccountRow
from hub.engine.decision import Decision
from hub.engine.depth import depth_of
from hub.engine.index import Program
from hub.engine.joined import is_up
from hub.engine.kept import recall
from hub.engine.own import Own, with_quote
from hub.engine.periods import periods
from hub.engine.plans import NOTHING_BOUND, Candidate, Feed, Plan, Remembered
from hub.engine.positions import Moved
from hub.engine.program import Calendar, PeriodEnd, SinceEnd
from hub.engine.rows import TimerKey
from hub.engine.run_rows import Cause
from hub.engine.started import shown_by
from hub.engine.state import NEVER, KeyState
from hub.engine.timers import window_timer
from hub.engine.totals import Alarm, Total
from hub.engine.trigger_rows import Anchor
from hub.engine.windows import Accumulator, Change, Holding, Worth
from hub.errors import HubError
from hub.events.base import AccountRef
from hub.events.records import CustomRecord, Envelope
from hub.events.watched import locked
from hub.expr import UNKNOWN
from hub.ids import account_key

NO_EVENT: Any = CustomRecord({})
NONE_BROKEN: Mapping[str, str] = {}
NONE_TOLD: Mapping[str, Mapping[str, str | None]] = {}
Env = dict[str, object]


class Broken(HubError):
    """Running a trigger failed on our side; the input is decided again without it, so that others are not held up."""

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(f"{part}: {reason}")
        self.part = part
        self.reason = reason


def holding_of(state: KeyState, feed: Feed) -> Holding:
    """Return what is stored of an aggregate for a key."""
    total = state.values.get(feed.slot)
    kept = total if type(total) is Total else None
    if feed.granted:
        return Holding(kept, state.series.get(feed.name), state.since)
    return Holding(kept, state.series.get(feed.name))


class Scene:
    """Everything a condition may look at. It collects into `decision` and changes nothing else."""

    __slots__ = (
        "_before",
        "_env",
        "_now",
        "_values",
        "account",
        "account_before",
        "before_at",
        "body",
        "bound",
        "broken",
        "client",
        "client_before",
        "decision",
        "depth",
        "envelope",
        "event",
        "item",
        "moved",
        "own",
        "program",
        "state",
        "told",
    )

    def __init__(
        self,
        program: Program,
        state: KeyState,
        item: Input,
        decision: Decision,
        broken: Mapping[str, str] = NONE_BROKEN,
    ) -> None:
        self.program = program
        self.state = state
        self.item = item
        self.decision = decision
        self.account = self.account_before = state.account or AccountRow(state.server, state.login)
        self.client = self.client_before = state.client or NOBODY
        self.envelope: Envelope | None = None
        self.event: Any = NO_EVENT
        self.body: bytes | None = None
        self.depth = 0
        self.before_at = item.at
        self.broken = broken
        self._now: datetime | None = None
        self._env: Env | None = None
        self.bound = NOTHING_BOUND  # what the environment is filled with
        self._values: dict[str, Any] = {}
        self._before: dict[str, Any] = {}
        self.moved: Moved | None = None  # what an event of an account did to a position
        self.own: Own | None = None  # what a key that is a position, symbol or group is, as the event told it
        self.told = NONE_TOLD  # what other keys have to hear of the account's present rows

    def look_at(self, envelope: Envelope, record: Any, body: bytes) -> None:
        """Make an event what conditions are asked about."""
        self.envelope, self.event, self.body = envelope, record, body
        self.depth = depth_of(envelope.source)

    @property
    def now(self) -> datetime:
        if self._now is None:
            self._now = from_us(self.item.at)
        return self._now

    @property
    def account_key(self) -> str:
        """Return the account that is looked at, "" for none."""
        row = self.account
        if not self.state.by_mail:
            return self.state.key
        return account_key(row.server, row.login) if row.login else ""

    @property
    def account_ref(self) -> AccountRef | None:
        """Return the account events are published about; one known by mail without what may have changed since."""
        row = self.account
        if not row.login:
            return None
        if self.state.by_mail:
            return _ref(row.server, row.login, None, None)
        return _ref(row.server, row.login, row.group, row.currency)

    def beside(self, event: Any, depth: int) -> "Scene":
        """Return a scene of the same moment and the same decision, about another event."""
        other = Scene(self.program, self.state, self.item, self.decision, self.broken)
        other.account, other.account_before = self.account, self.account_before
        other.client, other.client_before = self.client, self.client_before
        other.event, other.depth, other.before_at = event, depth, self.before_at
        other._values, other.own = self._values, self.own
        return other

    def holding(self, feed: Feed) -> Holding:
        return holding_of(self.state, feed)

    def changed(self, feed: Feed, change: Change) -> None:
        """Take in what this input changes in an aggregate."""
        decision, name, total = self.decision, feed.name, change.total
        decision.changes[name] = change
        self._values[name] = change.value
        self.bound = NOTHING_BOUND
        if total is not None:
            decision.puts[feed.slot] = total
        if feed.watched:
            self.watch(feed, change)

    def watch(self, feed: Feed, change: Change) -> None:
        """See to it that a timer waits for what an aggregate lets go next, if that can matter, or for the last of it."""
        alarm, expiry = self.state.values.get(feed.alarm), change.expiry
        if feed.lets_go and change.gone is not None and not self._is_up(feed):
            expiry = change.gone
        # A timer that comes first finds what it finds and looks again.
        if type(alarm) is not Alarm or expiry is None or not self.item.at < alarm.due <= expiry:
            self.watch_expiry(feed, expiry)

    def value(self, feed: Feed) -> Worth:
        """Return what an aggregate is worth with this input."""
        values, name = self._values, feed.name
        if name not in values:
            values[name] = feed.accumulator.value(self.holding(feed), self.item.at)
        worth: Worth = values[name]
        return worth

    __getitem__ = value  # what is sought in a joined question is looked up there as in any mapping

    def value_before(self, feed: Feed) -> Worth:
        """Return what it was worth before this input."""
        if feed.name not in self._before:
            self._before[feed.name] = feed.accumulator.value(self.holding(feed), self.before_at)
        worth: Worth = self._before[feed.name]
        return worth

    def recalled(self, each: Remembered) -> Any:
        """Return what an anchor is worth with this input; what is remembered meanwhile is told by `remembered`."""
        values, name = self._values, each.index
        if name not in values:
            slot, puts = each.slot, self.decision.puts
            stored = puts[slot] if slot in puts else self.state.values.get(slot)
            values[name] = self._recall(each, stored, before=False)
        return values[name]

    def recalled_before(self, each: Remembered) -> Any:
        """Return what an anchor was worth before this input."""
        if each.index not in self._before:
            self._before[each.index] = self._recall(each, self.state.values.get(each.slot), before=True)
        return self._before[each.index]

    def remembered(self, each: Remembered, anchor: Anchor | None) -> None:
        """Take in what this input changes in an anchor."""
        self.decision.puts[each.slot] = anchor
        self._values.pop(each.index, None)
        self.bound = NOTHING_BOUND

    def env_for_anchors(self, plan: Plan, *, before: bool = False) -> Env:
        """Return what the anchors of a workflow are made of: everything but the anchors themselves."""
        account = self.account_before if before else self.account
        env: Env = {
            "event": self.event,
            "account": account if account.login else NO_EVENT,
            "client": self.client_before if before else self.client,
            "params": plan.params,
            "now": self.now,
        }
        for name, feed in plan.feeds:
            env[name] = self.value_before(feed) if before else self.value(feed)
        if self.program.own_slot is not None:
            env[self.program.own_root] = self.own_before if before else self.own or self.own_before
        return env

    def _recall(self, each: Remembered, stored: object, *, before: bool) -> Any:
        anchor, value = each.anchor, None
        if isinstance(stored, Anchor) and stored.value is not None:
            value = recall(stored.value)
        # One that could not be taken is missing: what stood in for it before is not what it should be now.
        stands_in = anchor.first is not None and (not isinstance(stored, Anchor) or not stored.at)
        if (value is not None or not stands_in) and anchor.lock is None:
            return value
        env = self.env_for_anchors(each.plan, before=before)
        for other in each.plan.anchors:
            if other is each:
                break
            env[other.name] = self.recalled_before(other) if before else self.recalled(other)
        if value is None and anchor.first is not None and stands_in:
            value = _known(anchor.first.evaluate(env))
        if value is not None and anchor.lock is not None:
            lock = _known(anchor.lock.evaluate(env))
            value = locked(anchor.how, value, lock) if lock is not None else None
        return value

    def base(self) -> Env:
        """Return the one environment conditions are asked in; it is filled anew for each, and kept by none."""
        env = self._env
        if env is None:
            account = self.account if self.account.login else NO_EVENT
            env = self._env = {"event": self.event, "account": account, "client": self.client}
            if self.program.own_slot is not None:
                env[self.program.own_root] = self.own or self.own_before
            if self.program.reads_clock:
                env["now"] = self.now
        return env

    @property
    def own_before(self) -> object:
        """Return what a key that is a position, symbol or group was before this input."""
        slot = self.program.own_slot
        return NO_EVENT if slot is None else self.state.values.get(slot, NO_EVENT)

    def base_for_feeds(self) -> Env:
        """Return the base environment for aggregates, whose expressions read each its own params beside it."""
        self.bound = NOTHING_BOUND
        return self._env or self.base()

    def env(self, candidate: Candidate) -> Env:
        """Return the base environment with the params and the aggregates one trigger's conditions read."""
        env = self._env or self.base()
        binding = candidate.binding
        if binding is self.bound or binding is NOTHING_BOUND:
            return env  # filled with that already, or nothing is needed
        if binding.params is not None:
            env["params"] = binding.params
        values = self._values
        for name, feed in binding.feeds:
            env[name] = values[feed.name] if feed.name in values else self.value(feed)
        for each in binding.anchors:
            env[each.name] = self.recalled(each)
        self.bound = binding
        return env

    def env_before(self, candidate: Candidate) -> Env:
        env: Env = {
            "event": self.event,
            "account": self.account_before if self.account_before.login else NO_EVENT,
            "client": self.client_before,
            "params": candidate.plan.params,
            "now": from_us(self.before_at),
        }
        if self.program.own_slot is not None:
            env[self.program.own_root] = self.own_before
        for name, feed in candidate.feeds:
            env[name] = self.value_before(feed)
        for each in candidate.binding.anchors:
            env[each.name] = self.recalled_before(each)
        return env

    def env_for_steps(self, plan: Plan, cause: Cause, results: Mapping[str, Mapping[str, Any]]) -> Env:
        env: Env = {
            "event": self.event,
            "account": self.account if self.account.login else NO_EVENT,
            "client": self.client,
            "params": plan.params,
            "trigger": cause if not cause.by else shown_by(cause),
            "steps": results,
            "now": self.now,
        }
        if self.program.own_slot is not None:
            env[self.program.own_root] = with_quote(self.own or self.own_before, self.event)
        for each in plan.anchors:
            env[each.name] = self.recalled(each)
        period = cause.period
        if period is None:
            for name, feed in plan.feeds:
                env[name] = self.value(feed)
            return env
        env["period"] = period
        ended = plan.triggers.get(cause.id)
        calendar = (
            ended.trigger.calendar if ended is not None and isinstance(ended.trigger, PeriodEnd) else None
        )
        for name, feed in plan.feeds:
            env[name] = self.value_in(feed, calendar, to_us(period.start), to_us(period.end))
        return env

    def value_in(self, feed: Feed, calendar: Calendar | None, start: int, end: int) -> Worth:
        """Return what an aggregate was worth when a period of its calendar ended, or is by now; any other, as it is.

        It is missing where the period lies so far back that nobody has kept it.
        """
        window, now = feed.aggregate.window, self.item.at
        if isinstance(window, SinceEnd) and window.calendar == calendar:
            holding = self.holding(feed)
            assert isinstance(feed.accumulator, Accumulator)
            return feed.accumulator.since(holding, end) if self._is_kept(feed, calendar, start) else None
        if window != calendar or calendar is None or end > now:
            return self.value(feed)
        if not self._is_kept(feed, calendar, start):
            return None
        return feed.accumulator.value(self.holding(feed), end - 1)

    def _is_kept(self, feed: Feed, calendar: Calendar, start: int) -> bool:
        held = self.state.since if feed.granted else NEVER
        spans = periods(calendar)
        return start >= min(held, spans.before(spans.span(self.item.at))[0])

    def _is_up(self, feed: Feed) -> bool:
        """Return whether a condition holds that could end when something leaves the aggregate's window."""
        puts, values = self.decision.puts, self.state.values
        for edge in feed.edges:
            stood = puts[edge] if edge in puts else values.get(edge)
            if stood is not None and is_up(stood):
                return True
        return False

    def follow(self, candidate: Candidate) -> None:
        """Watch what a condition that holds from now on reads: it lets go when enough of that has left."""
        for _, feed in candidate.feeds:
            if not feed.lets_go:
                continue
            change = self.decision.changes.get(feed.name)
            expiry = (
                change.expiry
                if change is not None
                else feed.accumulator.expire(self.holding(feed), self.item.at).expiry
            )
            puts = self.decision.puts
            alarm = puts[feed.alarm] if feed.alarm in puts else self.state.values.get(feed.alarm)
            if expiry is not None and (type(alarm) is not Alarm or alarm.due > expiry):
                self.watch_expiry(feed, expiry)

    def watch_expiry(self, feed: Feed, expiry: int | None) -> None:
        """Have one timer wait for an aggregate's next expiry, in the place of the one it has."""
        puts = self.decision.puts
        alarm = puts[feed.alarm] if feed.alarm in puts else self.state.values.get(feed.alarm)
        if isinstance(alarm, Alarm):
            writes = self.decision.writing()
            if feed.alarm in puts:  # made a moment ago, before it was known that it has to be sooner
                writes.timers = [timer for timer in writes.timers if timer.id != alarm.timer]
            else:
                writes.cancelled.append(TimerKey(self.state.partition, alarm.due, alarm.timer))
            puts[feed.alarm] = None
        if expiry is None:
            return
        timer = window_timer(self.state.partition, self.state.key, feed.name, expiry)
        puts[feed.alarm] = Alarm(expiry, timer.id)
        self.decision.writing().timers.append(timer)


@lru_cache(maxsize=256)  # a run that goes on tells of several events, and checking a name takes a while
def _ref(server: str, login: int, group: str | None, currency: str | None) -> AccountRef:
    return AccountRef(server=server, login=login, group=group, currency=currency)


def _known(value: object) -> Any:
    return None if value is UNKNOWN else value
