"""`absent:` fires when an event does not come in time; `run:` says how many runs of a key may be open."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.engine.desk import MORNING, Desk, a_workflow
from unit.engine.test_waits import Killed

from hub.engine.why import standing
from hub.testing import a_trade_closed, an_account

IDLE = """
when: [{absent: {event: trade.closed, within: %s}}]
steps: [{do: event.publish, with: {type: custom.idle, data: {login: = account.login}}}]
"""
UNPAID = """
when: [{absent: {event: deposit.completed, within: 2h, after: deposit.requested, after_where: event.amount > 100}}]
steps: [{do: event.publish, with: {type: custom.unpaid}}]
"""
DAY = timedelta(days=1)


def idle(within="30d", **header):
    return a_workflow(IDLE % within, **header)


def fired(desk):
    return [trace.reason for trace in desk.traces("fired")]


def payment(desk, name, at=None, amount="500"):
    desk.tell(name, at=at, request=f"r{len(desk.inputs)}", amount=amount, currency="USD")


def test_an_account_that_does_not_trade_is_told_of_once_until_it_trades_again():
    desk = Desk(idle())
    desk.tell("account.created")
    desk.until(MORNING + 29 * DAY)
    assert fired(desk) == []

    desk.until(MORNING + 90 * DAY)
    assert fired(desk) == ["no trade.closed since 2026-03-02T08:00:00.000Z"]

    desk.tell("trade.closed")
    desk.until(MORNING + 120 * DAY)
    assert len(fired(desk)) == 2
    assert list(desk.runs) == ["rule/live-1:7001/absent/1", "rule/live-1:7001/absent/2"]


def test_each_trade_begins_the_time_anew_and_moves_no_timer():
    desk = Desk(idle())
    desk.tell("account.created")
    for day in range(1, 60, 7):
        desk.tell("trade.closed", at=MORNING + day * DAY)
    assert sum(len(decision.timers) for decision in desk.decisions) <= 3
    assert fired(desk) == []

    desk.until(MORNING + 57 * DAY + 29 * DAY)
    assert fired(desk) == []
    desk.until(MORNING + 57 * DAY + 30 * DAY)
    assert len(fired(desk)) == 1


def test_a_trade_that_is_told_late_counts_from_when_it_was_made():
    desk = Desk(idle())
    desk.tell("trade.closed")
    desk.tell("trade.closed", at=MORNING + 20 * DAY, timestamp=MORNING + 5 * DAY)
    desk.tell(
        "trade.closed", at=MORNING + 21 * DAY, timestamp=MORNING + 2 * DAY
    )  # an older one changes nothing
    desk.until(MORNING + 34 * DAY)
    assert fired(desk) == []

    desk.until(MORNING + 36 * DAY)

    assert fired(desk) == ["no trade.closed since 2026-03-07T08:00:00.000Z"]


def test_a_time_that_is_over_when_it_is_told_of_begins_with_the_telling():
    desk = Desk(idle())
    desk.tell("account.created")
    desk.until(MORNING + 40 * DAY)
    assert len(fired(desk)) == 1
    desk.tell("trade.closed", at=MORNING + 41 * DAY, timestamp=MORNING + 3 * DAY)
    desk.tell("trade.closed", at=MORNING + 42 * DAY, timestamp=MORNING + 400 * DAY)  # nor does it begin ahead

    desk.until(MORNING + 71 * DAY)
    assert len(fired(desk)) == 1
    desk.until(MORNING + 72 * DAY)

    assert fired(desk)[1:] == ["no trade.closed since 2026-04-13T08:00:00.000Z"]


def test_what_was_asked_for_is_missed_from_when_it_was_asked_for():
    desk = Desk(a_workflow(UNPAID))
    desk.tell(
        "deposit.requested",
        at=MORNING + timedelta(minutes=90),
        timestamp=MORNING,
        request="r1",
        amount="500",
        currency="USD",
    )

    desk.until(MORNING + timedelta(hours=2))

    assert fired(desk) == ["no deposit.completed since 2026-03-02T08:00:00.000Z"]


def test_what_does_not_come_after_something_is_missed_and_what_comes_is_not():
    desk = Desk(a_workflow(UNPAID))
    payment(desk, "deposit.requested", amount="50")
    payment(desk, "deposit.requested")
    payment(desk, "deposit.completed", at=MORNING + timedelta(hours=1))
    desk.until(MORNING + DAY)
    assert fired(desk) == []

    payment(desk, "deposit.requested")
    payment(desk, "deposit.requested", at=MORNING + DAY + timedelta(hours=1))
    desk.until(MORNING + 2 * DAY)

    assert fired(desk) == ["no deposit.completed since 2026-03-03T08:00:00.000Z"]


def test_a_history_that_is_told_later_begins_nothing_and_may_end_the_time():
    desk = Desk(a_workflow(UNPAID), idle(id="idle"))
    desk.tell("deposit.requested", request="r", amount="500", currency="USD", replayed=True)
    desk.until(MORNING + 29 * DAY)
    desk.tell("trade.closed", replayed=True)
    desk.until(MORNING + 40 * DAY)

    assert fired(desk) == []


def test_one_that_is_out_of_scope_when_the_time_is_over_is_not_told_of():
    desk = Desk(a_workflow('scope: account.group == "real"' + IDLE % "1d"))
    desk.tell("trade.closed", group="real")
    desk.tell("account.group_changed", before="real", after="demo", group="demo")
    desk.until(MORNING + 5 * DAY)

    assert fired(desk) == []


def test_who_asks_hears_since_when_and_until_when():
    desk = Desk(idle(), a_workflow(UNPAID, id="unpaid"))
    desk.tell("account.created")

    (answer,) = standing(desk.program, "rule", desk.state, desk.now + 1)
    (other,) = standing(desk.program, "unpaid", desk.state, desk.now + 1)

    assert answer.reason == (
        "no trade.closed since 2026-03-02T08:00:00.000Z; fires at 2026-04-01T08:00:00.000Z, if none comes till then"
    )
    assert other.reason == "waits for deposit.requested, with which the time begins"


@pytest.mark.parametrize(("others", "fires"), [((), 0), (("30d",), 1), (("10d",), 1), (("60d",), 0)])
def test_an_edited_span_counts_at_once_and_what_is_taken_away_is_forgotten(others, fires):
    desk = Desk(idle())
    desk.tell("account.created")
    desk.until(MORNING + 20 * DAY)
    desk.switch(*(idle(within) for within in others))
    desk.until(MORNING + 31 * DAY)

    assert len(fired(desk)) == fires


def test_accounts_that_were_there_before_the_workflow_are_waited_for_from_its_start():
    desk = Desk()
    desk.tell("account.created")
    desk.until(MORNING + 20 * DAY)
    desk.switch(idle())
    desk.until(MORNING + 49 * DAY)
    assert fired(desk) == []

    desk.until(MORNING + 50 * DAY)

    assert len(fired(desk)) == 1


STEP = st.tuples(st.integers(0, 40), st.booleans())


@settings(max_examples=40, deadline=None)
@given(st.lists(STEP, min_size=1, max_size=12))
async def test_each_long_silence_is_told_of_once_whatever_is_killed(steps):
    engine = Killed()
    await engine.loop.activate([idle()])
    await engine.settle()
    for number, (days, killed) in enumerate(steps):
        closed = a_trade_closed(an_account(), deal=100 + number, timestamp=engine.clock.now())
        await engine.log.append([closed])
        await engine.settle()
        await engine.clock.advance(days * DAY)
        if killed:
            await engine.restart()
        for _ in range(3):
            await engine.settle()

    assert len(engine.store.runs) == sum(days >= 30 for days, _ in steps)


BUSY = """
when: [{event: trade.closed}]
run: {%s}
steps: [{wait: {for: 1h}}, {do: event.publish, with: {type: custom.after}}]
"""


@pytest.mark.parametrize(
    ("mode", "most"), [("mode: single", 1), ("mode: parallel, max: 2", 2), ("mode: parallel", 4)]
)
def test_so_many_runs_of_a_key_are_open_and_no_more(mode, most):
    desk = Desk(a_workflow(BUSY % mode))
    for _ in range(4):
        desk.tell("trade.closed")
    assert len(desk.runs) == most
    assert len(desk.traces("held_back")) == 4 - most

    desk.until(MORNING + timedelta(hours=1))
    desk.tell("trade.closed")

    assert len(desk.runs) == most + 1
