"""Whatever happens, in whatever order: what is booked is what is owed once everything is quiet, and never twice."""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.engine.desk import Desk
from unit.engine.test_grants import bonus
from unit.engine.test_replay import Stored

from hub.engine import grants
from hub.engine.program import Mode
from hub.engine.values import Kind
from hub.intents.intent import State

NICOSIA = ZoneInfo("Europe/Nicosia")
BEGIN = datetime(2026, 3, 20, 8, tzinfo=UTC)  # clocks go forward on the 29th, and in October back
RATE, LEAST, CENT = Decimal(2), Decimal(20), Decimal("0.01")
DELAY, WATCH, HOUR = timedelta(hours=6), timedelta(days=30), timedelta(hours=1)
SIGNS = {"credit.grant": 1, "credit.remove": -1}

moves = st.one_of(
    st.tuples(st.just("trade"), st.integers(1, 30), st.sampled_from([0, 0, 5, 30, 24 * 12, 24 * 40])),
    st.tuples(st.just("trade"), st.integers(1, 30), st.sampled_from([0, 0, 5, 30, 24 * 12, 24 * 40])),
    st.tuples(st.just("cancel"), st.integers(1, 9), st.just(0)),
    st.tuples(st.just("withdraw"), st.integers(1, 9), st.sampled_from([0, 20])),
    st.tuples(st.just("wait"), st.integers(1, 24 * 12), st.just(0)),
    st.tuples(st.just("wait"), st.integers(1, 24 * 12), st.just(0)),
    st.tuples(
        st.sampled_from(["applied", "applied", "rejected", "unknown", "parked"]),
        st.integers(0, 3),
        st.just(0),
    ),
    st.tuples(st.just("restart"), st.just(0), st.just(0)),
    st.tuples(st.just("down"), st.integers(1, 24 * 5), st.just(0)),
)


