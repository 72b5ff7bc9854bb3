"""Deposits and withdrawals, and the limits they move: vectors worked out by hand, and what holds for every history."""

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.engine.prop_house import House

from hub.engine.explain import explain
from hub.engine.load_text import load_text

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "cash_flows.json").read_text())
CASES = [name for name in VECTORS if name != "about"]
PRAGUE = 'daily_at: "00:00", tz: Europe/Prague'
ANCHORS = {
    "eod_trailing": f"{{day_end: {{take: account.balance, {PRAGUE}, first: account.initial_balance%s}}, base: {{max: day_end, first: account.initial_balance%s}}}}",
    "daily_loss": f"{{base: {{take: account.balance, {PRAGUE}, first: account.initial_balance%s}}}}",
    "static": "{base: {take: account.initial_balance, once: true%s}}",
    "highest_balance": "{base: {max: account.balance, first: account.initial_balance%s}}",
}
ANCHORS["first_day"] = ANCHORS["eod_trailing"]
ROOM = {"daily_loss": "0.05"}
TYPES = {"deposit": "balance.deposited", "withdraw": "balance.withdrawn"}


def a_rule(case, flows):
    said = f", cash_flows: {flows}" if flows else ""
    anchors = ANCHORS[case].replace("%s", said)
    return (
        f"anchors: {anchors}\n"
        f"when: [{{id: floor, crosses: {{value: account.equity, below: base - account.initial_balance * {ROOM.get(case, '0.1')}}}}}]\n"
        "limit: {max: 1, every: forever}\n"
        "steps: [{do: event.publish, with: {type: custom.failed, data: {limit: = trigger.limit}}}]\n"
    )


async def do(house, step):
    match step["do"]:
        case "begin":
            pass
        case "midnight":
            day = (house.clock.now() + timedelta(days=1)).replace(hour=22, minute=5)
            await house.at(day.isoformat())
        case "earn" | "lose" as way:
            sign = "" if way == "earn" else "-"
            await house.tell("balance.adjusted", kind="correction", amount=sign + step["amount"])
        case way:
            await house.tell(TYPES[way], amount=step["amount"])


@pytest.mark.parametrize("flows", ["shift", "ignore", ""])
@pytest.mark.parametrize("case", CASES)
async def test_the_floor_is_where_it_was_worked_out_to_be_over_restarts_too(case, flows):
    told = VECTORS[case]
    house = await House(a_rule(case, flows), "2026-04-13T12:00Z").open(
        balance=told["initial"], initial_balance=told["initial"]
    )
    for step in told["steps"]:
        await do(house, step)
        await house.restart()

        assert house.floor == Decimal(step[flows or "ignore"]), step


STEPS = st.lists(
    st.tuples(st.sampled_from(["earn", "lose", "deposit", "withdraw", "midnight"]), st.integers(1, 90_000)),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(case=st.sampled_from(CASES), steps=STEPS)
async def test_with_shift_the_room_that_is_left_is_what_it_would_be_without_any_flows(case, steps):
    moved, still = [
        await House(a_rule(case, "shift"), "2026-04-13T12:00Z").open(
            balance="100000", initial_balance="100000"
        )
        for _ in range(2)
    ]
    flows = 0
    for what, amount in steps:
        step = {"do": what, "amount": str(amount)}
        await do(moved, step)
        if what in TYPES:
            flows += amount if what == "deposit" else -amount
        else:
            await do(still, step)

        assert moved.floor - flows == still.floor


async def test_a_payout_that_is_ignored_may_breach_and_one_that_shifts_does_not():
    for flows, fired in (("ignore", ["floor"]), ("shift", [])):
        house = await House(a_rule("highest_balance", flows), "2026-04-13T12:00Z").open(
            balance="110000", initial_balance="100000"
        )
        await house.sample("110000")
        await house.tell("balance.withdrawn", amount="10001")
        await house.sample("99999")

        assert house.fired == fired


async def test_money_that_comes_as_the_account_is_first_heard_of_counts_once():
    house = await House(a_rule("highest_balance", "shift"), "2026-04-13T12:00Z").open(currency="USD")
    await house.account(balance="0")
    await house.tell("balance.deposited", amount="5000", is_first=True)

    assert house.floor == Decimal(4500)


HEAD = "schema: 1\nid: w\ntitle: t\nkey: {key}\n"


@pytest.mark.parametrize(
    ("anchor", "key", "said"),
    [
        ("{max: account.equity, cash_flows: shift}", "account", "a sample may hold money before its event comes"),
        ("{min: account.margin_level, cash_flows: shift}", "account", "followed between the events"),
        ("{take: account.group, once: true, cash_flows: shift}", "account", "money moves numbers"),
        ("{take: event.amount, event: balance.deposited, cash_flows: shift}", "client", "use `key: account`"),
        ("{max: account.balance, cash_flows: sometimes}", "account", "cash_flows"),
    ],
)  # fmt: skip
def test_what_cannot_shift_is_refused_with_the_reason(anchor, key, said):
    text = f"anchors: {{base: {anchor}}}\nwhen: [{{event: trade.closed}}]\nsteps: [{{stop: done}}]\n"

    report = load_text(HEAD.format(key=key) + text, "w.yaml")

    assert report.workflow is None
    assert said in " ".join(str(problem) for problem in report.problems)


def test_it_is_explained_in_plain_english():
    report = load_text(HEAD.format(key="account") + a_rule("daily_loss", "shift"), "w.yaml")

    assert report.workflow is not None
    assert "deposits and withdrawals move it by their amount" in explain(report.workflow).text()
