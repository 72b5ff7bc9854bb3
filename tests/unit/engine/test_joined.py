"""Asking many conditions at once finds exactly those that asking one by one would find."""

from unit.engine.desk import Desk, a_workflow

STEPS = "steps: [{do: event.publish, with: {type: custom.told, data: {rule: 1}}}]"
LOTS = "aggregates:\n  n: {from: trade.closed, sum: event.lots, window: {calendar: month, tz: UTC}}\n"


def asking(condition: str) -> str:
    return f"when: [{{event: trade.closed, where: {condition}}}]\n" + STEPS


def test_a_missing_value_in_one_condition_silences_no_other():
    desk = Desk(
        a_workflow(asking("account.leverage > 1"), id="unknown"),
        a_workflow(asking("event.lots > 100"), id="no"),
        a_workflow(asking("event.lots > 1"), id="yes"),
    )
    desk.account(type="real")

    assert [intent.workflow for intent in desk.tell("trade.closed", lots="2")] == ["yes"]


def test_an_aggregate_is_seen_whichever_side_of_and_it_stands_on():
    desk = Desk(
        a_workflow(LOTS + asking("n > 5 and event.lots > 1"), id="first"),
        a_workflow(LOTS + asking("event.lots > 1 and n > 5"), id="last"),
        a_workflow(LOTS + asking("event.lots > 1 and n > 50"), id="never"),
    )
    desk.account(type="real")

    assert [intent.workflow for intent in desk.tell("trade.closed", lots="4")] == []
    assert [intent.workflow for intent in desk.tell("trade.closed", lots="2")] == ["first", "last"]


def test_a_condition_that_asks_whether_an_aggregate_is_there_is_asked_beside_the_others():
    average = LOTS.replace("sum:", "avg:")
    desk = Desk(
        a_workflow(average + asking("has(n) and event.lots > 1"), id="has"),
        a_workflow(average + asking("event.lots > 100"), id="no"),
    )
    desk.account(type="real")

    assert [intent.workflow for intent in desk.tell("trade.closed", lots="2")] == ["has"]
