"""In shadow nothing is sent, and later steps see the account as if it had been."""

from decimal import Decimal

import msgspec
import pytest
from unit.engine.desk import MORNING, Desk, a_workflow
from unit.engine.test_forks import restarted

from hub.engine.account_rows import AccountRow
from hub.engine.assumed import overlaid, together, with_effect
from hub.intents.verbs import VERBS

HEAD = "when: [{event: custom.go}]\nlimit: {max: 99, every: forever}\n"


def a_desk(steps, **header):
    desk = Desk(a_workflow(HEAD + steps, **{"mode": "shadow"} | header))
    desk.account(group="std", leverage=100, enabled=True, trading_enabled=True, credit="10", currency="USD")
    return desk


def said(intents):
    return [msgspec.json.decode(each.params)["data"] for each in intents if each.verb == "event.publish"]


STEPS = """
steps:
  - {id: move, do: account.set_group, with: {group: vip}}
  - {id: lock, do: account.disable_trading}
  - {do: event.publish, with: {type: custom.now, data: {group: = account.group, trading: = account.trading_enabled}}}
  - {wait: {for: 1h}}
  - {do: event.publish, with: {type: custom.later, data: {group: = account.group, assumed: = steps.move.assumed}}}
"""


def test_later_steps_see_what_would_have_been_done_over_a_restart():
    desk = a_desk(STEPS)
    assert said(desk.tell("custom.go")) == [{"group": "vip", "trading": False}]
    restarted(desk)

    assert said(desk.until(MORNING.replace(hour=9))) == [{"group": "vip", "assumed": True}]
    assert desk.state.account.group == "std", "nothing of it is so"


def test_live_the_platform_says_what_is_so():
    desk = a_desk(STEPS, mode="live")
    (move,) = desk.tell("custom.go")
    (lock,) = desk.outcome(move)

    assert said(desk.outcome(lock)) == [{"group": "std", "trading": True}]


def test_what_branches_add_adds_up():
    desk = a_desk("""
scope: account.currency == "USD"
steps:
  - for_each: {in: event.amounts, as: x, concurrency: 2, steps: [{id: pay, do: credit.grant, with: {amount: = x}}, {wait: {for: 1h}}]}
  - {do: event.publish, with: {type: custom.now, data: {credit: = account.credit}}}
""")
    desk.tell("custom.go", amounts=[1, 2, 4])
    restarted(desk)
    intents = desk.until(MORNING.replace(hour=12))

    assert [Decimal(each["credit"]) for each in said(intents)] == [17]


ACCOUNT = AccountRow("live-1", 1, balance=Decimal(100), credit=None, open_positions=3)


@pytest.mark.parametrize(
    ("verb", "params", "expected"),
    [
        ("balance.deposit", {"amount": "5"}, {"balance": Decimal(105)}),
        ("balance.withdraw", {"amount": "5"}, {"balance": Decimal(95)}),
        ("credit.grant", {"amount": "5"}, {"credit": None}),
        ("position.close_all", {}, {"open_positions": 0}),
        ("position.close_all", {"symbol": "EURUSD"}, {"open_positions": 3}),
        ("account.set_leverage", {"leverage": 5}, {"leverage": 5}),
        ("account.disable", {}, {"enabled": False}),
        ("order.cancel_all", {}, {"open_positions": 3}),
    ],
)
def test_each_action_changes_what_it_says(verb, params, expected):
    checked = VERBS[verb].params.model_validate(params)
    row = overlaid(ACCOUNT, with_effect({}, verb, checked))

    assert {name: getattr(row, name) for name in expected} == expected


def test_branches_that_began_with_the_same_count_what_went_before_once():
    before = {"+credit": Decimal(10), "group": "a"}
    ends = [{"+credit": Decimal(11), "group": "a"}, {"+credit": Decimal(15), "group": "b", "enabled": False}]

    assert together(before, ends) == {"+credit": Decimal(16), "group": "b", "enabled": False}
