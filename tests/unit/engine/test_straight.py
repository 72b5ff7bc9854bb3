"""The straight way says what the careful way says, wherever it says anything; and it says something nearly always."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.engine.desk import MORNING, Desk, a_workflow

from hub.engine import decide as deciding
from hub.engine.decide import advance
from hub.engine.straight import straight

TOLD = "steps: [{do: event.publish, with: {type: custom.told, data: {why: x}}}]"
TEXTS = {
    "lots": """
scope: account.group == "real/a"
params: {least: {type: number, default: 4}}
aggregates:
  lots: {from: trade.closed, sum: event.lots, window: {calendar: day, tz: Europe/Nicosia}}
  losses: {from: trade.closed, where: event.net_profit < 0, count: true, window: {sliding: 6h}}
when:
  - {id: many, becomes: lots > params.least}
  - {id: bad, event: trade.closed, where: losses > 2 and event.lots > 1}
""",
    "gold": """
aggregates:
  gold: {from: trade.closed, where: event.symbol == "XAUUSD", sum: event.lots, window: lifetime}
  worst: {from: trade.closed, min: event.profit, window: {tumbling: 12h}}
  symbols: {from: trade.closed, distinct: event.symbol, window: {calendar: week, tz: UTC}}
when:
  - {id: much, becomes: gold > 5}
  - {id: worse, becomes: worst < -20}
  - {id: broad, event: trade.closed, where: symbols >= 2 and has(event.symbol)}
""",
    "state": """
when:
  - {id: poor, becomes: account.balance < 500}
  - {id: open, event: trade.opened, where: account.open_positions > 2}
  - {id: pro, event: balance.deposited, where: event.amount > 5 and account.leverage > 1}
""",
    "clock": """
when:
  - {id: old, becomes: account.registered_at < now - days(1)}
""",
    "back": """
aggregates:
  kept: {from: trade.closed, sum: event.lots, window: lifetime, retract: {event: trade.cancelled, ref: event.deal}}
when: [{becomes: kept > 7}]
""",
    "waits": """
when: [{event: balance.deposited, where: event.amount > 7}]
steps:
  - wait: {event: trade.opened, where: event.lots > 3, timeout: 8h}
  - {do: event.publish, with: {type: custom.told, data: {why: waited}}}
""",
    "anchored": """
anchors: {top: {max: account.balance}}
when: [{becomes: account.balance < top - 100}]
""",
    "by-client": """
