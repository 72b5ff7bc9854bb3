"""The best day's share, and windows that begin with an event, against an oracle that looks at every fact again."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

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
    share,
)
from unit.engine.desk import MORNING, Desk, a_workflow

from hub.clock import from_us, to_us
from hub.engine.explain import explain
from hub.engine.load import load_text
from hub.engine.program import Calendar, Lifetime, Since, Sliding

VECTORS = Path(__file__).parents[2] / "vectors" / "consistency.json"
NUMBERS = [Decimal(text) for text in ("100", "-40", "2.50", "0", "-0.01")]
FUNCTIONS = ["sum", "count", "min", "max", "avg", "last", "distinct", "distinct_days", "best_day_share"]
CENT = Decimal("0.01")


stories = st.lists(
    st.tuples(
        st.integers(0, 5 * 24 * 2).map(lambda half: half * HOUR // 2),  # when it happened
        st.sampled_from(NUMBERS),
        st.integers(0, 48),  # hours it came late
        st.none() | st.integers(0, 60),  # hours until it was taken back
        st.booleans(),  # whether it is the event a window begins with
    ),
    max_size=25,
)


def told(story, base, *, retract):
    found = []
    for number, (offset, value, late, back, begins) in enumerate(story):
        at = base + offset
        found.append((at + late * HOUR, 0, number, at, None if begins else value))
        if back is not None and retract and not begins:
            found.append((at + back * HOUR, 1, number, at + back * HOUR, None))
    return sorted(found, key=lambda item: item[:3])


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@given(
    story=stories, base=st.sampled_from(BASES), retract=st.booleans(), restarts=st.sets(st.integers(0, 50))
)
def test_the_best_days_share_is_that_of_the_facts_whatever_their_order(
    window, story, base, retract, restarts
):
    hub = Hub(an_aggregate("best_day_share", window, retract=retract))
    facts, expiry = Facts(hub), None
    for order, (now, back, number, at, value) in enumerate(told(story, base, retract=retract)):
        while expiry is not None and expiry <= now:
            change = hub.accumulator.expire(hub.holding, expiry)
            assert change.value == share(facts.shown_by(window, expiry))
            hub.put(change)
            expiry = change.expiry
        if back:
            change = facts.take_back(number, at, now)
        else:
            profit = Decimal(1) if value is None else value
            change = facts.tell(number, at, profit, now, ref=str(number), order=order)
        hub.put(change)
        if order in restarts:
            hub.restart()
        worth = share(facts.shown_by(window, now))
        assert hub.accumulator.value(hub.holding, now) == worth
        if change is not None:
            assert change.value == worth
            expiry = change.expiry


@pytest.mark.parametrize("function", FUNCTIONS)
@given(
    story=stories,
    base=st.sampled_from(BASES),
    retract=st.booleans(),
    missing=st.booleans(),
    restarts=st.sets(st.integers(0, 50)),
)
def test_since_the_latest_event_counts_what_happened_after_it_whatever_the_order(
    function, story, base, retract, missing, restarts
):
    window = Since("balance.deposited", None, missing)
    hub = Hub(an_aggregate(function, window, retract=retract))
    facts, start = Facts(hub), None
    for order, (now, back, number, at, value) in enumerate(told(story, base, retract=retract)):
        if value is None and not back:
            change = hub.accumulator.begin(hub.holding, at, now)
            assert (change is None) is (start is not None and at <= start)
            start = at if start is None else max(start, at)
        elif back:
            change = facts.take_back(number, at, now)
        else:
            ref = str(number) if retract else f"n{order}"
            change = facts.tell(number, at, value, now, ref=ref, order=order)
        hub.put(change)
        if order in restarts:
            hub.restart()
        begun = start
        counted = facts.where(lambda at, begun=begun: begun is None or at > begun)
        worth = None if missing and start is None else expected(function, counted)
        assert hub.accumulator.value(hub.holding, now) == worth
        if change is not None:
            assert (change.value, change.expiry) == (worth, None)


def share_of(best, total):
    """Return what the hub makes of one best day and as many smaller ones as the rest of the total takes."""
    hub = Hub(an_aggregate("best_day_share", Lifetime(), retract=False))
    for day, profit in enumerate((best, *[(total - best) / 4] * 4)):
        hub.put(hub.accumulator.add(hub.holding, day * DAY, str(day), profit, 5 * DAY))
    return hub.accumulator.value(hub.holding, 5 * DAY)


def test_the_vectors_of_consistency_rules_hold():
    for vector in json.loads(VECTORS.read_text(encoding="utf-8")):
        if "days" not in vector:  # what total a best day needs: the same rule, turned round
            needed, limit = Decimal(vector["required_total"]), Decimal(vector["limit_pct"])
            assert share_of(Decimal(vector["best"]), needed + CENT) <= limit
            assert share_of(Decimal(vector["best"]), needed - CENT) > limit
            continue
        hub = Hub(an_aggregate("best_day_share", Calendar("month", "Europe/Prague"), retract=False))
        now = to_us(datetime(2026, 3, 20, tzinfo=UTC))
        for day, profit in enumerate(vector["days"]):
            at = to_us(datetime(2026, 3, 2 + day, 12, tzinfo=UTC))
            for half in (profit - 100, 100):
                hub.put(hub.accumulator.add(hub.holding, at, f"{day}:{half}", Decimal(half), now))
        value = hub.accumulator.value(hub.holding, now)
        assert value == Decimal(vector["pct"])
        limit = Decimal(vector["limit_pct"])
        assert (value <= limit) is vector.get("ok", vector.get("ok_le"))
        assert (value < limit) is vector.get("ok", vector.get("ok_lt"))


def test_a_total_of_nothing_or_less_has_no_best_days_share():
    hub = Hub(an_aggregate("best_day_share", Lifetime(), retract=True))
    assert hub.accumulator.value(hub.holding, 0) is None
    hub.put(hub.accumulator.add(hub.holding, 0, "1", Decimal(5), 0))
    hub.put(hub.accumulator.add(hub.holding, DAY, "2", Decimal(-5), DAY))
    assert hub.accumulator.value(hub.holding, DAY) is None
    hub.put(hub.accumulator.withdraw(hub.holding, DAY, "2", DAY))
    assert hub.accumulator.value(hub.holding, DAY) == 100


@pytest.mark.parametrize("base", BASES)
def test_the_hours_of_a_day_of_23_or_25_are_one_day(base):
    hub = Hub(an_aggregate("best_day_share", Lifetime(), retract=False))
    midnight = datetime.combine(
        from_us(base).date() + timedelta(days=1), datetime.min.time(), ZoneInfo("Europe/Prague")
    )
    first, end = to_us(midnight), to_us(midnight + timedelta(days=1))
    for number, at in enumerate((first - 1, first, end - 1, end)):
        hub.put(hub.accumulator.add(hub.holding, at, str(number), Decimal(1), end))
    assert hub.accumulator.value(hub.holding, end - 1) == 50  # the two within, of four


def test_many_days_are_merged_and_keep_their_sum_and_the_best_of_them(monkeypatch):
    monkeypatch.setattr("hub.engine.shares.MAX_DAYS", 10)
    hub = Hub(an_aggregate("best_day_share", Lifetime(), retract=False))
    for day in range(200):
        profit = Decimal(50 if day == 3 else 1)
        hub.put(hub.accumulator.add(hub.holding, day * DAY, "x", profit, day * DAY))
        hub.restart()
    assert hub.total is not None
    assert len(hub.total.buckets) == 10
    assert hub.accumulator.value(hub.holding, 200 * DAY) == pytest.approx(Decimal(5000) / 249)


@pytest.mark.parametrize("window", [Sliding(timedelta(days=300)), Lifetime()], ids=str)
def test_many_contributions_are_merged_by_day_and_the_share_stays(window, monkeypatch):
    monkeypatch.setattr("hub.engine.shares.MAX_CONTRIBUTIONS", 20)
    hub = Hub(an_aggregate("best_day_share", window, retract=True))
    facts = []
    for number in range(200):
        at = number * 6 * HOUR
        facts.append((at, number, VALUES[0] * (number % 7)))
        hub.put(hub.accumulator.add(hub.holding, at, str(number), facts[-1][2], at))
        assert hub.accumulator.value(hub.holding, at) == share(facts)
    assert hub.series is not None
    assert len(hub.series) <= 60


# In workflows

DRAINED = """
aggregates:
  lost: {from: trade.closed, sum: -event.net_profit, window: {since: {event: balance.deposited, where: event.amount >= 100%s}}}
