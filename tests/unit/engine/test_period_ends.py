"""`period_end` fires when a calendar period is over, once, over restarts, edits and days of 23 and 25 hours."""

import itertools
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from unit.engine.desk import MORNING, Desk, a_workflow
from unit.engine.test_grants import restarted

from hub.bus.log import InputKind
from hub.engine.calendars import label_of
from hub.engine.explain import explain
from hub.engine.load import load_text
from hub.engine.periods import periods
from hub.engine.program import Calendar
from hub.engine.why import standing

REPORT = """
aggregates:
  lots: {from: trade.closed, sum: event.lots, window: {calendar: month, tz: Europe/Nicosia}, retract: {event: trade.cancelled, ref: event.deal}}
  later: {from: trade.closed, sum: event.lots, window: {since: period_end}}
when:
  - period_end: {calendar: month, tz: Europe/Nicosia, delay: 6h}
steps:
  - do: event.publish
    with: {type: custom.report, data: {label: = period.label, from: = period.start, to: = period.end, lots: = lots, later: = later}}
"""
DAILY = """
when:
  - period_end: {calendar: day, tz: %s}
    catch_up: %s
steps: [{do: event.publish, with: {type: custom.day, data: {label: = period.label}}}]
"""
END = datetime(2026, 3, 31, 21, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def daily(zone="Europe/Nicosia", catch_up="last", **header):
    return a_workflow(DAILY % (zone, catch_up), **header)


def told(desk):
    return [
        msgspec.json.decode(fact.envelope.data)
        for fact in desk.facts
        if fact.envelope.type.startswith("custom.")
    ]


def labels(desk):
    return [data["label"] for data in told(desk)]


def asleep(desk, until):
    """Let time pass while no hub runs: its timers fire when it is back, at once."""
    desk.now = int(until.timestamp() * 1_000_000)
    due = sorted(desk.timers.values(), key=lambda timer: (timer.due, timer.id))
    for timer in [each for each in due if each.due <= desk.now]:
        if desk.timers.pop(timer.id, None) is not None:
            desk.take(desk._input(InputKind.TIMER, timer.id, timer.body))


def test_the_run_sees_the_period_that_is_over_and_what_came_since():
    desk = Desk(a_workflow(REPORT))
    desk.tell("trade.closed", deal=1, lots="12")
    desk.tell("trade.closed", at=END + HOUR, deal=2, lots="3")
    desk.tell("trade.closed", deal=3, lots="1", timestamp=END - HOUR)
    restarted(desk)
    desk.until(END + 6 * HOUR)

    assert told(desk) == [
        {
            "label": "2026-03",
            "from": "2026-02-28T22:00:00Z",
            "to": "2026-03-31T21:00:00Z",
            "lots": "13",
            "later": "3",
        }
    ]
    assert list(desk.runs) == ["rule/live-1:7001/period_end/2026-03"]
    assert [trace.reason for trace in desk.traces("fired")] == ["2026-03 ended at 2026-03-31T21:00:00.000Z"]


def test_a_run_that_waits_still_knows_its_period_after_a_restart():
    text = REPORT.replace("steps:", "steps:\n  - wait: {for: 2d}\n  - {do: account.disable_trading}")
    desk = Desk(a_workflow(text))
    desk.tell("trade.closed", deal=1, lots="12")
    desk.until(END + 7 * HOUR)
    desk.tell("trade.closed", deal=2, lots="5")
    restarted(desk)
    (lock,) = desk.until(END + 3 * DAY)
    restarted(desk)
    desk.outcome(lock)

    assert [(data["label"], data["lots"], data["later"]) for data in told(desk)] == [("2026-03", "12", "5")]


def test_a_period_nobody_keeps_any_more_is_unknown_and_not_nothing():
    desk = Desk(
        a_workflow(
            REPORT.replace("lots: = lots, later: = later", 'lots: "= default(lots, -1)"').replace(
                "steps:", "steps:\n  - wait: {for: 80d}"
            )
        )
    )
    desk.tell("trade.closed", deal=1, lots="12")
    desk.until(END + 90 * DAY)

    assert next((data["label"], data["lots"]) for data in told(desk)) == ("2026-03", "-1")


@pytest.mark.parametrize(
    ("period", "label", "following"),
    [
        ("day", "2026-03-02", "2026-03-03"),
        ("week", "2026-W10", "2026-W11"),
        ("month", "2026-03", "2026-04"),
        ("quarter", "2026-Q1", "2026-Q2"),
        ("year", "2026", "2027"),
    ],
)
def test_every_period_has_a_name_of_its_own(period, label, following):
    calendar = Calendar(period, "America/New_York", "17:00")
    now = int(
        datetime(2026, 3, 3, 3, tzinfo=UTC).timestamp() * 1_000_000
    )  # still the 2nd there, and after 17:00
    start, end = periods(calendar).span(now)

    assert (label_of(calendar, start), label_of(calendar, end)) == (label, following)
    assert label_of(None, start) == "lifetime"


def test_each_day_fires_once_at_local_midnight_when_days_have_23_and_25_hours():
    desk = Desk(daily())
    desk.tell("account.created", at=datetime(2026, 3, 28, 12, tzinfo=UTC))
    fired_at = []
    for hour in range(24 * 3):
        before = len(desk.facts)
        desk.until(datetime(2026, 3, 28, 12, tzinfo=UTC) + hour * HOUR)
        if len(desk.facts) > before:
            fired_at.append(hour + 12)

    assert labels(desk) == ["2026-03-28", "2026-03-29", "2026-03-30"]
    assert [later - earlier for earlier, later in itertools.pairwise(fired_at)] == [23, 24]


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        ("last", ["2026-03-04"]),
        ("all", ["2026-03-02", "2026-03-03", "2026-03-04"]),
        ("none", []),
    ],
)
def test_what_was_missed_is_made_up_for_as_the_file_says(catch_up, expected):
    desk = Desk(daily(catch_up=catch_up))
    desk.tell("account.created")
    asleep(desk, datetime(2026, 3, 5, 10, tzinfo=UTC))

    assert labels(desk) == expected
    left_out = [trace.reason for trace in desk.traces("held_back")]
    assert (
        left_out
        == {
            "last": [
                "2026-03-02 to 2026-03-03 ended while the hub was down, and `catch_up: last` leaves it out"
            ],
            "all": [],
            "none": [
                "2026-03-02 to 2026-03-04 ended while the hub was down, and `catch_up: none` leaves it out"
            ],
        }[catch_up]
    )
    if expected:
        assert desk.traces("fired")[-1].reason.endswith("; late_by 43200s")
    desk.until(datetime(2026, 3, 5, 22, tzinfo=UTC))
    assert labels(desk) == [*expected, "2026-03-05"]


