"""Aggregates against a brute-force oracle: whatever the order of arrival, the value is that of the facts."""

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.engine.aggregate_oracle import WINDOWS as EVERY_WINDOW
from unit.engine.aggregate_oracle import expected, shown, wall

from hub.clock import to_us
from hub.engine.accumulators import counting
from hub.engine.periods import Periods
from hub.engine.program import Aggregate, Calendar, Lifetime, Retract, Sliding
from hub.engine.series import Series
from hub.engine.windows import MAX_CONTRIBUTIONS, Change, Holding

HOUR = 3_600_000_000
DAY = 24 * HOUR
# Across the end of March: a month's end and the European clock change, 29 March 2026.
BASE = to_us(datetime(2026, 3, 28, tzinfo=UTC))


def an_aggregate(function, window, *, retract=True):
    taken_back = Retract("trade.cancelled", "event.deal") if retract else None
    return Aggregate("a", "a", "trade.closed", function, None, None, window, taken_back)


class Kept:
    """Holds what an accumulator says to hold."""

    def __init__(self, aggregate):
        self.accumulator = counting(aggregate)
        self.total, self.series = None, None

    @property
    def holding(self):
        return Holding(self.total, self.series)

    def put(self, change: Change | None):
        if change is None:
            return
        self.total = change.total if change.total is not None else self.total
        for op in change.ops:
            self.series = self.series if self.series is not None else Series()
            self.series.apply(op)

    def reloaded(self):
        """What is there after a restart: the same rows, read again."""
        other = Series()
        for part in self.series if self.series is not None else ():
            other.load(part.at, part.ref, part.text)
        for ref, at in (self.series.withdrawn if self.series is not None else {}).items():
            other.load(at, ref, "-")
        return Holding(self.total, other)


FUNCTIONS = ["sum", "count", "min", "max", "avg"]
WINDOWS = [
    *EVERY_WINDOW,
    Calendar("week", "Europe/Nicosia"),
    Calendar("quarter", "America/New_York", "17:00"),
]

