"""The latest value, different values, days and tumbling windows, as files write them and conditions read them."""

from datetime import timedelta

import pytest

from hub.engine.load_text import load_text
from hub.engine.program import Calendar, Tumbling
from tests.unit.engine.desk import MORNING, Desk, a_workflow

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
STEPS = "steps: [{do: event.publish, with: {type: custom.seen, data: {rule: 1}}}]"


def a_rule(aggregate, condition):
    return f"aggregates:\n  found: {aggregate}\nwhen: [{{becomes: '{condition}'}}]\n{STEPS}"


def problems(aggregate, condition="found > 1"):
    head = "schema: 1\nid: a\ntitle: t\n"
    return [problem.message for problem in load_text(head + a_rule(aggregate, condition), "a.yaml").problems]


def test_a_tumbling_window_is_loaded():
    rule = a_workflow(a_rule("{from: trade.closed, sum: event.lots, window: {tumbling: 1h}}", "found > 1"))

    assert rule.aggregates[0].window == Tumbling(HOUR)


@pytest.mark.parametrize(
    ("days", "window", "calendar"),
    [
        ("{tz: Europe/Prague}", "{sliding: 30d}", Calendar("day", "Europe/Prague")),
        ('{tz: Europe/Prague, daily_at: "17:00"}', "lifetime", Calendar("day", "Europe/Prague", "17:00")),
        ("true", '{calendar: month, tz: Asia/Tokyo, daily_at: "01:00"}', Calendar("day", "Asia/Tokyo", "01:00")),
    ],
)  # fmt: skip
def test_days_are_those_of_the_zone_or_of_the_calendar_window(days, window, calendar):
    rule = a_workflow(a_rule(f"{{from: trade.closed, distinct_days: {days}, window: {window}}}", "found > 1"))

    assert rule.aggregates[0].days == calendar


def test_days_of_another_zone_are_another_aggregate():
    written = "{from: trade.closed, distinct_days: {tz: ZONE}, window: lifetime}"
    ids = {
        a_workflow(a_rule(written.replace("ZONE", zone), "found > 1")).aggregates[0].id
        for zone in ("Europe/Prague", "Asia/Tokyo")
    }

    assert len(ids) == 2


@pytest.mark.parametrize(
    ("aggregate", "message"),
    [
        (
            "{from: trade.closed, distinct_days: true, window: {sliding: 7d}}",
            "only a calendar window has days of its own: write `distinct_days: {tz: Europe/Prague}`",
        ),
        (
            "{from: trade.closed, distinct_days: {tz: Europe/Pragu}, window: lifetime}",
            "unknown time zone `Europe/Pragu`",
        ),
        ("{from: trade.closed, distinct_days: false, window: lifetime}", "`distinct_days` is"),
        (
            "{from: trade.closed, distinct_days: {zone: UTC}, window: lifetime}",
            "unknown key `zone`; known are tz, daily_at",
        ),
        (
            "{from: trade.closed, distinct: event.lots > 1, window: lifetime}",
            "`distinct` tells texts or numbers apart, and this is true or false",
        ),
        (
            "{from: trade.closed, last: account.tags, window: lifetime}",
            "`last` keeps one value, and this is a list",
        ),
        ("{from: trade.closed, sum: event.lots, window: {tumblin: 1h}}", "did you mean tumbling"),
        (
            "{from: trade.closed, sum: event.lots, last: event.lots, window: lifetime}",
            "exactly one of sum, count, min, max, avg, last, distinct, distinct_days and best_day_share",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(aggregate, message):
    assert any(message in problem for problem in problems(aggregate)), problems(aggregate)


def test_the_latest_value_has_the_type_of_its_expression():
    aggregate = "{from: trade.closed, last: event.symbol, window: lifetime}"

    assert problems(aggregate, 'found == "EURUSD"') == []
    assert any("text" in problem for problem in problems(aggregate, "found > 1"))


def test_the_latest_value_is_that_of_the_latest_event_and_not_of_a_late_one():
    desk = Desk(
        a_workflow(a_rule("{from: trade.closed, last: event.symbol, window: lifetime}", 'found == "XAUUSD"'))
    )

    assert not desk.tell("trade.closed", deal=1, symbol="EURUSD", at=MORNING)
    assert not desk.tell("trade.closed", deal=2, symbol="XAUUSD", timestamp=MORNING - HOUR)
    desk.tell("trade.closed", deal=3, symbol="XAUUSD", at=MORNING + HOUR)

    assert len(fired(desk)) == 1


def test_different_values_leave_a_sliding_window_by_themselves():
    rule = a_rule("{from: trade.closed, distinct: event.symbol, window: {sliding: 1d}}", "found == 1")
    desk = Desk(a_workflow(rule))

    desk.tell("trade.closed", deal=1, symbol="EURUSD", at=MORNING)
    desk.tell("trade.closed", deal=2, symbol="XAUUSD", at=MORNING + HOUR)
    before = len(fired(desk))
    desk.until(MORNING + DAY)

    assert len(fired(desk)) == before + 1


def test_a_tumbling_hour_is_over_by_itself():
    rule = a_rule("{from: trade.closed, count: true, window: {tumbling: 1h}}", "found == 0")
    desk = Desk(a_workflow(rule))

    desk.tell("trade.closed", deal=1, at=MORNING + HOUR / 2)
    before = len(fired(desk))
    desk.until(MORNING + HOUR)

    assert len(fired(desk)) == before + 1


def test_days_are_counted_once_and_taken_back_whole():
    aggregate = (
        "{from: trade.closed, distinct_days: {tz: Europe/Prague}, window: {sliding: 30d}, "
        "retract: {event: trade.cancelled, ref: event.deal}}"
    )
    desk = Desk(a_workflow(a_rule(aggregate, "found >= 2")))

    desk.tell("trade.closed", deal=1, at=MORNING)
    desk.tell("trade.closed", deal=2, at=MORNING + HOUR)
    assert not fired(desk)
    desk.tell("trade.closed", deal=3, at=MORNING + DAY)
    assert len(fired(desk)) == 1
    desk.tell("trade.cancelled", deal=3)
    desk.tell("trade.closed", deal=4)

    assert len(fired(desk)) == 2


def fired(desk):
    return [intent for decision in desk.decisions for intent in decision.intents]