def test_an_outage_of_years_is_made_up_for_by_a_hundred_periods_at_most():
    desk = Desk(daily(catch_up="all"))
    desk.tell("account.created")
    asleep(desk, datetime(2029, 3, 5, 10, tzinfo=UTC))

    assert len(labels(desk)) == 100
    assert labels(desk)[-1] == "2029-03-04"


def test_an_account_out_of_scope_waits_and_does_not_fire():
    desk = Desk(a_workflow('scope: account.type == "real"' + DAILY % ("UTC", "last")))
    desk.account(type="demo")
    desk.until(MORNING + 2 * DAY)
    assert labels(desk) == []

    desk.account(type="real")
    desk.until(MORNING + 3 * DAY)
    assert labels(desk) == ["2026-03-04"]


def test_an_edited_zone_fires_no_second_time_for_a_day_of_the_same_name():
    desk = Desk(daily("Asia/Tokyo"))
    desk.tell("account.created")
    desk.until(datetime(2026, 3, 2, 15, tzinfo=UTC))  # the day is over in Tokyo
    assert labels(desk) == ["2026-03-02"]

    desk.switch(daily("America/New_York"))
    desk.until(datetime(2026, 3, 4, 6, tzinfo=UTC))

    assert labels(desk) == ["2026-03-02", "2026-03-03"]
    assert len(desk.runs) == 2


def test_a_workflow_that_is_taken_away_and_put_back_goes_on_with_the_present_period():
    desk = Desk(daily())
    desk.tell("account.created")
    desk.switch()
    desk.until(MORNING + 5 * DAY)
    assert (labels(desk), desk.timers) == ([], {})

    desk.switch(daily())
    desk.until(MORNING + 6 * DAY)
    assert labels(desk) == ["2026-03-07"]


def test_who_asks_hears_which_period_is_waited_for():
    desk = Desk(a_workflow(REPORT))
    desk.tell("account.created")

    (answer,) = standing(desk.program, "rule", desk.state, desk.now)

    assert answer.reason == "2026-03 ends at 2026-03-31T21:00:00.000Z; fires at 2026-04-01T03:00:00.000Z"


def test_it_reads_in_plain_english():
    text = explain(a_workflow(REPORT)).text()

    assert (
        "Starts 6 hours after the end of each month by the clock of Europe/Nicosia. Of those it missed"
        in text
    )
    assert "since the end of the month by the clock of Europe/Nicosia" in text
    assert "label = the name of the period" in text


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            ("delay: 6h", "delay: 30d"),
            "8:62: error: the next month would be over before this one is told of",
        ),
        (
            ("month, tz: Europe/Nicosia, delay", "month, tz: Europe/Nicosa, delay"),
            "unknown time zone `Europe/Nicosa`; did you mean Europe/Nicosia?",
        ),
        (
            ("since: period_end", "since: periodend"),
            "`since` is period_end, not `periodend`; did you mean period_end?",
        ),
        (
            ("sum: event.lots, window: {since", "last: event.lots, window: {since"),
            "`last` cannot be kept `since: period_end`: sum, count, min, max and avg can",
        ),
        (
            ("- period_end: {calendar: month, tz: Europe/Nicosia, delay: 6h}", "- event: trade.closed"),
            "`period` is not known here: only a grant by a calendar, and the steps",
        ),
    ],
)
def test_a_period_that_cannot_be_waited_for_is_refused_with_the_fix(change, complaint):
    text = "schema: 1\nid: w\ntitle: t" + REPORT
    assert change[0] in text
    report = load_text(text.replace(*change), "w.yaml")

    assert report.workflow is None
    assert any(complaint in str(problem) for problem in report.problems), [str(p) for p in report.problems]