class Broker:
    """Plays a history and keeps accounts of its own, by brute force: what is owed, what was asked for, what was done."""

    def __init__(self, begin=BEGIN):
        self.desk = Desk(self.workflow())
        self.desk.until(begin)
        self.stored, self.written = Stored(), 0
        self.deals, self.cancelled, self.withdrawals = {}, set(), []
        self.open = {}  # intents under way, by run
        self.booked = defaultdict(Decimal)
        self.keys = set()
        self.refused = {}
        self.take(self.desk.account(type="real", currency="USD", credit="0"))

    def workflow(self):
        return bonus()

    @property
    def now(self):
        return datetime.fromtimestamp(self.desk.now / 1_000_000, UTC)

    def play(self, script):
        for what, number, late in script:
            match what:
                case "trade":
                    self.trade(number, late)
                case "cancel" if self.deals:
                    deal = sorted(self.deals)[number % len(self.deals)]
                    if deal not in self.cancelled:
                        self.cancelled.add(deal)
                        self.take(self.desk.tell("trade.cancelled", deal=deal, lots="1"))
                case "withdraw":
                    at = self.now - late * HOUR
                    self.withdrawals.append(at)
                    self.take(self.desk.tell("balance.withdrawn", amount=str(number), timestamp=at))
                case "wait":
                    self.wait(self.now + number * HOUR)
                case "applied" | "rejected" | "unknown" | "parked" if self.open:
                    self.settle(sorted(self.open)[number % len(self.open)], what)
                case "restart":
                    self.restart()
                case "down":
                    self.down(number)

    def trade(self, lots, late=0):
        deal, at = len(self.deals) + 1, self.now - late * HOUR
        self.deals[deal] = (at, Decimal(lots))
        self.take(self.desk.tell("trade.closed", deal=deal, lots=str(lots), timestamp=at))

    def wait(self, until):
        while True:
            due = min((timer.due for timer in self.desk.timers.values()), default=None)
            if due is None or due > until.timestamp() * 1_000_000:
                break
            self.take(self.desk.until(datetime.fromtimestamp(due / 1_000_000, UTC)))
        self.desk.until(until)

    def down(self, hours):
        """Let time pass without a hub: its timers fire together when it is back."""
        self.desk.now += hours * 3_600_000_000
        self.take(self.desk.until(self.now))

    def restart(self):
        self.stored.write(self.desk.decisions[self.written :])
        self.written = len(self.desk.decisions)
        self.desk.state = self.stored.load(self.desk.state.partition, self.desk.state.key)

    def settle(self, run, state):
        intent = self.open[run]
        if state in {"applied", "rejected"}:
            del self.open[run]
        amount = self.amount(intent)
        if state == "applied":
            self.booked[run] += amount
        if state == "rejected":
            self.refused[run] = self.booked[run] + amount
        self.take(self.desk.outcome(intent, state))

    def take(self, intents):
        for intent in intents:
            assert intent.key not in self.keys, "a booking was asked for twice"
            self.keys.add(intent.key)
            assert intent.run not in self.open, "two bookings of one promise are under way"
            self.open[intent.run] = intent
            self.aims_well(intent)
            self.refused.pop(intent.run, None)
        for run in [run for run, target in self.refused.items() if target != self.owed(run)]:
            del self.refused[run]  # something else is owed now: it may come back to this

    def aims_well(self, intent):
        reached = self.booked[intent.run] + self.amount(intent)
        assert reached == self.owed(intent.run), "it aims at something else than what is owed"
        assert reached != self.refused.get(intent.run), "what was refused is asked for again"

    def amount(self, intent):
        return SIGNS[intent.verb] * Decimal(msgspec.json.decode(intent.params)["amount"])

    def period(self, run):
        year, month = map(int, run.rpartition("/")[2].split("-"))
        start = datetime(year, month, 1, tzinfo=NICOSIA)
        end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=NICOSIA)
        return start.astimezone(UTC), end.astimezone(UTC)

    def owed(self, run):
        start, end = self.period(run)
        lots = sum(
            (n for deal, (at, n) in self.deals.items() if start <= at < end and deal not in self.cancelled),
            Decimal(0),
        )
        if lots <= LEAST or any(at >= end for at in self.withdrawals):
            return Decimal(0)
        return (RATE * lots).quantize(CENT, ROUND_HALF_UP)

    def quieten(self):
        """Have all that is under way applied, one after the other, until nothing is."""
        for _ in range(200):
            if not self.open:
                return
            self.settle(min(self.open), "applied")
        raise AssertionError("it never comes to rest")

    def check(self):
        """Look at every period that is followed now."""
        for name, ledger in self.desk.state.ledgers:
            if ledger.stage != "watched" or not ledger.timer:
                continue
            run = f"rule/live-1:7001/bonus/{name.rpartition('/')[2]}"
            assert ledger.booked == self.booked[run]
            assert self.booked[run] == self.owed(run) or self.refused.get(run) == self.owed(run)
        for run, booked in self.booked.items():
            assert booked >= 0, run


@settings(max_examples=150, deadline=None)
@given(script=st.lists(moves, max_size=40))
def test_what_is_booked_is_what_is_owed_once_everything_is_quiet(script):
    broker = Broker()
    broker.play(script)
    broker.quieten()
    broker.check()

    broker.wait(broker.now + timedelta(days=12))  # and so it stays, with a period's end or two in between
    broker.quieten()
    broker.check()


@settings(max_examples=60, deadline=None)
@given(script=st.lists(moves, max_size=30))
def test_over_the_autumn_when_clocks_go_back_and_the_year_ends(script):
    broker = Broker(datetime(2026, 10, 20, 8, tzinfo=UTC))
    broker.play(script)
    broker.wait(datetime(2027, 1, 5, tzinfo=UTC))
    broker.quieten()
    broker.check()


