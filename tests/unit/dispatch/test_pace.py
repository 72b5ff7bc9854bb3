"""An endpoint's rate is never exceeded, and one that is overrun is given less until it bears more."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.clock import SECOND_US
from hub.dispatch.delivery import Aborted, Delivered, ErrorClass, Refused, Unreachable
from hub.dispatch.pace import FIRST_REST_US, LONGEST_REST_US, TRIPS_AFTER, Pace, TokenBucket

NOW = 1_750_000_000_000_000
OK = Delivered(200, 1)
DOWN = Refused(500, 1)
LOST = Unreachable(ErrorClass.TIMEOUT, "", 1)


def a_pace(most=16, rate=None, burst=None, now=NOW):
    pace = Pace(Random(1))
    pace.settle_on(most, rate, burst, now)
    return pace


def sent_within(bucket, start, end):
    """Return the moments of all attempts a sender makes that always has one to make."""
    moments, now = [], start
    while (now := max(now, bucket.free_at(now))) < end:
        bucket.take(now)
        moments.append(now)
    return moments


@pytest.mark.parametrize(("rate", "burst"), [(0.5, 1), (3, 1), (7, 5), (50, None), (333.3, 100)])
def test_over_a_long_run_as_many_go_as_were_asked_for_and_not_one_more(rate, burst):
    seconds = 2_000
    moments = sent_within(TokenBucket(rate, burst, NOW), NOW, NOW + seconds * SECOND_US)

    assert rate * seconds * 0.99 <= len(moments) <= rate * seconds


@given(
    st.sampled_from([0.7, 3.0, 12.5, 100.0]),
    st.integers(1, 40) | st.none(),
    st.lists(st.integers(0, 3_000_000), max_size=40),
)
def test_between_any_two_moments_no_more_go_than_the_rate_and_one_burst(rate, burst, waits):
    bucket, now, moments = TokenBucket(rate, burst, NOW), NOW, []
    for wait in waits:  # idle now and then, and then as many as it lets through
        now += wait
        for _ in range(60):
            if bucket.free_at(now) > now:
                break
            bucket.take(now)
            moments.append(now)

    many = max(-(-int(rate * 10) // 10), 1) if burst is None else burst
    for first in range(len(moments)):
        for last in range(first, len(moments)):
            passed = (moments[last] - moments[first]) / SECOND_US
            assert last - first + 1 <= rate * passed + many + 1e-6


def test_restarts_again_and_again_win_nobody_a_burst():
    rate, sent, now = 20, 0, NOW
    dice = Random(3)
    end = NOW + 3_600 * SECOND_US
    while now < end:
        until = min(now + int(dice.uniform(0.05, 20) * SECOND_US), end)
        sent += len(sent_within(TokenBucket(rate, 100, now), now, until))
        now = until

    assert sent <= rate * 3_600


def test_a_clock_that_is_set_back_stops_nobody_for_long():
    bucket = TokenBucket(10, 10, NOW)
    sent_within(bucket, NOW, NOW + 60 * SECOND_US)

    assert bucket.free_at(NOW - 3_600 * SECOND_US) <= NOW - 3_599 * SECOND_US


def test_those_that_were_on_their_way_together_halve_the_limit_once():
    pace = a_pace()
    for n in range(16):
        pace.ended(DOWN, NOW, NOW + 100 + n)
    assert pace.limit == 8

    pace.ended(Refused(429, 1), NOW + 200, NOW + 300)
    assert pace.limit == 4


def test_each_round_of_successes_gives_one_back_until_all_is_as_it_was():
    pace = a_pace(most=4)
    pace.ended(LOST, NOW, NOW + 1)
    assert (pace.limit, pace.unwell) == (2, True)

    for _ in range(2 + 3):
        pace.ended(OK, NOW, NOW)
    assert (pace.limit, pace.unwell) == (4, False)


def test_who_says_no_to_one_event_is_not_overrun():
    pace = a_pace()
    for outcome in (
        Refused(400, 1),
        Refused(302, 1),
        Aborted(500, 1),
        Unreachable(ErrorClass.BLOCKED, "", 0),
    ):
        pace.ended(outcome, NOW, NOW)

    assert (pace.limit, pace.unwell, pace.not_before) == (16, False, 0)


def test_after_ten_failures_in_a_row_it_rests_longer_each_time_and_a_success_ends_that():
    pace, now, rests = a_pace(most=1), NOW, []
    for _ in range(TRIPS_AFTER + 10):
        now = max(now + 1_000, pace.not_before)
        pace.ended(LOST, now, now + 10)
        if pace.rests_until > now:
            rests.append(pace.rests_until - now - 10)

    assert FIRST_REST_US <= rests[0] <= FIRST_REST_US * 1.2
    assert rests == sorted(rests[:7]) + rests[7:]
    assert all(LONGEST_REST_US <= rest <= LONGEST_REST_US * 1.2 for rest in rests[7:])

    pace.ended(OK, now, now + 20)
    assert pace.not_before == 0


def test_a_pause_that_was_asked_for_outlives_a_success_and_a_shorter_pause():
    pace = a_pace()
    pace.pause(NOW + 500, NOW)
    pace.pause(NOW + 300, NOW)
    pace.ended(DOWN, NOW, NOW)
    pace.ended(OK, NOW, NOW)

    assert pace.not_before == NOW + 500


def test_a_change_of_settings_forgets_nothing_that_was_learnt():
    pace = a_pace(most=16, rate=5.0)
    pace.ended(DOWN, NOW, NOW + 1)
    bucket = pace.bucket
    pace.settle_on(12, 5.0, None, NOW + 2)
    assert (pace.limit, pace.bucket is bucket) == (8, True)

    pace.settle_on(4, 6.0, None, NOW + 3)
    assert (pace.limit, pace.bucket is bucket) == (4, False)
    pace.settle_on(4, None, None, NOW + 3)
    assert (pace.bucket, pace.not_before) == (None, 0)


def test_a_clock_that_is_set_back_makes_no_pause_longer_and_none_shorter():
    pace = a_pace()
    pace.pause(NOW + 500, NOW)
    earlier = NOW - 3_600 * SECOND_US
    pace.look(earlier)
    assert pace.not_before == earlier + 500

    pace.pause(earlier - 10 + 900, earlier - 10)
    assert pace.not_before == earlier - 10 + 900
    pace.look(earlier + 300)
    assert pace.not_before == earlier - 10 + 900


def test_a_rest_that_begins_with_the_clock_set_back_is_as_long_as_any():
    pace = a_pace(most=1)
    for _ in range(TRIPS_AFTER):
        pace.ended(LOST, NOW, NOW)
    earlier = NOW - 3_600 * SECOND_US
    pace.ended(LOST, earlier, earlier)

    assert earlier + 2 * FIRST_REST_US <= pace.not_before <= earlier + 2.4 * FIRST_REST_US
