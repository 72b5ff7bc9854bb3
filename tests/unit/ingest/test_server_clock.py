"""From a server's clock to UTC, across the changes of its zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from hub.clock import ManualClock, to_us
from hub.errors import RecordMalformed
from hub.ingest.server_clock import ServerClock, display, resolve, seconds, written

NICOSIA = "Europe/Nicosia"
TWO, THREE = timedelta(hours=2), timedelta(hours=3)


def shown(text: str) -> int:
    return written(text, "test")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("server", "now", "measured", "expected"),
    [
        ("2026-06-23T12:00:00", "2026-06-23T09:00:00", None, "2026-06-23T09:00:00"),
        ("2026-01-15T12:00:00", "2026-06-23T09:00:00", THREE, "2026-01-15T10:00:00"),
        # 25 October 2026, 04:00 becomes 03:00: 03:30 is shown twice.
        ("2026-10-25T03:30:00", "2026-10-25T00:30:00", THREE, "2026-10-25T00:30:00"),
        ("2026-10-25T03:30:00", "2026-10-25T01:30:00", TWO, "2026-10-25T01:30:00"),
        ("2026-10-25T03:30:00", "2026-10-25T00:31:00", None, "2026-10-25T00:30:00"),
        ("2026-10-25T03:30:00", "2026-10-25T01:31:00", None, "2026-10-25T01:30:00"),
        ("2026-10-25T03:30:00", "2026-10-25T01:05:00", TWO, "2026-10-25T00:30:00"),
        # 29 March 2026, 03:00 becomes 04:00: a server that shows 03:30 did not follow.
        ("2026-03-29T03:30:00", "2026-03-29T01:30:00", TWO, "2026-03-29T01:30:00"),
        ("2026-03-29T03:30:00", "2026-03-29T01:30:00", None, "2026-03-29T01:30:00"),
        # The server follows New York's dates: an hour ahead of the zone for three weeks in March.
        ("2026-03-15T12:00:00", "2026-03-15T09:00:00", THREE, "2026-03-15T09:00:00"),
        ("2026-02-15T12:00:00", "2026-03-15T09:00:00", THREE, "2026-02-15T10:00:00"),
    ],
)
def test_the_zone_knows_the_past_and_the_measurement_knows_now(
    server: str, now: str, measured: timedelta | None, expected: str
):
    at = shown(server)

    offset = resolve(at, zone=ZoneInfo(NICOSIA), configured=None, measured=measured, now=utc(now))

    assert at - offset // timedelta(microseconds=1) == to_us(utc(expected))


def test_without_a_zone_the_measured_offset_counts_and_else_the_configured_one():
    clock = ServerClock(ManualClock(utc("2026-06-23T09:00:00")), utc_offset=TWO)
    assert clock.to_utc(shown("2026-06-23T12:00:00")) == utc("2026-06-23T10:00:00")

    clock.measure(THREE)

    assert clock.to_utc(shown("2026-06-23T12:00:00")) == utc("2026-06-23T09:00:00")
    assert clock.now() == shown("2026-06-23T12:00:00")


def test_a_measurement_is_news_when_it_changes_or_is_not_what_was_configured():
    manual = ManualClock(utc("2026-06-23T09:00:00"))
    agreeing = ServerClock(manual, zone=NICOSIA)
    differing = ServerClock(manual, zone="UTC")

    assert agreeing.measure(THREE) is None
    assert agreeing.measure(THREE) is None
    change = agreeing.measure(TWO)
    assert change is not None
    assert (change.before, change.after) == (THREE, TWO)
    assert differing.measure(THREE) is not None
    assert differing.measure(THREE) is None, "once"


def test_an_offset_no_zone_has_is_refused():
    clock = ServerClock(ManualClock(utc("2026-06-23T09:00:00")), zone=NICOSIA)

    with pytest.raises(RecordMalformed):
        clock.measure(timedelta(hours=20))


def test_a_few_agreeing_facts_measure_the_offset_and_one_alone_does_not():
    clock = ServerClock(ManualClock(utc("2026-06-23T09:00:00")), zone="UTC")
    just_now = shown("2026-06-23T12:00:03")

    assert clock.infer(just_now) is None
    assert clock.infer(shown("2026-06-23T11:37:00")) is None, "no quarter of an hour: something old"
    assert clock.infer(just_now) is None
    assert clock.measured is None
    change = clock.infer(just_now)

    assert change is not None
    assert clock.measured == THREE


def test_times_of_the_wire():
    assert seconds(0, "t") == 0
    assert written("0001-01-01T00:00:00", "t") == 0
    assert written("2026-06-23T12:00:00Z", "t") == written("2026-06-23T12:00:00", "t"), "its Z is not true"
    assert display(written("2026-06-23T12:00:00.123", "t")) == "2026-06-23T12:00:00.123"
    for bad in (-1, 10**12):
        with pytest.raises(RecordMalformed):
            seconds(bad, "t")
    with pytest.raises(RecordMalformed):
        written("soon", "t")
