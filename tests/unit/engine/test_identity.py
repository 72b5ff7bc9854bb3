"""What runs and actions are called, and that an approved action keeps its guard."""

import re
from base64 import b32decode
from hashlib import sha256

import pytest
from unit.engine.desk import Desk, a_workflow
from unit.engine.test_approvals import Town
from unit.engine.test_keys import REQUESTS, requests
from unit.engine.test_rows import City

from hub.ids import tag_of
from hub.intents.checks import checks_of

PAYS = """
scope: account.currency == "USD"
when: [{id: big, event: balance.deposited}]
limit: {max: 9, every: forever}
steps:
  - id: thanks
    do: credit.grant
    with: {amount: 5}
"""
ASKS = """
when: [{event: withdrawal.requested}]
limit: {max: 9, every: forever}
steps:
  - {id: sign_off, approve: {permission: money.approve, within: 24h}}
  - if: steps.sign_off.approved
    steps:
      - {id: pay, do: balance.withdraw, with: {amount: = event.amount}, guard: account.free_margin >= event.amount}
"""


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        ("a/b", "a%2Fb"),
        ("a%2Fb", "a%252Fb"),
        ("50% off?", "50%25%20off%3F"),
        ("é", "%C3%A9"),
    ],
)
async def test_every_part_of_a_name_is_encoded_so_that_no_two_runs_share_one(request_, name):
    town = City()
    await town.open(a_workflow(REQUESTS, key="event.request"))

    await requests(town, "withdrawal.requested", request_)

    (run,) = town.runs()
    assert run.split("/")[:3] == ["rule", f"event.request={name}", "event"]
    assert run.count("/") == 3


def test_an_action_is_named_by_its_run_and_its_step():
    desk = Desk(a_workflow(PAYS))
    desk.account(currency="USD")

    (intent,) = desk.tell("balance.deposited", amount="100")

    (run,) = desk.runs
    assert re.fullmatch(r"rule/live-1:7001/big/evt_[a-z2-7]{26}", run)
    assert intent.key == f"{run}/thanks"


def test_money_is_marked_with_the_first_eighty_bits():
    key = "rule/live-1:7001/big/evt_1/thanks"

    mark = tag_of(key, "bonus")[3:19]

    assert b32decode(mark) == sha256(key.encode()).digest()[:10]


def test_what_was_approved_still_has_to_pass_its_guard():
    town = Town(a_workflow(ASKS))
    town.account(currency="USD", balance="9000")
    town.request("5000")

    (pay,) = town.says("dora")

    guard = checks_of(pay).guard
    assert guard is not None
    assert guard.text == "account.free_margin >= event.amount"
