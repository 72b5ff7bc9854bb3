from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.clock import SECOND_US, to_us
from hub.dispatch.schedule import LONGEST_WAIT_US, MOST_ASKED_US, WAITS, next_wait_us, parse_retry_after

NOW = datetime(2026, 6, 23, 9, 0, tzinfo=UTC)


def test_ten_attempts_are_made_within_three_and_a_half_days():
    assert len(WAITS) == 9
    assert sum(WAITS) == timedelta(hours=75, minutes=35, seconds=5).total_seconds()
    assert next_wait_us(9, WAITS, Random(1)) is not None
    assert next_wait_us(10, WAITS, Random(1)) is None


@given(st.integers(1, 9), st.integers(), st.integers(0, LONGEST_WAIT_US))
def test_jitter_and_retry_after_only_ever_add(attempts, seed, asked):
    wait = next_wait_us(attempts, WAITS, Random(seed), asked)

    base = int(WAITS[attempts - 1] * SECOND_US)
    assert wait >= max(base, asked)
    assert wait <= max(base * 1.2, asked)


def test_the_same_seed_gives_the_same_waits():
    first = [next_wait_us(n, WAITS, Random(7)) for n in range(1, 10)]

    assert first == [next_wait_us(n, WAITS, Random(7)) for n in range(1, 10)]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 120 ", 120),
        ("0", 0),
        ("999999", 604_800),
        (format_datetime(NOW + timedelta(minutes=2), usegmt=True), 120),
        (format_datetime(NOW - timedelta(minutes=2), usegmt=True), 0),
        (format_datetime(NOW + timedelta(days=40), usegmt=True), 604_800),
        ("Tuesday, 23-Jun-26 09:01:00 GMT", 60),
    ],
)
def test_both_forms_of_retry_after_are_understood(text, seconds):
    assert parse_retry_after(text, to_us(NOW)) == seconds * SECOND_US


def test_a_moment_is_meant_by_the_receivers_own_clock():
    behind = NOW - timedelta(minutes=10)
    asked = format_datetime(behind + timedelta(minutes=2), usegmt=True)

    assert parse_retry_after(asked, to_us(NOW), format_datetime(behind, usegmt=True)) == 120 * SECOND_US
    assert parse_retry_after(asked, to_us(NOW), "no date") == 0


@pytest.mark.parametrize(
    "text", [None, "", "soon", "-5", "1.5", "٣", "1e3", "9" * 100, "Tue, 99 Foo 2026", "\x00"]
)
def test_a_retry_after_that_makes_no_sense_is_as_if_it_were_not_there(text):
    assert parse_retry_after(text, to_us(NOW)) is None


@given(st.text(max_size=70))
def test_no_text_breaks_the_parser(text):
    wait = parse_retry_after(text, to_us(NOW))

    assert wait is None or 0 <= wait <= MOST_ASKED_US
