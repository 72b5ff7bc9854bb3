"""Grants in the engine that stores what it decides: over crashes, edits, and versions that are live no more."""

import dataclasses
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.engine.test_grants import BOOKED, CLOSED, DAY, END, bonus
from unit.engine.test_loop import Engine

from hub.bus.log import InputKind, NewInput
from hub.clock import to_us
from hub.engine.program import Mode
from hub.engine.rows import KeyRows
from hub.engine.state import KeyState
from hub.engine.values import Kind
from hub.engine.why import why
from hub.ids import partition_of
from hub.intents.intent import State
from hub.intents.outcome import Outcome, encode_outcome
from hub.testing import a_trade_closed, an_account, an_event

ACCOUNT = an_account()
SIGNS = {"credit.grant": 1, "credit.remove": -1}


class Crashing(Engine):
    """Each account is told what it is like when it is first heard of; `paid` is what the broker did."""

    def __init__(self):
        super().__init__()
        self.paid = {}
        self.deals = 0

    async def open(self, *workflows):
        await self.loop.activate(workflows)
        await self.settle()
        changed = {"type": {"after": "real"}, "currency": {"after": "USD"}, "credit": {"after": "0"}}
        fact = an_event(
            "account.updated", ACCOUNT, timestamp=self.clock.now(), dedupe_key="opened", changed=changed
        )
        await self.log.append([fact])
        await self.settle()

    async def deal(self, lots, at=None):
        self.deals += 1
        await self.log.append(
            [a_trade_closed(ACCOUNT, deal=self.deals, lots=lots, timestamp=at or self.clock.now())]
        )
        await self.settle()

    async def until(self, at):
        while (due := self.store.next_timer()) is not None and due <= to_us(at):
            await self.clock.advance(timedelta(microseconds=max(due - self.clock.now_us(), 0)))
            await self.store.fire_timers(self.clock.now_us(), 100)
            await self.settle()
        await self.clock.advance(timedelta(microseconds=to_us(at) - self.clock.now_us()))

    async def answer(self, state="applied", **fields):
        """Tell what became of everything that is under way, once each."""
        for key, intent in list(self.store.intents.items()):
            if key not in self.paid:
                amount = SIGNS[intent.verb] * Decimal(msgspec.json.decode(intent.params)["amount"])
                self.paid[key] = amount if state == "applied" else Decimal(0)
                body = encode_outcome(Outcome(intent=key, verb=intent.verb, state=state, **fields))
                told = NewInput(intent.partition, InputKind.OUTCOME, "live-1:7001", key, body)
                await self.log.append((), inputs=(told,))
        await self.settle()

    async def ledgers(self):
        partition = next(partition for partition, key in self.store._states if key == "live-1:7001")
        rows = (await self.store.load([(partition, "live-1:7001")])).get("live-1:7001", KeyRows((), (), ()))
        state = KeyState.from_rows(partition, "live-1:7001", rows)
        return dict(state.of_kind(Kind.GRANT))

    def amounts(self):
        return [
            (i.verb, msgspec.json.decode(i.params)["amount"], i.key[-9:]) for i in self.store.intents.values()
        ]


async def test_what_was_booked_is_followed_by_the_text_it_was_booked_by_after_an_edit_and_a_crash():
    engine = Crashing()
    await engine.open(bonus())
    await engine.deal("25")
    await engine.until(BOOKED)
    await engine.answer()

    await engine.loop.activate([bonus(("default: 2.00", "default: 9.00"))])
    await engine.settle()
    await engine.restart()
    await engine.deal("1", END - DAY)
    programs = engine.loop.programs
    partition = partition_of("live-1", 7001)
    answer = await why(
        engine.store,
        programs.of(partition),
        "rule",
        "live-1:7001",
        now_us=engine.clock.now_us(),
        pin=programs.pin_ledgers,
    )
    assert "52.00 is owed; 50.00 is booked; 2.00 being given is under way" in answer.standing[0].reason
    await engine.answer()
    await engine.deal("30")
    await engine.restart()
    await engine.until(CLOSED)

    assert engine.amounts() == [
        ("credit.grant", "50.00", "2026-03/1"),
        ("credit.grant", "2.00", "2026-03/2"),
        ("credit.grant", "270.00", "2026-04/1"),
    ]
    assert (await engine.ledgers())["rule/bonus/2026-03"].stage == "closed"


async def test_a_workflow_that_is_taken_away_ends_its_watches_though_nothing_happens_to_the_account():
    engine = Crashing()
    await engine.open(bonus())
    await engine.deal("25")
    await engine.until(BOOKED)
    await engine.answer()
    await engine.loop.activate([])
    await engine.settle()

    (march,) = (await engine.ledgers()).values()
    assert (march.stage, march.booked) == ("closed", 50)
    assert engine.store.timers == {}