when: [{becomes: lost > 500}]
steps: [{do: event.publish, with: {type: custom.drained, data: {lost: = lost}}}]
"""


def lose(desk, amount, **fields):
    return desk.tell("trade.closed", deal=len(desk.inputs) + 1, net_profit=f"-{amount}", **fields)


def test_what_was_lost_before_the_latest_deposit_is_out():
    desk = Desk(a_workflow(DRAINED % ""))
    lose(desk, "400")
    desk.tell("balance.deposited", amount="50", at=MORNING + timedelta(hours=1))
    desk.tell("balance.deposited", amount="100", at=MORNING + timedelta(hours=2))
    assert lose(desk, "200") == []  # in the same moment: out
    assert lose(desk, "500", at=MORNING + timedelta(hours=3)) == []
    assert len(lose(desk, "0.01", at=MORNING + timedelta(hours=4))) == 1


def test_before_the_first_such_event_nobody_may_know():
    desk = Desk(a_workflow(DRAINED % ", else: missing"))
    assert lose(desk, "900") == []
    assert "lost" in desk.program.feeds[next(iter(desk.program.feeds))].aggregate.name
    desk.tell("balance.deposited", amount="100", timestamp=MORNING - timedelta(days=1))  # told late
    assert len(desk.traces("fired")) == 0  # it was unknown, and is now seen for the first time
    desk.tell("balance.deposited", amount="100", at=MORNING + timedelta(hours=1))
    assert len(lose(desk, "501", at=MORNING + timedelta(hours=2))) == 1


CONSISTENT = """
aggregates:
  best: {from: trade.closed, best_day_share: {of: event.net_profit, tz: Europe/Prague}, window: lifetime}
