"""`for:` of a condition: it fires once it has held so long, and not when it let go on the way."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.engine.desk import MORNING, Desk, a_workflow
from unit.engine.test_waits import Killed

from hub.engine.why import standing
from hub.testing import an_account, an_event

RULE = """
when: [{becomes: account.balance < 100, for: %s}]
steps: [{do: event.publish, with: {type: custom.low, data: {balance: = account.balance}}}]
"""
MINUTE = timedelta(minutes=1)


def low(hold="10m", **header):
    return a_workflow(RULE % hold, **header)


@pytest.fixture
def desk():
    desk = Desk(low())
    desk.account(balance="500", currency="USD")
    return desk


def told(desk):
    return [bytes(fact.envelope.data).decode() for fact in desk.facts]


def test_it_fires_when_the_condition_has_held_so_long_and_no_sooner(desk):
    desk.account(balance="50")
    desk.until(MORNING + 9 * MINUTE)
    assert told(desk) == []

    desk.until(MORNING + 10 * MINUTE)

    assert told(desk) == ['{"balance":"50"}']
    assert list(desk.runs) == ["rule/live-1:7001/becomes/1"]
    (fired,) = desk.traces("fired")
    assert (
        fired.reason
        == "account.balance < 100 is true (50 < 100), and has been since 2026-03-02T08:00:00.000Z"
    )
    desk.until(MORNING + timedelta(hours=5))
    assert len(told(desk)) == 1


def test_a_condition_that_lets_go_on_the_way_does_not_fire_and_says_for_how_long_it_held(desk):
    desk.account(balance="50")
    desk.until(MORNING + 5 * MINUTE)
    desk.account(balance="200")
    assert desk.timers == {}
    desk.account(balance="60")
    desk.until(MORNING + 14 * MINUTE)
    assert told(desk) == []
    (armed,) = desk.traces("armed")
    assert armed.reason.endswith("; it held since 2026-03-02T08:00:00.000Z, not for 10m")

    desk.until(MORNING + 15 * MINUTE)

    assert told(desk) == ['{"balance":"60"}']


def test_what_changes_while_it_holds_does_not_begin_the_time_anew(desk):
    desk.account(balance="50")
    desk.until(MORNING + 5 * MINUTE)
    desk.account(balance="40")

    desk.until(MORNING + 10 * MINUTE)

    assert told(desk) == ['{"balance":"40"}']


def test_a_value_nobody_knows_on_the_way_ends_the_hold(desk):
    desk.account(balance="50")
    desk.account(balance=None)
    desk.until(MORNING + 20 * MINUTE)
    assert told(desk) == []

    desk.account(balance="50")
    desk.until(MORNING + 30 * MINUTE)

    assert len(told(desk)) == 1


def test_a_hold_that_is_over_late_says_how_late(desk):
    desk.account(balance="50")
    desk.timers.clear()  # nobody looked at the clock

    desk.tell("trade.opened", at=MORNING + 12 * MINUTE)

    assert [trace.reason.rpartition("; ")[2] for trace in desk.traces("fired")] == ["late_by 120s"]


def test_who_asks_meanwhile_hears_when_it_will_fire(desk):
    desk.account(balance="50")

    (answer,) = standing(desk.program, "rule", desk.state, desk.now + 1)

    assert (
        answer.reason
        == "account.balance < 100 is true (50 < 100); fires at 2026-03-02T08:10:00.000Z, if it holds till then"
    )


@pytest.mark.parametrize(
    ("others", "fires"),
    [((), 0), ((low(),), 1), ((a_workflow(RULE.replace("< 100", "< 10") % "10m"),), 0), ((low("1h"),), 1)],
    ids=["taken away", "the same", "a condition that does not hold", "another span"],
)
def test_a_hold_outlives_an_edit_only_if_its_condition_still_holds(desk, others, fires):
    desk.account(balance="50")
    desk.switch(*others)

    desk.until(MORNING + 10 * MINUTE)

    assert len(told(desk)) == fires


STEP = st.tuples(st.sampled_from(["50", "60", "200"]), st.integers(0, 14), st.booleans())


@settings(max_examples=40, deadline=None)
@given(st.lists(STEP, min_size=1, max_size=15))
async def test_each_stretch_that_lasts_fires_once_whatever_is_killed(steps):
    engine = Killed()
    await engine.loop.activate([low()])
    await _balance(engine, "500")
    held, below, expected = 0, False, 0
    for balance, minutes, killed in steps:
        await _balance(engine, balance)
        if balance == "200":
            below, held = False, 0
        below = below or balance != "200"
        await engine.clock.advance(minutes * MINUTE)
        if killed:
            await engine.restart()
        await engine.settle()
        if below and held < 10 <= held + minutes:
            expected += 1
        held += minutes if below else 0

    assert len(engine.store.runs) == expected
    assert len([run for run in engine.store.runs.values() if run.state == "done"]) == expected


async def _balance(engine, value):
    await engine.settle()
    number = len(engine.log.ranked(0, 10_000))
    changed = {"balance": {"after": value}}
    await engine.log.append(
        [an_event("account.updated", an_account(), dedupe_key=f"n{number}", changed=changed)]
    )
    await engine.settle()
