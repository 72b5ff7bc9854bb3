"""Moments of a schedule: by a local clock, with the days on which it is put forward and back."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.clock import SECOND_US, iso, to_us
from hub.engine import cron

NICOSIA = "Europe/Nicosia"  # put forward on 2026-03-29 at 03:00, back on 2026-10-25 at 04:00


def moments(text, zone, start, count):
    found, at = [], to_us(datetime.fromisoformat(start))
    for _ in range(count):
        at = cron.next_after(text, zone, at)
        found.append(iso(at).removesuffix(":00.000Z"))
    return found


def test_nine_in_nicosia_is_nine_there_in_winter_and_in_summer():
    assert moments("0 9 * * *", NICOSIA, "2026-03-27T12:00Z", 3) == [
        "2026-03-28T07:00",
        "2026-03-29T06:00",
        "2026-03-30T06:00",
    ]


def test_a_time_that_does_not_exist_is_the_first_moment_that_does():
    # 03:30 of that day would be 01:30 UTC; the clock jumps from 03:00 to 04:00 at 01:00 UTC.
    assert moments("30 3 * * *", NICOSIA, "2026-03-28T12:00Z", 2) == ["2026-03-29T01:00", "2026-03-30T00:30"]


def test_a_time_that_comes_twice_is_its_first_coming():
    assert moments("30 3 * * *", NICOSIA, "2026-10-24T12:00Z", 2) == ["2026-10-25T00:30", "2026-10-26T01:30"]
    # Asked between the two comings, the next one is tomorrow's.
    assert moments("30 3 * * *", NICOSIA, "2026-10-25T01:10Z", 1) == ["2026-10-26T01:30"]


def test_what_names_no_hour_follows_real_time_the_hour_that_is_repeated_too():
    assert moments("0 * * * *", NICOSIA, "2026-10-24T23:30Z", 4) == [
        "2026-10-25T00:00",
        "2026-10-25T01:00",
        "2026-10-25T02:00",
        "2026-10-25T03:00",
    ]


def test_several_times_that_do_not_exist_are_one_moment():
    assert moments("0,30 3,4 * * *", NICOSIA, "2026-03-28T22:30Z", 2) == [
        "2026-03-29T01:00",
        "2026-03-29T01:30",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("* * * * * *", "no finer than a minute"),
        ("0 9 * *", "has five fields"),
        ("60 9 * * *", "its minute cannot be read"),
        ("0 9 * * fryday", "its day-of-week cannot be read"),
        ("0 0 30 2 *", "its day-of-month cannot be read"),
        ("0 9 L/2 * *", None),
        ("0 9 * * mon-fri", None),
    ],
)
def test_what_is_wrong_with_a_schedule_is_said(text, said):
    problem = cron.problem(text)

    assert (problem is None) is (said is None)
    assert said is None or said in problem


@given(st.text(max_size=30))
def test_whatever_is_written_is_a_schedule_or_is_said_not_to_be(text):
    if cron.problem(text) is None:
        assert cron.next_after(text, NICOSIA, 0) is not None


SCHEDULES = st.sampled_from(
    [
        "* * * * *",
        "*/5 * * * *",
        "0 9 * * mon-fri",
        "30 3 * * *",
        "0,30 2-4 * * *",
        "0 0 1 * *",
        "0 */6 * * *",
    ]
)


@given(
    SCHEDULES,
    st.datetimes(datetime(2026, 3, 20), datetime(2026, 11, 10)),
    st.timedeltas(timedelta(), timedelta(hours=20)),
    st.integers(1, 20),
)
def test_the_last_moments_of_a_span_are_those_that_come_one_after_the_other(text, begin, length, most):
    since = to_us(begin.replace(tzinfo=UTC))
    until = since + length // timedelta(microseconds=1)
    every, at = [], cron.next_after(text, NICOSIA, since - 1)
    while at <= until:
        every.append(at)
        at = cron.next_after(text, NICOSIA, at)

    found = cron.latest(text, NICOSIA, since, until, most)

    assert list(found) == every[-most:]
    assert all(later - earlier >= 60 * SECOND_US for earlier, later in itertools.pairwise(every))


def test_looking_back_over_ten_years_of_minutes_costs_as_much_as_what_is_found():
    until = to_us(datetime(2026, 1, 1, tzinfo=UTC))

    assert len(cron.latest("* * * * *", "UTC", 0, until, 101)) == 101