async def test_new_aggregates_are_counted_over_the_month_before_they_are_paid_for():
    engine = Crashing()
    await engine.open(bonus())
    await engine.deal("25")
    await engine.loop.activate([bonus(("sum: event.lots", "sum: event.lots * 2"))])
    await engine.settle()
    await engine.until(BOOKED)

    assert engine.amounts() == [("credit.grant", "100.00", "2026-03/1")]


async def test_a_ledger_is_a_run_that_can_be_looked_at():
    engine = Crashing()
    await engine.open(bonus())
    await engine.deal("25")
    await engine.until(BOOKED)

    row = engine.store.runs["rule/live-1:7001/bonus/2026-03"]
    assert row.state == "running"
    assert b'"asked":"50.00"' in row.body
    assert b'"label":"2026-03"' in row.body

    await engine.answer()
    await engine.until(CLOSED + DAY)
    row = engine.store.runs["rule/live-1:7001/bonus/2026-03"]
    assert (row.state, b'"booked":"50.00"' in row.body) == ("done", True)


steps = st.one_of(
    st.tuples(st.just("deal"), st.integers(1, 30), st.integers(0, 40)),
    st.tuples(st.just("deal"), st.integers(1, 30), st.integers(0, 40)),
    st.tuples(st.just("wait"), st.integers(1, 300), st.just(0)),
    st.tuples(st.just("answer"), st.just(0), st.just(0)),
    st.tuples(st.just("reject"), st.just(0), st.just(0)),
    st.tuples(st.just("kill"), st.just(0), st.just(0)),
    st.tuples(st.just("edit"), st.integers(0, 2), st.just(0)),
    st.tuples(st.just("gone"), st.just(0), st.just(0)),
)
stops = st.one_of(
    *[st.just((what, 0, 0)) for what in ("answer", "stop", "trip", "reset", "kill", "half", "half")],
    st.tuples(st.just("deal"), st.integers(1, 30), st.integers(0, 40)),
    st.tuples(st.just("wait"), st.integers(1, 300), st.just(0)),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(stops, max_size=25))
async def test_what_a_breaker_stopped_is_paid_once_whenever_the_hub_is_killed(script):
    engine, live = Crashing(), bonus()
    stopped = dataclasses.replace(live, mode=Mode.SHADOW, stopped=True)
    await engine.open(live)
    await engine.deal("25")
    await engine.until(BOOKED)

    async def still():
        await engine.settle()
        await engine.until(engine.clock.now() + timedelta(microseconds=2))

    for what, number, back in script:
        match what:
            case "deal":
                await engine.deal(str(number), END - back * DAY)
            case "wait":
                await engine.until(engine.clock.now() + timedelta(hours=number))
            case "answer":
                await engine.answer()
            case "stop":
                await engine.answer("rejected", stopped=True)
            case "trip":
                await engine.loop.activate([stopped])
            case "reset":
                await engine.loop.activate([live])
            case "half":  # a little of what is to be done, and no more
                if engine.inbox.backlog() or engine.loop.waiting or engine.loop.changing:
                    await engine.loop.step()
                await engine.restart()
            case _:
                await engine.restart()
    followed = engine.clock.now() < CLOSED - DAY
    await engine.loop.activate([live])
    for _ in range(20):
        await still()
        await engine.answer()
    await engine.until(engine.clock.now() + DAY)
    await still()
    await engine.answer()

    assert {intent.state for intent in engine.store.intents.values()} == {State.READY}
    march = (await engine.ledgers())["rule/bonus/2026-03"]
    paid = sum(amount for key, amount in engine.paid.items() if "/2026-03/" in key)
    assert (march.booked, march.held, march.asked) == (paid, "", None)
    if followed:  # what is told afterwards is not promised any more
        late = sum(lots for what, lots, back in script if what == "deal" and 1 <= back <= 30)
        assert paid == 2 * (25 + late)
    assert engine.loop.counters.quarantined == 0


@settings(max_examples=25, deadline=None)
@given(st.lists(steps, max_size=25))
async def test_what_the_broker_paid_is_what_the_ledgers_say_whatever_is_killed_and_edited(script):
    engine = Crashing()
    await engine.open(bonus())
    await engine.until(datetime(2026, 3, 20, tzinfo=UTC))
    for what, number, back in script:
        match what:
            case "deal":
                await engine.deal(str(number), engine.clock.now() - back * DAY)
            case "wait":
                await engine.until(engine.clock.now() + timedelta(hours=number))
            case "answer":
                await engine.answer()
            case "reject":
                await engine.answer("rejected")
            case "kill":
                await engine.restart()
            case "gone":
                await engine.loop.activate([])
                await engine.settle()
            case _:
                await engine.loop.activate([bonus(("default: 2.00", f"default: {number + 1}.00"))])
                await engine.settle()
    for _ in range(20):
        await engine.answer()

    booked = {}
    for key, amount in engine.paid.items():
        label = key.split("/")[3]
        booked[label] = booked.get(label, 0) + amount
    kept = {name[-7:]: ledger.booked for name, ledger in (await engine.ledgers()).items() if ledger.entries}
    assert kept == booked
    assert engine.loop.counters.quarantined == 0
