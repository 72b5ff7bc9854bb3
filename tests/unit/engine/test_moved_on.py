"""Timers at which nothing can turn are moved on by a rehearsal, and what it finds is the same as if each were decided."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.engine.desk import MORNING, Desk, a_workflow

from hub.clock import to_us
from hub.engine import rehearsal as rehearsing
from hub.engine.keys import KeyKind
from hub.engine.moved_on import moved_on
from hub.engine.rehearsal import Rehearsal
from hub.engine.state import NEVER

DO = "steps: [{do: event.publish, with: {type: custom.told, data: {why: x}}}]"
PLAIN = "when: [{event: custom.never}]\nsteps: [{do: event.publish, with: {type: custom.x}}]"
TEXTS = {
    "rising": "aggregates: {lots: {from: trade.closed, sum: event.lots, window: {sliding: 12h}}}\n"
    "when: [{becomes: lots > 9}]",
    "falling": "aggregates: {losses: {from: trade.closed, where: event.net_profit < 0, count: true, window: {sliding: 12h}}}\n"
    "when: [{becomes: losses < 2}]",
    "held": "aggregates: {lots: {from: trade.closed, sum: event.lots, window: {sliding: 12h}}}\n"
    "when: [{becomes: lots > 6, for: 5h}]",
    "clock": "aggregates: {lots: {from: trade.closed, sum: event.lots, window: {sliding: 12h}}}\n"
    "when: [{becomes: 'lots > 6 and account.registered_at < now - days(1)'}]",
    "twice": "aggregates:\n"
    "  lots: {from: trade.closed, sum: event.lots, window: {sliding: 12h}}\n"
    "  kinds: {from: trade.closed, distinct: event.symbol, window: {sliding: 8h}}\n"
    "when: [{id: much, becomes: lots > 6}, {id: broad, becomes: kinds > 1}, {id: both, becomes: 'lots > 4 and kinds > 1'}]",
    "waits": "aggregates: {lots: {from: trade.closed, sum: event.lots, window: {sliding: 12h}}}\n"
    "when: [{becomes: lots > 6}]",
}
STEPS = {
    "waits": "steps:\n  - wait: {if: lots < 2, timeout: 20h}\n"
    "  - {do: event.publish, with: {type: custom.told, data: {why: waited}}}"
}

trades = st.tuples(
    st.integers(0, 12), st.integers(1, 5), st.sampled_from(["EURUSD", "DE40"]), st.integers(-1, 1)
)


def a_rule(name):
    return a_workflow(f"{TEXTS[name]}\n{STEPS.get(name, DO)}", id=name)


def recorded(script):
    desk = Desk(a_workflow(PLAIN))
    desk.account(currency="USD", registered_at="2026-03-01T20:00:00Z")
    moment = MORNING
    for deal, (hours, lots, symbol, profit) in enumerate(script, 1):
        moment += timedelta(hours=hours)
        desk.until(moment)
        money = {"profit": str(profit), "net_profit": str(profit)}
        desk.tell("trade.closed", lots=str(lots), symbol=symbol, deal=deal, timestamp=moment, **money)
    return desk.inputs, to_us(moment + timedelta(days=2))


class Heard:
    """Keeps everything it hears."""

    def __init__(self):
        self.told = []

    def asked(self, intent, *_):
        self.told.append((intent.at, intent.key, intent.params))

    def traced(self, row):
        self.told.append((row.at, row.outcome, row.body))


def rehearsed(name, inputs, until):
    heard = Heard()
    rehearsal = Rehearsal([a_rule(name)], heard)
    rehearsal.tell(inputs)
    rehearsal.until(until)
    assert rehearsal.broken == []
    return heard.told


@pytest.mark.parametrize("name", TEXTS)
@settings(max_examples=20, deadline=None)
@given(script=st.lists(trades, min_size=1, max_size=25))
def test_moving_timers_on_changes_nothing_that_is_found(name, script):
    inputs, until = recorded(script)

    found = rehearsed(name, inputs, until)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rehearsing, "moved_on", lambda *_: None)
        assert rehearsed(name, inputs, until) == found


@pytest.mark.parametrize(
    ("name", "moves"), [("rising", True), ("twice", True), ("falling", False), ("clock", False)]
)
def test_only_timers_of_windows_that_let_go_are_moved_on(name, moves, monkeypatch):
    seen = []
    monkeypatch.setattr(rehearsing, "moved_on", lambda *a: seen.append(moved_on(*a)) or seen[-1])
    inputs, until = recorded([(0, 1, "EURUSD", -1), (8, 1, "EURUSD", -1)])

    rehearsed(name, inputs, until)

    assert any(seen) is moves


def test_a_window_that_everything_has_left_is_waited_for_no_more():
    inputs, until = recorded([(0, 1, "EURUSD", -1), (8, 1, "EURUSD", -1)])
    rehearsal = Rehearsal([a_rule("rising")], Heard())
    rehearsal.tell(inputs)
    (state,) = rehearsal.states(KeyKind.ACCOUNT, 2)
    assert state.series
    assert state.alarm_due != NEVER

    rehearsal.until(until)

    assert not state.series
    assert state.alarm_due == NEVER


def test_a_timer_of_a_window_leaves_the_moment_to_what_else_runs_out_then(monkeypatch):
    """Both run out twelve hours after the same event: what the hub decides first must be decided first here."""
    inputs, until = recorded([(0, 7, "EURUSD", -1)])
    text = (
        "aggregates:\n  lots: {from: trade.closed, sum: event.lots, window: {sliding: 12h}}\n"
        "  losses: {from: trade.closed, where: event.net_profit < 0, count: true, window: {sliding: 20h}}\n"
        "when: [{id: never, becomes: lots > 99}, {id: lost, becomes: losses > 0, for: 12h}]"
    )
    monkeypatch.setitem(TEXTS, "both", f"{text}\nlimit: {{max: 1, every: 30d}}")
    told = "data: {why: = steps.pay.ticket}"  # assumed tickets are numbered by what was decided
    steps = f"[{{id: pay, do: credit.grant, with: {{amount: 5}}}}, {{do: event.publish, with: {{type: custom.told, {told}}}}}]"
    monkeypatch.setitem(STEPS, "both", f"steps: {steps}")

    found = rehearsed("both", inputs, until)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rehearsing, "moved_on", lambda *_: None)
        assert rehearsed("both", inputs, until) == found
    assert [row for row in found if row[1] == "fired"]
