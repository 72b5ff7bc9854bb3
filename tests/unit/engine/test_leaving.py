"""What leaves a window is watched where it can matter, and fires and lets go at the same moments as if all of it were."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.engine.desk import MORNING, Desk, a_workflow

from hub.clock import to_us
from hub.engine import index

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
STEPS = "steps: [{do: event.publish, with: {type: custom.told, data: {why: x}}}]"


def counting(what, condition, *, scope=""):
    return a_workflow(
        f"{scope}\naggregates:\n  n: {{from: trade.closed, {what}, window: {{sliding: 24h}}}}\n"
        f'when: [{{id: t, becomes: "{condition}"}}]\n{STEPS}'
    )


def due(desk):
    (timer,) = desk.timers.values()
    return timer.due


def after_three_trades(workflow, lots="1"):
    desk = Desk(workflow)
    desk.account(type="real", balance="100")
    for hour in range(3):
        desk.tell("trade.closed", at=MORNING + hour * HOUR, lots=lots, net_profit="-10")
    return desk


@pytest.mark.parametrize(
    ("what", "condition"),
    [
        ("sum: event.lots", "n > 10"),
        ("sum: event.lots", "10 < n and account.balance > 5"),
        ("sum: event.lots", "not (n <= 10)"),
        ("sum: event.lots * 2 + 1", "n >= 50 or n > 60"),
        ("sum: abs(event.net_profit)", "n > 1000"),
        ("count: true", "n > 10"),
        ("max: event.lots", "n > 10"),
        ("distinct: event.symbol", "n > 10"),
    ],
)
def test_while_a_condition_that_counts_upwards_does_not_hold_one_timer_waits_for_all_to_leave(
    what, condition
):
    desk = after_three_trades(counting(what, condition))

    desk.until(MORNING + DAY)

    assert due(desk) == to_us(MORNING + 2 * HOUR + DAY)


@pytest.mark.parametrize(
    ("what", "condition"),
    [
        ("sum: event.net_profit", "n > 1000"),  # a loss that leaves makes it more
        ("sum: event.lots - 2", "n > 1000"),
        ("min: event.lots", "n > 10"),
        ("avg: event.lots", "n > 10"),
        ("sum: event.lots", "n < 1"),
        ("sum: event.lots", "n > 10 or n < 1"),
        ("sum: event.lots", "n * -1 > 1"),
        ("sum: event.lots", "n == 2"),
    ],
)
def test_where_something_that_leaves_can_make_a_condition_hold_the_first_to_leave_is_waited_for(
    what, condition
):
    desk = after_three_trades(counting(what, condition))

    desk.until(MORNING + DAY)

    assert due(desk) == to_us(MORNING + HOUR + DAY)


def test_a_condition_that_holds_lets_go_when_the_first_of_it_leaves():
    desk = after_three_trades(counting("sum: event.lots", "n > 2.5"))

    assert due(desk) == to_us(MORNING + DAY)
    desk.until(MORNING + DAY)
    assert [trace.reason for trace in desk.traces("armed")] == ["n > 2.5 is false (2 > 2.5)"]
    assert due(desk) == to_us(MORNING + HOUR + DAY)


def test_when_all_has_left_nothing_of_it_is_kept():
    desk = after_three_trades(counting("sum: event.lots", "n > 10"))

    desk.until(MORNING + 2 * HOUR + DAY)

    assert (desk.timers, desk.state.series) == ({}, {})


def test_a_workflow_that_counts_the_other_way_is_watched_from_when_it_is_live():
    upwards, downwards = counting("sum: event.lots", "n > 10"), counting("sum: event.lots", "n < 1")
    desk = after_three_trades(upwards)
    desk.until(MORNING + DAY)

    desk.switch(upwards, downwards)

    assert due(desk) == to_us(MORNING + HOUR + DAY)


CONDITIONS = ["n > 3", "n >= 2 and account.balance > 50", "not (n <= 4)", "n > 2 or account.balance < 10"]
script = st.lists(
    st.tuples(st.sampled_from(["trade", "trade", "wait", "late", "balance", "group"]), st.integers(0, 9)),
    max_size=40,
)


@settings(max_examples=120, deadline=None)
@given(
    script=script,
    what=st.sampled_from(["sum: event.lots", "count: true", "distinct: event.symbol", "max: event.lots"]),
    condition=st.sampled_from(CONDITIONS),
    scope=st.sampled_from(["", 'scope: account.group == "a"']),
    hold=st.sampled_from(["", ", for: 3h"]),
)
def test_it_fires_and_lets_go_as_if_every_leaving_were_watched(script, what, condition, scope, hold):
    def told():
        text = f"{scope}\naggregates:\n  n: {{from: trade.closed, {what}, window: {{sliding: 9h}}}}\n"
        desk = Desk(a_workflow(text + f'when: [{{id: t, becomes: "{condition}"{hold}}}]\n{STEPS}'))
        moment, group = MORNING, "a"
        desk.tell("account.updated", changed={"balance": {"after": "100"}}, group=group)
        for move, number in script:
            match move:
                case "wait":
                    moment += number * HOUR
                case "balance":
                    desk.tell(
                        "account.updated",
                        at=moment,
                        changed={"balance": {"after": str(number * 12)}},
                        group=group,
                    )
                case "group":
                    group = "a" if number > 3 else "b"
                case _:
                    at = moment - (number * HOUR if move == "late" else 0 * HOUR)
                    desk.tell(
                        "trade.closed",
                        at=moment,
                        timestamp=at,
                        lots=str(number),
                        symbol=f"S{number}",
                        group=group,
                    )
        desk.until(moment + 2 * DAY)
        rows = [(row.at, row.outcome) for made in desk.decisions for row in made.traces]
        return (
            rows,
            [(intent.key, intent.at) for made in desk.decisions for intent in made.intents],
            desk.timers,
        )

    late = told()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "only_lets_go", lambda *_: False)
        assert late == told()