when: [{becomes: best < 40}]
steps: [{do: event.publish, with: {type: custom.consistent, data: {best: = best}}}]
"""


def test_a_consistency_rule_is_written_with_it_and_explained():
    workflow = a_workflow(CONSISTENT)
    desk = Desk(workflow)
    for day, profit in enumerate(("400", "300", "200", "50", "50")):
        desk.tell("trade.closed", deal=day + 1, net_profit=profit, at=MORNING + timedelta(days=day))
    assert desk.traces("fired") == []
    assert len(desk.tell("trade.closed", deal=9, net_profit="10", at=MORNING + timedelta(days=6))) == 1
    text = explain(workflow).text()
    assert (
        "best: what part of the sum of net profit the best day made, in percent, over every trade.closed, by the clock of Europe/Prague, since the hub began to count."
        in text
    )


def test_a_window_since_an_event_is_explained():
    text = explain(a_workflow(DRAINED % "")).text()
    assert (
        "since the latest balance.deposited where amount is at least 100 (before the first, everything counts)"
        in text
    )


@pytest.mark.parametrize(
    ("aggregate", "complaint"),
    [
        ("{from: trade.closed, best_day_share: event.net_profit, window: lifetime}",
         "only a calendar window has days of its own: write `best_day_share: {of: event.net_profit, tz: Europe/Prague}`"),
        ("{from: trade.closed, best_day_share: {of: event.symbol, tz: UTC}, window: lifetime}",
         "this is text, but a number is needed here"),
        ("{from: trade.closed, sum: event.lots, window: {since: {event: balance.deposit}}}",
         "unknown event type `balance.deposit`; did you mean balance.deposited?"),
        ("{from: trade.closed, sum: event.lots, window: {since: {event: balance.*}}}",
         "one type of event is needed here, not the pattern `balance.*`"),
        ("{from: trade.closed, sum: event.lots, window: {since: {event: trade.cancelled}}, retract: {event: trade.cancelled, ref: event.deal}}",
         "`trade.cancelled` takes back already"),
        ("{from: trade.closed, sum: event.lots, window: {since: {event: balance.deposited, when: x}}}",
         "unknown key `when`; did you mean where?"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_such_an_aggregate_is_said(aggregate, complaint):
    text = f"schema: 1\nid: rule\ntitle: t\naggregates:\n  n: {aggregate}\nwhen: [{{becomes: n > 1}}]\nsteps: [{{do: event.publish, with: {{type: custom.x}}}}]\n"
    messages = [problem.message for problem in load_text(text, "rule.yaml").problems]
    assert complaint in messages, messages


# By the name of an anchor

ANCHORED = """
anchors: {base: {take: account.balance, %s}}
aggregates: {lost: {from: trade.closed, sum: -event.net_profit, window: %s}}
when: [{becomes: lost > 500}]
steps: [{do: event.publish, with: {type: custom.drained, data: {lost: = lost}}}]
"""
DAILY = 'daily_at: "17:00", tz: America/New_York'
PAID = "event: balance.deposited, where: event.amount >= 100"


@pytest.mark.parametrize(
    ("taken", "window"),
    [
        (DAILY, '{calendar: day, tz: America/New_York, daily_at: "17:00"}'),
        (PAID, "{since: {event: balance.deposited, where: event.amount >= 100}}"),
    ],
)
def test_a_window_since_an_anchor_is_the_one_that_says_itself_when_it_begins(taken, window):
    (named,) = a_workflow(ANCHORED % (taken, "{since: {anchor: base}}")).aggregates
    (said,) = a_workflow(ANCHORED % (taken, window)).aggregates

    assert named.window == said.window or named.window.where.text == said.window.where.text
    assert named.id == said.id  # an edit from one to the other counts nothing anew


def test_what_was_lost_before_the_day_the_anchor_was_taken_is_out():
    desk = Desk(a_workflow(ANCHORED % (DAILY, "{since: {anchor: base}}")))
    day = datetime(2026, 3, 9, 21, tzinfo=UTC)  # 17:00 in New York, the day after clocks went forward
    desk.tell("trade.closed", deal=1, net_profit="-400", at=day - timedelta(seconds=1))
    assert lose(desk, "500", at=day) == []
    assert len(lose(desk, "0.01", at=day + timedelta(hours=23, minutes=59))) == 1


def test_what_was_lost_before_the_event_the_anchor_was_taken_at_is_out():
    desk = Desk(a_workflow(ANCHORED % (PAID, "{since: {anchor: base}}")))
    lose(desk, "400")
    desk.tell("balance.deposited", amount="50", at=MORNING + timedelta(hours=1))
    desk.tell("balance.deposited", amount="100", at=MORNING + timedelta(hours=2))
    assert lose(desk, "500", at=MORNING + timedelta(hours=3)) == []
    assert len(lose(desk, "0.01", at=MORNING + timedelta(hours=4))) == 1


@pytest.mark.parametrize(
    ("taken", "name", "complaints"),
    [
        (DAILY, "bases", ["there is no anchor `bases`; did you mean base?"]),
        ("once: true", "base", ["a window begins with an anchor that is taken when a day begins, or at an event, and `base` is not"]),
        ("event: balance.*", "base", ["one type of event is needed here, not the pattern `balance.*`"]),
        ('daily_at: "17:00", tz: Mars/Base', "base", ["unknown time zone `Mars/Base`; write it by name, such as Europe/Nicosia"]),
        ("event: balance.deposited, where: event.amuont > 1", "base", ["unknown field event.amuont; did you mean event.amount?"]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_window_since_an_anchor_is_said_once(taken, name, complaints):
    head = "schema: 1\nid: rule\ntitle: t\n"
    report = load_text(head + ANCHORED % (taken, f"{{since: {{anchor: {name}}}}}"), "rule.yaml")

    assert [problem.message for problem in report.problems if problem.severity == "error"] == complaints


def test_an_anchor_that_only_a_window_begins_with_is_read():
    text = ANCHORED % (DAILY, "{since: {anchor: base}}")
    report = load_text("schema: 1\nid: rule\ntitle: t\n" + text, "rule.yaml")

    assert not any("nothing reads" in problem.message for problem in report.problems)
