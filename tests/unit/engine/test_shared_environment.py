"""Conditions are asked in one environment: what one workflow calls by a name never answers for another."""

import pytest
from unit.engine.desk import Desk, a_workflow

STEPS = "steps: [{do: event.publish, with: {type: custom.told, data: {rule: 1}}}]"
LOTS = "aggregates:\n  n: {from: trade.closed, sum: event.lots, window: {calendar: month, tz: UTC}}\n"
TRADES = "aggregates:\n  n: {from: trade.closed, count: true, window: {calendar: month, tz: UTC}}\n"
OTHERS = {
    "a condition": "when: [{event: trade.closed, where: n > 1000}]",
    "a condition in an unproved scope": 'scope: account.type != "demo"\nwhen: [{event: trade.closed, where: n > 1000}]',
    "a level": "when: [{crosses: {value: account.equity, below: n * 10}}]",
    "a condition that turns": "when: [{becomes: n > 1000}]",
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
def test_two_aggregates_of_one_name_are_told_apart(other):
    asked = "when: [{event: trade.closed, where: n > 5}]\n" + STEPS
    desk = Desk(
        a_workflow(LOTS + "when: [{event: trade.closed, where: n > 100}]\n" + STEPS, id="a"),
        a_workflow(TRADES + other + "\n" + STEPS, id="b"),
        a_workflow(LOTS + asked, id="c"),
        a_workflow(TRADES + asked, id="d"),
    )
    desk.account(type="real", balance="1000", digits=2)

    assert [intent.workflow for intent in desk.tell("trade.closed", lots="7")] == ["c"]


def test_parameters_of_one_name_are_told_apart():
    rule = "params: {least: {type: number, default: %s}}\nwhen: [{event: trade.closed, where: event.lots > params.least}]\n"
    desk = Desk(*(a_workflow(rule % least + STEPS, id=f"over-{least}") for least in (1, 9, 2, 8)))
    desk.account(type="real")

    fired = {intent.workflow for intent in desk.tell("trade.closed", lots="5")}

    assert fired == {"over-1", "over-2"}
