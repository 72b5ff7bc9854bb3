"""What a rehearsal came to: who would have been touched, when, with how much money, what was held back, and why."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, final
from urllib.parse import unquote

from hub.clock import from_us, iso
from hub.engine.decision import Verdict, decode_trace
from hub.engine.misses import Misses, misses
from hub.engine.noes import SELF, kind_of
from hub.engine.program import Workflow
from hub.engine.questions import ASKED, Question, Questions
from hub.engine.rehearsal import Rehearsal
from hub.engine.rows import ApprovalMove, ApprovalRow, TraceRow
from hub.intents.intent import Intent
from hub.intents.verbs import VERBS, Risk

MOST_TOUCHES = 250_000  # kept one by one; what comes after is only counted
UNKNOWN_CURRENCY = "?"
ZERO = Decimal(0)


class Touch(NamedTuple):
    """One action somebody would have felt. `name` is its identity without the workflow's id: equal causes, equal names."""

    name: str
    at: int
    account: str
    trigger: str
    verb: str
    amount: Decimal | None
    currency: str
    params: bytes

    @property
    def who(self) -> tuple[str, str]:
        return self.account or unquote(self.name.partition("/")[0]), self.verb

    def data(self) -> dict[str, object]:
        amount = format(self.amount, "f") if self.amount is not None else None
        return {
            "at": iso(self.at),
            "who": self.who[0],
            "trigger": self.trigger,
            "action": self.verb,
            "amount": amount,
            "currency": self.currency or None,
        }


@final
class Tally:
    """Counts while it listens; what it keeps is bounded, its counts are exact."""

    def __init__(self) -> None:
        self.touches: list[Touch] = []
        self.actions: Counter[str] = Counter()
        self.by_trigger: Counter[str] = Counter()
        self.by_day: Counter[str] = Counter()
        self.money: defaultdict[str, Decimal] = defaultdict(Decimal)  # by currency
        self.money_by_trigger: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self.money_by_day: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self.held_back: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.who: set[str] = set()
        self.beyond = 0  # touches that are only counted
        self.questions = Questions()

    def asked(self, intent: Intent, currency: str, amount: Decimal | None) -> None:
        touch = touch_of(intent, currency, amount)
        day = from_us(touch.at).date().isoformat()
        self.actions[touch.verb] += 1
        self.by_trigger[touch.trigger] += 1
        self.by_day[day] += 1
        self.who.add(touch.who[0])
        if amount is not None and VERBS[touch.verb].risk is Risk.MONEY:
            currency = currency or UNKNOWN_CURRENCY
            # Every direction counts for itself: a credit and a charge of it are not nothing.
            self.money[f"{touch.verb} {currency}"] += amount
            self.money_by_trigger[(touch.trigger, currency)] += amount
            self.money_by_day[(day, currency)] += amount
        if len(self.touches) < MOST_TOUCHES:
            self.touches.append(touch)
        else:
            self.beyond += 1

    def traced(self, row: TraceRow) -> None:
        if row.outcome == Verdict.HELD_BACK:
            kind = kind_of(decode_trace(row.body).reason)
            if kind != SELF:  # every assumed effect is one, and holds nothing back
                self.held_back[kind] += 1
        elif row.outcome == Verdict.FAILED:
            self.failed[kind_of(decode_trace(row.body).reason)] += 1

    def questioned(self, row: ApprovalRow, currency: str) -> None:
        self.questions.asked(row, currency)

    def answered(self, move: ApprovalMove) -> None:
        self.questions.moved(move)

    def compared(self) -> Sequence[Touch]:
        """Return what another version is compared by: what would have been done, and who would have been asked."""
        return [*self.touches, *(_as_touch(question) for question in self.questions.kept)]


def _as_touch(question: Question) -> Touch:
    actions = " ".join(question.verbs).encode()
    amount, currency = question.amount, question.currency
    return Touch(
        question.name, question.at, question.account, question.trigger, ASKED, amount, currency, actions
    )


def touch_of(intent: Intent, currency: str, amount: Decimal | None) -> Touch:
    name = intent.key.partition("/")[2]
    parts = name.split("/")
    trigger = unquote(parts[1]) if len(parts) > 1 else ""
    return Touch(name, intent.at, intent.account, trigger, intent.verb, amount, currency, intent.params)


class Changed(NamedTuple):
    """Asked for by both, with other parameters."""

    old: Touch
    new: Touch


