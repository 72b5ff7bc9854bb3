"""The latest value, different values and days with an event, against an oracle that looks at every fact again."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.engine.aggregate_oracle import (
    BASES,
    DAY,
    HOUR,
    VALUES,
    WINDOWS,
    Facts,
    Hub,
    an_aggregate,
    expected,
)

from hub.clock import to_us
from hub.engine.accumulators import counting
from hub.engine.periods import Periods
from hub.engine.program import Calendar, Lifetime, Sliding, Tumbling

FUNCTIONS = ["last", "distinct", "distinct_days"]


stories = st.lists(
    st.tuples(
        st.integers(0, 5 * 24 * 2).map(
            lambda half: half * HOUR // 2
        ),  # when it happened; often at one moment
        st.sampled_from(VALUES),
        st.integers(0, 48),  # hours it came late
        st.none() | st.integers(0, 48),  # hours until it was told once more
        st.none() | st.integers(0, 60),  # hours until it was taken back
    ),
    max_size=25,
)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("window", WINDOWS, ids=str)
@given(
    story=stories, base=st.sampled_from(BASES), retract=st.booleans(), restarts=st.sets(st.integers(0, 80))
)
def test_whatever_the_order_it_is_worth_what_the_facts_are(window, function, story, base, retract, restarts):
    told = []
    for number, (offset, value, late, again, back) in enumerate(story):
        at = base + offset
        told.append((at + late * HOUR, 0, number, at, value))
        if again is not None:
            told.append((at + again * HOUR, 0, number, at, value))
        if back is not None and retract:
            told.append((at + back * HOUR, 1, number, at + back * HOUR, None))
    told.sort(key=lambda item: item[:3])
    hub = Hub(an_aggregate(function, window, retract=retract))
    facts, expiry = Facts(hub), None

    for order, (now, back, number, at, value) in enumerate(told):
        while expiry is not None and expiry <= now:  # its timer is an input of its own
            change = hub.accumulator.expire(hub.holding, expiry)
            assert change.value == expected(function, facts.shown_by(window, expiry))
            hub.put(change)
            expiry = change.expiry
        before = (
            hub.accumulator.value(hub.holding, expiry - 1) if expiry is not None and expiry > now else None
        )
        if before is not None:  # nothing may change before the timer that was promised
            assert before == hub.accumulator.value(hub.holding, now)
        if back:
            change = facts.take_back(number, at, now)
        else:
            ref = str(number) if retract else f"n{order}"
            change = facts.tell(number, at, value, now, ref=ref, order=order)
        hub.put(change)
        if order in restarts:
            hub.restart()

        worth = expected(function, facts.shown_by(window, now))
        assert hub.accumulator.value(hub.holding, now) == worth
        if change is not None:
            assert change.value == worth
            expiry = change.expiry
    if not retract and hub.series is not None and told:
        assert len(hub.series) <= 3 * len(VALUES)


@pytest.mark.parametrize("retract", [True, False])
@pytest.mark.parametrize(
    "window", [Sliding(timedelta(days=30)), Calendar("month", "UTC"), Lifetime()], ids=str
)
def test_beyond_the_cap_different_values_stay_at_it(window, retract, monkeypatch):
    monkeypatch.setattr("hub.engine.distinct.MAX_CONTRIBUTIONS", 100)
    hub = Hub(an_aggregate("distinct", window, retract=retract))
    base = to_us(datetime(2026, 6, 1, tzinfo=UTC))

    for number in range(300):
        at = base + number * 1_000_000
        hub.put(hub.accumulator.add(hub.holding, at, str(number), str(number), at))

    assert hub.series is not None
    assert len(hub.series) == 100
    assert hub.accumulator.value(hub.holding, base + 300_000_000) == 100


@pytest.mark.parametrize(
    "window", [Sliding(timedelta(days=30)), Calendar("month", "UTC"), Lifetime()], ids=str
)
def test_beyond_the_cap_what_is_told_again_and_again_makes_room_for_what_was_told_once(window, monkeypatch):
    monkeypatch.setattr("hub.engine.distinct.MAX_CONTRIBUTIONS", 100)
    monkeypatch.setattr("hub.engine.distinct.MERGED_AT_ONCE", 10)
    hub = Hub(an_aggregate("distinct", window, retract=True))
    base = to_us(datetime(2026, 6, 1, tzinfo=UTC))

    for number in range(500):
        at = base + number * 1_000_000
        value = "once" if number == 0 else str(number % 3)
        hub.put(hub.accumulator.add(hub.holding, at, str(number), value, at))

    assert hub.series is not None
    assert len(hub.series) <= 100
    assert hub.accumulator.value(hub.holding, base + 500_000_000) == 4


def test_beyond_the_cap_the_latest_value_forgets_the_oldest_contributions(monkeypatch):
    monkeypatch.setattr("hub.engine.latest.MAX_CONTRIBUTIONS", 10)
    hub = Hub(an_aggregate("last", Lifetime(), retract=True))

    for number in range(50):
        hub.put(hub.accumulator.add(hub.holding, number, str(number), Decimal(number), 100))
    for number in range(49, 40, -1):
        hub.put(hub.accumulator.withdraw(hub.holding, number, str(number), 100))

    assert hub.accumulator.value(hub.holding, 100) == 40
    assert hub.series is not None
    assert len(hub.series) == 1


@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_is_taken_back_before_it_came_is_remembered_only_so_often(function, monkeypatch):
    monkeypatch.setattr("hub.engine.frames.MAX_CONTRIBUTIONS", 10)
    hub = Hub(an_aggregate(function, Lifetime(), retract=True))

    for number in range(50):
        hub.put(hub.accumulator.withdraw(hub.holding, number, str(number), 100))

    assert hub.series is not None
    assert set(hub.series.withdrawn) == {str(number) for number in range(40, 50)}


def test_the_latest_value_comes_back_as_what_it_was():
    moment = datetime(2026, 3, 2, 10, tzinfo=UTC)
    for value in (Decimal("1.50"), "a:b", True, moment, timedelta(hours=2)):
        hub = Hub(an_aggregate("last", Lifetime(), retract=True))
        taken = value if isinstance(value, Decimal) else hub.accumulator.taken(value)
        hub.put(hub.accumulator.add(hub.holding, 1, "1", taken, 1))
        hub.restart()

        assert hub.accumulator.value(hub.holding, 1) == value


@pytest.mark.parametrize("value", [None, [1], {"a": 1}])
def test_what_is_no_value_contributes_nothing(value):
    for function in ("last", "distinct"):
        assert counting(an_aggregate(function, Lifetime(), retract=False)).taken(value) is None


def test_under_a_sliding_window_the_latest_value_runs_out_when_its_event_does():
    hub = Hub(an_aggregate("last", Sliding(timedelta(days=1)), retract=True))
    hub.put(hub.accumulator.add(hub.holding, 0, "1", Decimal(1), 0))

    change = hub.accumulator.add(hub.holding, HOUR, "2", Decimal(2), HOUR)
    assert change is not None
    assert change.expiry == HOUR + DAY
    hub.put(change)

    assert hub.accumulator.withdraw(hub.holding, 2 * HOUR, "2", 2 * HOUR).expiry == DAY


def test_a_tumbling_hour_begins_with_the_full_hour_in_utc():
    periods = Periods(Tumbling(timedelta(hours=1)))

    assert periods.span(HOUR) == (HOUR, 2 * HOUR)
    assert periods.span(2 * HOUR - 1) == (HOUR, 2 * HOUR)
    assert periods.span(-1) == (-HOUR, 0)
    assert periods.before((HOUR, 2 * HOUR)) == (0, HOUR)
