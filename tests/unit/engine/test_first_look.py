"""An account that is past its limit when it is first seen: what is told of it, with the real watcher."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from unit.engine.prop_house import House

from hub.engine.load import load_file
from hub.engine.program import Mode

SHIPPED = Path(__file__).parents[3] / "workflows"
RULE = (
    "anchors: {{peak: {{max: account.equity, first: account.initial_balance}}}}\n"
    "when: [{{id: floor, on_first: {on_first}, crosses: {{value: account.equity, below: {below}}}}}]\n"
    "steps: [{{do: event.publish, with: {{type: custom.failed, data: {{equity: = trigger.value, limit: = trigger.limit}}}}}}]\n"
)


@pytest.mark.parametrize(
    ("below", "limit"),
    [("peak - 1000", "9000"), ("9500", "9500"), ("account.initial_balance / 3 * 2.9", None)],
)
async def test_a_first_look_tells_the_value_and_the_limit(below, limit):
    house = await House(RULE.format(on_first="true", below=below), "2026-04-13T12:00Z").open(
        balance="8000", initial_balance="10000"
    )

    await house.sample("8000.50")
    await house.restart()
    await house.sample("7000")

    (intent,) = house.intents
    told = msgspec.json.decode(intent.params)["data"]
    assert Decimal(told["equity"]) == Decimal("8000.50")
    assert abs(Decimal(told["limit"]) - Decimal(limit or "9666.6666666667")) < Decimal("1e-9")


async def test_without_on_first_it_is_not_told_and_armed_again_when_it_recovers():
    house = await House(RULE.format(on_first="false", below="9500"), "2026-04-13T12:00Z").open(
        balance="8000", initial_balance="10000"
    )
    await house.sample("8000")
    assert house.fired == []

    await house.sample("9600")
    await house.sample("9400")

    assert house.fired == ["floor"]


@pytest.mark.parametrize("name", ["prop-max-loss", "prop-eod-trailing", "prop-intraday-trailing"])
async def test_a_shipped_rule_leaves_an_account_alone_until_it_is_paid_into(name):
    rule = load_file(SHIPPED / f"{name}.yaml").workflow
    assert rule is not None
    house = await House(replace(rule, mode=Mode.LIVE), "2026-04-13T12:00Z").open(
        balance="0", initial_balance="100000", program="challenge", status="active"
    )
    await house.sample("0", balance="0")
    await house.tell("balance.deposited", amount="100000", is_first=True)
    await house.sample("100000", balance="100000")
    assert house.fired == []

    await house.sample("50000", balance="100000")

    assert len(set(house.fired)) == 1