aggregates: {all: {from: trade.closed, sum: event.lots, window: lifetime}}
when: [{becomes: all > 6}]
""",
}
KEYS = {"by-client": "client"}


def some(*names):
    """Return the workflows of these names, or all of them; one is by client, so that it hears by mail."""
    return [
        a_workflow(
            TEXTS[name] if "steps:" in TEXTS[name] else TEXTS[name] + TOLD,
            id=name,
            key=KEYS.get(name, "account"),
        )
        for name in names or TEXTS
    ]


numbers = st.integers(0, 9)
MOVES = ("close", "part", "open", "deposit", "cancel", "account", "wait", "replay", "group", "money")
moves = st.tuples(
    st.sampled_from(["close", "close", *MOVES]),
    numbers,
    st.sampled_from(["EURUSD", "XAUUSD", "DE40"]),
    st.integers(0, 30),
)


def play(desk, script):
    desk.account(type="real", balance="600", leverage=2, group="real/a", registered_at="2026-03-01T12:00:00Z")
    moment = MORNING
    for deal, (what, number, symbol, late) in enumerate(script, 1):
        told = {"timestamp": moment - timedelta(hours=late), "group": "real/b" if number == 9 else "real/a"}
        trade = {"symbol": symbol, "lots": f"{number}.25", "deal": deal, **told}
        money = {"profit": str(number * 10 - 50), "commission": "-1", "net_profit": str(number * 10 - 51)}
        for untold in {4: money, 5: ("net_profit",)}.get(number, ()):
            money = {name: value for name, value in money.items() if name != untold}
        match what:
            case "close":
                desk.tell("trade.closed", **trade, **money)
            case "replay":
                desk.tell("trade.closed", **trade, replayed=True)
            case "part" if number % 2:
                desk.tell("trade.closed", **trade, **money, partial=True)
            case "part":
                desk.tell("trade.closed", **trade, **money, remaining_lots=str(number))
            case "open":
                costs = {3: {"commission": "-1.5"}, 6: {"fee": "-0.5"}}.get(number, {})
                desk.tell("trade.opened", **trade, **costs)
            case "money":
                desk.account(currency="EUR" if number > 4 else "USD")
            case "deposit":
                desk.tell("balance.deposited", amount=str(number + 1), **told)
            case "cancel":
                desk.tell("trade.cancelled", **{**told, "deal": number})
            case "account":
                desk.account(balance=str(number * 100), leverage=number)
            case "group":
                desk.tell(
                    "account.group_changed", before="real/a", after="real/b" if number > 4 else "real/a"
                )
            case _:
                moment += timedelta(hours=number)
                desk.until(moment)


@pytest.mark.parametrize(
    "names", [(), ("lots",), ("gold", "state"), ("clock", "lots"), ("back", "state"), ("anchored",)]
)
@settings(max_examples=25, deadline=None)
@given(script=st.lists(moves, max_size=30))
def test_both_ways_decide_the_same_bytes(names, script):
    first = Desk(*some(*names))
    play(first, script)

    again = Desk(*some(*names))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deciding, "straight", lambda *_: None)
        for item in first.inputs:
            again.take(item)

    assert again.written() == first.written()


def ways(desk, *, of):
    """Return how many of these events went straight."""
    return sum(
        straight(desk.program, desk.state, desk.event("trade.closed", lots="0.1", **each)) is not None
        for each in of
    )


def test_an_event_that_only_counts_goes_straight():
    desk = Desk(*some("lots", "gold", "state", "back", "waits"))
    desk.account(type="real", balance="600", leverage=2)
    desk.tell("trade.closed", lots="0.1", group="real/a", net_profit="1", profit="1")

    assert ways(desk, of=[{"group": "real/a", "net_profit": "1", "profit": "1"}] * 3) == 3


def test_a_result_nobody_has_added_up_is_added_up_with_care():
    desk = Desk(*some("lots"))
    desk.account(type="real", balance="600")
    desk.tell("trade.closed", lots="0.1", profit="-1", net_profit="-1")
    parts = {"profit": "-5", "commission": "-2.5", "swap": "-0.5"}

    assert ways(desk, of=[{**parts, "net_profit": "-8"}, parts]) == 1
    desk.tell("trade.closed", lots="0.1", **parts)

    assert desk.state.account.balance == Decimal(591)


def test_an_event_that_turns_a_condition_is_left_to_the_careful_way():
    desk = Desk(*some("lots"))
    desk.account(type="real")
    desk.tell("trade.closed", lots="0.1", group="real/a")

    assert straight(desk.program, desk.state, desk.event("trade.closed", lots="9", group="real/a")) is None


@pytest.mark.parametrize("change", ["another group", "no account yet", "a timer is due"])
def test_what_is_not_certain_is_left_to_the_careful_way(change):
    desk = Desk(*some("lots"))
    if change != "no account yet":
        desk.account(type="real")
        desk.tell("trade.closed", lots="0.1", group="real/a", net_profit="-1")
    if change == "a timer is due":
        desk.now += 24 * 3600 * 1_000_000
    group = "real/b" if change == "another group" else "real/a"

    assert straight(desk.program, desk.state, desk.event("trade.closed", lots="0.1", group=group)) is None


def test_an_aggregate_that_nothing_waits_for_yet_gets_its_timer_straight():
    lots = """
aggregates: {lots: {from: trade.closed, sum: event.lots, window: {sliding: 6h}}}
when: [{becomes: lots > 4}]
"""
    desk = Desk(a_workflow(lots + TOLD))
    desk.account(type="real")
    event = desk.event("trade.closed", lots="1")

    told = straight(desk.program, desk.state, event)
    advance(desk.program, desk.state, event)

    assert told is not None
    assert [(timer.kind, timer.due - event.at) for timer in told.timers] == [("window", 6 * 3600 * 1_000_000)]
    assert desk.state.alarm_due == told.timers[0].due


def test_trying_changes_nothing():
    desk = Desk(*some())
    desk.account(type="real", balance="600", leverage=2, group="real/a")
    desk.tell("trade.closed", lots="1", group="real/a", net_profit="-1")
    before = dict(desk.state.values), {name: list(series) for name, series in desk.state.series.items()}

    for lots in ("0.1", "9"):
        straight(
            desk.program, desk.state, desk.event("trade.closed", lots=lots, group="real/a", net_profit="-1")
        )

    assert before == (
        dict(desk.state.values),
        {name: list(series) for name, series in desk.state.series.items()},
    )


def test_beside_a_condition_that_holds_those_of_a_narrower_scope_are_asked_as_well():
    holds = a_workflow(
        f"""
scope: account.group == "real/a"
aggregates: {{lots: {{from: trade.closed, sum: event.lots, window: lifetime}}}}
when: [{{becomes: lots > 4}}]
{TOLD}""",
        id="holds",
    )
    narrow = a_workflow(
        f"""
scope: account.group == "real/a" and account.leverage > 1
when: [{{event: trade.closed, where: event.lots > 2}}]
{TOLD}""",
        id="narrow",
    )
    desk = Desk(holds, narrow)
    desk.account(type="real", leverage=2, group="real/a")
    desk.tell("trade.closed", lots="4.5", group="real/a")
    before = len(desk.decisions)

    desk.tell("trade.closed", lots="3", group="real/a")

    asked = [intent.workflow for made in desk.decisions[before:] for intent in made.intents]
    assert asked == ["narrow"]