@settings(max_examples=60, deadline=None)
@given(script=st.lists(moves, max_size=30), often=st.integers(1, 4))
def test_deciding_it_again_with_restarts_gives_the_same_bytes(script, often):
    first = Broker()
    first.play([move for move in script if move[0] != "restart"])

    again, stored, done = Desk(*first.desk.program.workflows.values()), Stored(), 0
    for number, item in enumerate(first.desk.inputs):
        again.take(item)
        stored.write(again.decisions[done:])
        done = len(again.decisions)
        if number % often == 0:
            again.state = stored.load(again.state.partition, again.state.key)

    assert again.written() == first.desk.written()
    traces = [(row.n, row.id) for decision in again.decisions for row in decision.traces]
    assert len(traces) == len(set(traces))


class Bounded(Broker):
    """A broker whose client may lose his credit; what was booked is told of a moment later, and no more is taken than there is."""

    credit = Decimal(0)

    def workflow(self):
        return bonus(("mode: full", "mode: full, cap: account.credit"))

    def settle(self, run, state):
        amount = self.amount(self.open[run])
        if state == "applied" and -amount > self.credit:
            state = "rejected"  # it was lost meanwhile: no broker takes what is not there
        super().settle(run, state)
        if state == "applied":
            self.change_credit(amount)

    def lose(self, part):
        if self.credit:
            self.change_credit(-min(self.credit, Decimal(part)))

    def change_credit(self, amount):
        name = "credit.granted" if amount > 0 else "credit.removed"
        self.credit += amount  # before the engine is told: it may act on it at once
        self.take(self.desk.tell(name, amount=str(abs(amount))))

    def aims_well(self, intent):
        reached = self.booked[intent.run] + self.amount(intent)
        if self.amount(intent) > 0:
            assert reached == self.owed(intent.run)
        else:
            assert reached >= self.owed(intent.run)
            assert -self.amount(intent) <= self.credit, "more is taken than there is"

    def play(self, script):
        for what, number, late in script:
            if what == "lose":
                self.lose(number)
            else:
                super().play([(what, number, late)])

    def check(self):
        for name, ledger in self.desk.state.ledgers:
            if ledger.stage != "watched" or not ledger.timer:
                continue
            run = f"rule/live-1:7001/bonus/{name.rpartition('/')[2]}"
            assert ledger.booked == self.booked[run]
            settled = ledger.booked - ledger.short
            assert self.owed(run) in {settled, ledger.refused}
            assert ledger.short >= 0
        assert self.credit >= 0


@settings(max_examples=100, deadline=None)
@given(
    script=st.lists(st.one_of(moves, st.tuples(st.just("lose"), st.integers(1, 60), st.just(0))), max_size=40)
)
def test_no_more_is_taken_than_there_is_and_the_rest_is_written_down(script):
    broker = Bounded()
    broker.play(script)
    broker.quieten()
    broker.wait(broker.now + HOUR)
    broker.quieten()
    broker.check()


class Stopped(Broker):
    """A broker whose workflow has a breaker: `tripped` is how it stands, `in_shadow` what the engine was told of that last.

    What was asked for before it tripped may be on its way; what is asked for afterwards is refused until it is reset.
    """

    tripped = in_shadow = False
    lost = 0  # refusals by the breaker since the last reset

    def __init__(self, begin=BEGIN):
        self.doomed = set()
        super().__init__(begin)

    def take(self, intents):
        for intent in intents:
            assert intent.state is State.READY, "what is owed was recorded and not sent"
            assert not self.in_shadow, "it is asked for in shadow"
            if self.tripped:
                self.doomed.add(intent.key)
        super().take(intents)

    def play(self, script):
        for what, number, late in script:
            match what:
                case "stopped":
                    self.tripped = True
                    if self.open:
                        self.refuse(sorted(self.open)[number % len(self.open)])
                case "reset":
                    self.tripped, self.doomed = False, set()
                case "look":
                    self.look()
                case _:
                    super().play([(what, number, late)])

    def settle(self, run, state):
        if self.open[run].key in self.doomed:
            self.refuse(run)
        else:
            super().settle(run, state)

    def refuse(self, run):
        intent = self.open.pop(run)
        self.lost += 1
        self.take(self.desk.outcome(intent, "rejected", reason="the breaker tripped", stopped=True))

    def look(self):
        """Have the engine hear how the breaker stands, as it does within a second."""
        if self.in_shadow == self.tripped:
            return
        self.in_shadow = self.tripped
        workflow = self.workflow()
        if self.tripped:
            workflow = replace(workflow, mode=Mode.SHADOW, stopped=True)
        self.desk.switch(workflow)
        self.wait(self.now + timedelta(microseconds=2))

    def quieten(self):
        """Reset it, and let the longest pass after which a timer asks again."""
        self.tripped, self.doomed = False, set()
        self.look()
        super().quieten()
        self.wait(self.now + timedelta(days=1))
        super().quieten()