facts = st.lists(
    st.tuples(
        st.integers(0, 5 * DAY // HOUR).map(lambda hour: BASE + hour * HOUR),  # when it happened
        st.decimals(-999, 999, places=2, allow_nan=False),
        st.integers(0, 48),  # hours it came late
        st.none() | st.integers(0, 48),  # hours until it was taken back
    ),
    max_size=25,
)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@given(facts=facts, function=st.sampled_from(FUNCTIONS))
def test_late_shuffled_and_retracted_facts_count_as_if_in_order(window, facts, function):
    told = []
    for number, (at, value, late, back) in enumerate(facts):
        told.append((at + late * HOUR, "add", number, at, value))
        if back is not None:
            # The retraction may be told before what it takes back.
            told.append((at + back * HOUR, "back", number, at + back * HOUR, None))
    told.sort(key=lambda item: (item[0], item[1] == "back", item[2]))
    kept = Kept(an_aggregate(function, window))
    known, gone = {}, set()

    for now, what, number, at, value in told:
        if what == "add":
            change = kept.accumulator.add(kept.holding, at, str(number), value, now)
            known[number] = (at, value)
        else:
            change = kept.accumulator.withdraw(kept.holding, at, str(number), now)
            gone.add(number)
        kept.put(change)

        left = [(a, n, v) for n, (a, v) in known.items() if n not in gone]
        worth = expected(function, [fact for fact in left if shown(window, fact[0], now)])
        assert kept.accumulator.value(kept.holding, now) == worth
        assert kept.accumulator.value(kept.reloaded(), now) == worth
        if change is not None:
            assert change.value == worth


@given(facts=facts)
def test_without_retraction_a_calendar_keeps_the_period_before_as_well(facts):
    window = Calendar("day", "Europe/Nicosia")
    kept = Kept(an_aggregate("sum", window, retract=False))
    known = []
    now = BASE

    for number, (at, value, late, _) in enumerate(sorted(facts, key=lambda fact: fact[0] + fact[2] * HOUR)):
        now = at + late * HOUR
        kept.put(kept.accumulator.add(kept.holding, at, str(number), value, now))
        known.append((at, value))

        midnight = datetime.combine(wall(now, window.zone).date(), time(), ZoneInfo(window.zone))
        for moment in (now, to_us(midnight) - 1):
            assert kept.accumulator.value(kept.holding, moment) == sum(
                (v for a, v in known if shown(window, a, moment)), Decimal(0)
            )
    assert kept.series is None
    assert kept.total is None or len(kept.total.buckets) <= 2


def test_a_sliding_window_is_open_at_its_start_and_closed_at_its_end():
    kept = Kept(an_aggregate("sum", Sliding(timedelta(days=7))))
    kept.put(kept.accumulator.add(kept.holding, BASE, "1", Decimal(5), BASE))

    assert kept.accumulator.value(kept.holding, BASE + 7 * DAY - 1) == 5
    assert kept.accumulator.value(kept.holding, BASE + 7 * DAY) == 0


def test_what_is_told_just_as_it_leaves_the_window_does_not_count():
    kept = Kept(an_aggregate("sum", Sliding(timedelta(days=7))))

    assert kept.accumulator.add(kept.holding, BASE, "1", Decimal(5), BASE + 7 * DAY) is None
    assert kept.accumulator.add(kept.holding, BASE + 1, "1", Decimal(5), BASE + 7 * DAY) is not None


def test_a_change_says_when_its_value_next_runs_out():
    kept = Kept(an_aggregate("sum", Sliding(timedelta(days=7))))

    first = kept.accumulator.add(kept.holding, BASE, "1", Decimal(5), BASE)
    kept.put(first)
    earlier = kept.accumulator.add(kept.holding, BASE - HOUR, "2", Decimal(1), BASE + HOUR)

    assert first is not None
    assert first.expiry == BASE + 7 * DAY
    assert earlier is not None
    assert earlier.expiry == BASE - HOUR + 7 * DAY


def test_a_month_runs_out_at_local_midnight():
    kept = Kept(an_aggregate("sum", Calendar("month", "Europe/Nicosia")))

    change = kept.accumulator.add(kept.holding, BASE, "1", Decimal(5), BASE)

    assert change is not None
    assert change.expiry == to_us(datetime(2026, 3, 31, 21, tzinfo=UTC))


def test_a_fact_of_a_period_nobody_can_read_any_more_changes_nothing():
    kept = Kept(an_aggregate("sum", Calendar("day", "UTC")))

    assert kept.accumulator.add(kept.holding, BASE - 3 * DAY, "1", Decimal(5), BASE) is None


def test_what_happens_in_the_future_counts_from_when_it_was_told():
    kept = Kept(an_aggregate("sum", Sliding(timedelta(hours=1))))

    change = kept.accumulator.add(kept.holding, BASE + HOUR // 2, "1", Decimal(5), BASE)

    assert change is not None
    assert (change.value, change.expiry) == (5, BASE + HOUR)


def test_a_sum_of_thirds_of_a_cent_is_exact_in_any_order():
    kept = Kept(an_aggregate("sum", Lifetime(), retract=False))
    values = [Decimal(10) ** 15, Decimal("0.0000000001"), -(Decimal(10) ** 15)]

    for number, value in enumerate(values):
        kept.put(kept.accumulator.add(kept.holding, BASE, str(number), value, BASE))

    assert kept.accumulator.value(kept.holding, BASE) == Decimal("0.0000000001")


@pytest.mark.parametrize("window", [Sliding(timedelta(days=30)), Calendar("month", "UTC")], ids=str)
def test_beyond_its_cap_the_oldest_contributions_are_merged_and_the_sum_stays(window, monkeypatch):
    monkeypatch.setattr("hub.engine.windows.MAX_CONTRIBUTIONS", 100)
    monkeypatch.setattr("hub.engine.merging.MERGED_AT_ONCE", 50)
    kept = Kept(an_aggregate("sum", window))

    for number in range(500):
        at = BASE + number * 1_000_000
        kept.put(kept.accumulator.add(kept.holding, at, str(number), Decimal("0.01"), at))

    assert kept.series is not None
    assert len(kept.series) <= 102
    assert kept.accumulator.value(kept.holding, BASE + 500_000_000) == Decimal("5.00")
    assert kept.accumulator.value(kept.reloaded(), BASE + 500_000_000) == Decimal("5.00")
    assert MAX_CONTRIBUTIONS == 20_000


# Calendars


@pytest.mark.parametrize(
    ("calendar", "moment", "start", "hours"),
    [
        (Calendar("day", "Europe/Nicosia"), "2026-03-29T12:00+00:00", "2026-03-28T22:00+00:00", 23),
        (Calendar("day", "Europe/Nicosia"), "2026-10-25T12:00+00:00", "2026-10-24T21:00+00:00", 25),
        (Calendar("day", "America/New_York", "17:00"), "2026-03-08T12:00+00:00", "2026-03-07T22:00+00:00", 23),
        (Calendar("day", "America/New_York", "17:00"), "2026-03-08T21:00+00:00", "2026-03-08T21:00+00:00", 24),
        (Calendar("month", "UTC"), "2028-02-29T23:59+00:00", "2028-02-01T00:00+00:00", 29 * 24),
        (Calendar("month", "UTC"), "2027-02-28T00:00+00:00", "2027-02-01T00:00+00:00", 28 * 24),
        (Calendar("week", "UTC"), "2026-03-01T12:00+00:00", "2026-02-23T00:00+00:00", 7 * 24),
        (Calendar("quarter", "UTC"), "2026-05-31T12:00+00:00", "2026-04-01T00:00+00:00", 91 * 24),
        (Calendar("year", "UTC"), "2028-12-31T12:00+00:00", "2028-01-01T00:00+00:00", 366 * 24),
        # Beirut's clocks jump from midnight to one: the day begins at the jump.
        (Calendar("day", "Asia/Beirut"), "2026-03-29T12:00+00:00", "2026-03-28T22:00+00:00", 23),
    ],
)  # fmt: skip
def test_a_period_runs_from_local_boundary_to_local_boundary(calendar, moment, start, hours):
    found = Periods(calendar).span(to_us(datetime.fromisoformat(moment)))

    assert found == (
        to_us(datetime.fromisoformat(start)),
        to_us(datetime.fromisoformat(start)) + hours * HOUR,
    )


@given(
    at=st.integers(to_us(datetime(2000, 1, 1, tzinfo=UTC)), to_us(datetime(2040, 1, 1, tzinfo=UTC))),
    period=st.sampled_from(["day", "week", "month", "quarter", "year"]),
    zone=st.sampled_from(["UTC", "Europe/Nicosia", "America/New_York", "Asia/Beirut", "Australia/Lord_Howe"]),
    daily_at=st.sampled_from(["00:00", "17:00", "02:30"]),
)
def test_periods_meet_without_gap_or_overlap(at, period, zone, daily_at):
    periods = Periods(Calendar(period, zone, daily_at))

    start, end = periods.span(at)

    assert start <= at < end
    assert periods.span(start) == periods.span(end - 1) == (start, end)
    assert periods.span(end)[0] == end
    assert periods.before((start, end))[1] == start
