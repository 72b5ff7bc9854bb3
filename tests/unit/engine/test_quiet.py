"""Quiet hours by somebody's clock: runs that wait for their end, and runs that do not happen."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.engine.desk import MORNING, Desk, a_workflow

from hub.engine.program_timed import Quiet
from hub.engine.quiet import quiet_until

RULE = """
when: [{event: trade.closed}]
limit: {max: 2, every: 30d}
quiet_hours: {from: "%s", to: "%s", tz: %s, then: %s}
steps: [{do: event.publish, with: {type: custom.after, data: {lots: = event.lots, at: = now}}}]
"""


def told(desk):
    return [bytes(fact.envelope.data).decode() for fact in desk.facts]


def rule(start="21:00", end="11:00", tz="Europe/Nicosia", then="delay"):
    return a_workflow(RULE % (start, end, tz, then))


def test_a_run_in_quiet_hours_happens_at_their_end():
    desk = Desk(rule())  # the morning is 10:00 in Nicosia
    desk.tell("trade.closed", lots="2")
    assert told(desk) == []
    assert list(desk.runs.values()) == ["running"]

    desk.until(MORNING + timedelta(hours=1))

    assert told(desk) == ['{"lots":"2","at":"2026-03-02T09:00:00Z"}']
    assert [trace.reason for trace in desk.traces("done")] == ["waited until 2026-03-02T09:00:00.000Z"]


def test_a_run_outside_of_them_is_not_held_up():
    desk = Desk(rule("21:00", "10:00"))
    desk.tell("trade.closed", lots="2")

    assert len(told(desk)) == 1


def test_a_run_that_is_to_be_skipped_says_so_and_does_not_count():
    desk = Desk(rule(then="skip"))
    for _ in range(3):
        desk.tell("trade.closed")
    desk.until(MORNING + timedelta(hours=1))
    for _ in range(3):
        desk.tell("trade.closed")

    assert len(told(desk)) == 2
    reasons = [trace.reason for trace in desk.traces("held_back")]
    assert reasons[:3] == ["quiet hours until 2026-03-02T09:00:00.000Z"] * 3
    assert reasons[3].startswith("limit: 2 run(s)")


@pytest.mark.parametrize(
    ("zone", "then", "said"),
    [
        (None, "delay", "client.timezone is missing"),
        (None, "skip", "client.timezone is missing"),
        ("Mars/Olympus", "delay", "'Mars/Olympus' is no time zone"),
        ("Asia/Tokyo", "skip", None),
    ],
)
def test_the_clock_is_the_clients_where_it_is_known(zone, then, said):
    desk = Desk(rule("08:00", "12:00", "client.timezone", then))
    desk.tell("client.updated", client="anna", changed={"timezone": {"after": zone}})
    desk.tell("trade.closed")

    reasons = [trace.reason for trace in (*desk.traces("failed"), *desk.traces("held_back"))]
    if said is None:  # 17:00 in Tokyo
        assert reasons == []
        assert len(told(desk)) == 1
    else:
        assert len(reasons) == 1
        assert said in reasons[0]


def test_an_expression_may_name_a_zone_for_those_who_have_none():
    desk = Desk(rule("08:00", "12:00", "'default(client.timezone, \"Asia/Tokyo\")'"))
    desk.tell("trade.closed")

    assert len(told(desk)) == 1


@pytest.mark.parametrize(
    ("end", "zone", "at", "until"),
    [
        # In Nicosia the clock goes from 03:00 to 04:00.
        ("03:00", "Europe/Nicosia", "2026-03-28T20:00Z", "2026-03-29T01:00Z"),
        ("03:30", "Europe/Nicosia", "2026-03-28T20:00Z", "2026-03-29T01:00Z"),
        ("04:00", "Europe/Nicosia", "2026-03-28T20:00Z", "2026-03-29T01:00Z"),
        # In Cairo it goes from 00:00 to 01:00.
        ("00:00", "Africa/Cairo", "2024-04-25T20:00Z", "2024-04-25T22:00Z"),
        ("00:30", "Africa/Cairo", "2024-04-25T20:00Z", "2024-04-25T22:00Z"),
        # In Nicosia 03:30 comes twice, and its first coming counts.
        ("03:30", "Europe/Nicosia", "2026-10-24T20:00Z", "2026-10-25T00:30Z"),
        ("03:30", "Europe/Nicosia", "2026-10-25T01:15Z", None),
    ],
)
def test_on_days_when_clocks_change_they_end_when_the_clock_is_first_past_it(end, zone, at, until):
    quiet = Quiet(time(21), time.fromisoformat(end), zone, skip=False)

    found = quiet_until(quiet, datetime.fromisoformat(at), {})

    assert found == (datetime.fromisoformat(until) if until is not None else None)


ZONES = st.sampled_from(["UTC", "Europe/Nicosia", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"])
TIMES = st.builds(time, st.integers(0, 23), st.integers(0, 59))
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))


@given(TIMES, TIMES, ZONES, MOMENTS)
def test_it_is_quiet_until_a_moment_that_is_not_and_never_longer_than_a_day_and_an_hour(start, end, zone, at):
    if start == end:
        return
    quiet = Quiet(start, end, zone, skip=False)
    until = quiet_until(quiet, at, {})
    local = at.astimezone(ZoneInfo(zone)).time()
    inside = start <= local < end if start < end else local >= start or local < end
    if until is None:
        put_back = quiet_until(quiet, at + timedelta(hours=1), {}) is None
        assert not inside or put_back
        return
    assert inside
    assert at < until <= at + timedelta(hours=25)
    if zone in {"UTC", "Asia/Kolkata"}:  # whose clocks are never put forward or back
        assert until.astimezone(ZoneInfo(zone)).time() == end
        assert quiet_until(quiet, until, {}) is None
        assert quiet_until(quiet, until - timedelta(microseconds=1), {}) == until