stops = st.one_of(
    moves,
    st.tuples(st.just("stopped"), st.integers(0, 3), st.just(0)),
    st.tuples(st.sampled_from(["reset", "look", "look"]), st.just(0), st.just(0)),
)


@settings(max_examples=150, deadline=None)
@given(script=st.lists(stops, max_size=40))
def test_what_a_breaker_refused_is_booked_once_it_is_reset_and_everything_is_quiet(script):
    broker = Stopped()
    broker.play(script)
    broker.quieten()
    broker.check()


def a_stormy_history(chance):
    """Return a long history of a month that is over, with a breaker that trips again and again."""
    history = [move for move in a_long_history(chance) if move[0] not in {"lose", "withdraw"}]
    for what in chance.choices(["stopped", "reset", "look"], [3, 3, 4], k=60):
        history.insert(chance.randrange(len(history)), (what, chance.randint(0, 3), 0))
    return [("trade", 25, 0), ("wait", 24 * 12, 0), *history]


def test_long_histories_with_a_breaker_come_to_rest_at_what_is_owed():
    lost = 0
    for seed in range(25):
        broker = Stopped()
        broker.play(a_stormy_history(Random(seed)))
        broker.quieten()
        broker.check()
        lost += broker.lost
    assert lost > 50  # else it shows nothing


def a_long_history(chance):
    """Return more of everything than is tried out by chance alone."""
    kinds = chance.choices(
        ["trade", "cancel", "withdraw", "wait", "settle", "restart", "down", "lose"],
        [30, 12, 3, 25, 20, 5, 5, 8],
        k=60,
    )
    outcomes = ["applied"] * 5 + ["rejected", "unknown", "parked"]
    late = [0, 0, 5, 30, 24 * 12, 24 * 40]
    return [
        (chance.choice(outcomes) if kind == "settle" else kind, chance.randint(1, 30), chance.choice(late))
        for kind in kinds
    ]


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("kind", [Broker, Bounded])
def test_long_histories_come_to_rest_at_what_is_owed(seed, kind):
    broker = kind()
    broker.play(a_long_history(Random(seed)))
    broker.quieten()
    broker.wait(broker.now + HOUR)
    broker.quieten()
    broker.check()


HURRIED = [
    ("trade", 25, 0),
    ("wait", 24 * 12, 0),
    ("trade", 5, 24 * 12),
    ("trade", 5, 24 * 12),
    ("applied", 0, 0),
]


def test_without_the_guard_a_promise_is_booked_twice(monkeypatch):
    sound = Broker()
    sound.play(HURRIED)
    sound.quieten()
    sound.check()
    assert sum(sound.booked.values()) == 70

    monkeypatch.setattr(grants, "is_busy", lambda ledger: False)
    with pytest.raises(AssertionError, match="two bookings of one promise"):
        Broker().play(HURRIED)


def test_a_closed_ledger_is_kept_and_small():
    broker = Broker()
    broker.play(HURRIED)
    broker.quieten()
    broker.wait(broker.now + timedelta(days=40))
    broker.restart()

    closed = [
        value
        for (kind, _), value in broker.stored.states.items()
        if kind == Kind.GRANT and b"closed" in value
    ]
    assert len(closed) == 1
    assert len(closed[0]) < 260