@dataclass(frozen=True, slots=True)
class Difference:
    """`complete` is False where one side has more than is kept one by one."""

    only_old: Sequence[Touch]
    only_new: Sequence[Touch]
    changed: Sequence[Changed]
    same: int
    complete: bool = True

    @property
    def is_none(self) -> bool:
        return not (self.only_old or self.only_new or self.changed)

    def money(self) -> Mapping[str, Decimal]:
        """Return how much more the new one moves, by verb and currency."""
        found: defaultdict[str, Decimal] = defaultdict(Decimal)
        for touch in self.only_new:
            found[_money_name(touch)] += touch.amount or ZERO
        for touch in self.only_old:
            found[_money_name(touch)] -= touch.amount or ZERO
        for old, new in self.changed:
            found[_money_name(new)] += new.amount or ZERO
            found[_money_name(old)] -= old.amount or ZERO
        return {name: amount for name, amount in sorted(found.items()) if name and amount}

    def data(self, most: int) -> dict[str, object]:
        return {
            "same": self.same,
            "only_old": len(self.only_old),
            "only_new": len(self.only_new),
            "changed": len(self.changed),
            "complete": self.complete,
            "money": {name: format(amount, "f") for name, amount in self.money().items()},
            "examples": {
                "only_old": [touch.data() for touch in self.only_old[:most]],
                "only_new": [touch.data() for touch in self.only_new[:most]],
                "changed": [{"old": pair.old.data(), "new": pair.new.data()} for pair in self.changed[:most]],
            },
        }


def _money_name(touch: Touch) -> str:
    if touch.amount is None or touch.verb == ASKED or VERBS[touch.verb].risk is not Risk.MONEY:
        return ""  # what somebody is only asked for has not moved
    return f"{touch.verb} {touch.currency or UNKNOWN_CURRENCY}"


def difference(old: Iterable[Touch], new: Iterable[Touch], *, complete: bool = True) -> Difference:
    """Pair what both would have done: first what has the same cause, then what does the same to the same account, in order."""
    left, right = list(old), list(new)
    pairs: list[Changed] = []
    left, right = _pair(left, right, pairs, lambda touch: (touch.name, touch.account, touch.verb))
    left, right = _pair(left, right, pairs, lambda touch: touch.who)
    changed = [pair for pair in pairs if not _is_same(pair)]
    return Difference(left, right, changed, len(pairs) - len(changed), complete)


def _pair(
    left: list[Touch], right: list[Touch], pairs: list[Changed], name: Callable[[Touch], object]
) -> tuple[list[Touch], list[Touch]]:
    waiting: defaultdict[object, list[Touch]] = defaultdict(list)
    for touch in reversed(left):
        waiting[name(touch)].append(touch)
    alone: list[Touch] = []
    met: set[int] = set()
    for touch in right:
        others = waiting.get(name(touch))
        if others:
            other = others.pop()
            met.add(id(other))
            pairs.append(Changed(other, touch))
        else:
            alone.append(touch)
    return [touch for touch in left if id(touch) not in met], alone


def _is_same(pair: Changed) -> bool:
    return pair.old.amount == pair.new.amount and (
        pair.old.amount is not None or pair.old.params == pair.new.params
    )


@dataclass(frozen=True, slots=True)
class Backtest:
    """One finished rehearsal of one workflow; `notes` say what was assumed and what was not known."""

    workflow: str
    version: str
    since: int
    until: int
    events: int
    keys: int
    tally: Tally
    notes: Sequence[str]
    broken: Sequence[str]
    broken_count: int
    misses: Misses | None = None

    def data(self, most: int) -> dict[str, object]:
        """Return the report as JSON's values, with so many touches one by one."""
        tally = self.tally
        return {
            "workflow": self.workflow,
            "version": self.version,
            "from": iso(self.since),
            "to": iso(self.until),
            "events": self.events,
            "keys": self.keys,
            "touched": len(tally.who),
            "actions": dict(sorted(tally.actions.items())),
            "money": _amounts(tally.money),
            "asked": tally.questions.data(most),
            "by_trigger": {
                name: {
                    "actions": count,
                    "money": {
                        currency: format(amount, "f")
                        for (trigger, currency), amount in sorted(tally.money_by_trigger.items())
                        if trigger == name
                    },
                }
                for name, count in sorted(tally.by_trigger.items())
            },
            "by_day": {
                day: {
                    "actions": count,
                    "money": {
                        currency: format(amount, "f")
                        for (when, currency), amount in sorted(tally.money_by_day.items())
                        if when == day
                    },
                }
                for day, count in sorted(tally.by_day.items())
            },
            "held_back": dict(tally.held_back.most_common()),
            "failed": dict(tally.failed.most_common()),
            "not_decided": {"count": self.broken_count, "examples": list(self.broken)},
            "out_of_scope": dict(self.misses.out_of_scope.most_common()) if self.misses else {},
            "nearest": [miss.data() for miss in self.misses.nearest] if self.misses else [],
            "touches": [touch.data() for touch in tally.touches[:most]],
            "touches_left_out": max(len(tally.touches) + tally.beyond - most, 0),
            "notes": list(self.notes),
        }


def finished(
    rehearsal: Rehearsal,
    tally: Tally,
    workflow: Workflow,
    since: int,
    until: int,
    notes: Sequence[str],
) -> Backtest:
    return Backtest(
        workflow=workflow.id,
        version=workflow.hash,
        since=since,
        until=until,
        events=rehearsal.events,
        keys=rehearsal.keys,
        tally=tally,
        notes=tuple(notes),
        broken=tuple(rehearsal.broken),
        broken_count=rehearsal.broken_count,
        misses=misses(rehearsal, workflow),
    )


def _amounts(money: Mapping[str, Decimal]) -> dict[str, str]:
    return {name: format(amount, "f") for name, amount in sorted(money.items())}
