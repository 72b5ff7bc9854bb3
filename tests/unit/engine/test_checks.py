"""`guard` and `verify`: what an intent takes along, and what the run makes of the answer."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from unit.engine.desk import MORNING, Desk, a_workflow
from unit.engine.test_forks import published

from hub.engine.load_text import load_text
from hub.expr.judge import judge
from hub.intents.checks import CHECKS, FRESH, checks_of, without_checks
from hub.intents.kept import recall_all

STEPS = """
params: {spare: {type: number, default: 10}}
scope: account.country == "CY"
when: [{event: withdrawal.requested}]
limit: {max: 99, every: forever}
aggregates: {paid: {from: balance.deposited, sum: event.amount, window: lifetime}}
steps:
  - id: pay
    do: %s
    with: {%s}
    guard: account.free_margin >= event.amount + params.spare and account.country == "CY" and paid < 5
    verify: account.open_positions == 0
    retry: {max: 2, delay: 1s}
  - {do: event.publish, with: {type: custom.after, data: {ok: = steps.pay.ok}}}
on_error:
  - {do: event.publish, with: {type: custom.failed, data: {why: = error.message}}}
"""
GOOD = {"free_margin": Decimal(110), "open_positions": 0}


def a_desk(verb="balance.withdraw", params="amount: = event.amount"):
    desk = Desk(a_workflow(STEPS % (verb, params)))
    desk.account(country="CY", currency="USD", balance="5000", open_positions=3)
    return desk


def asked(desk):
    (intent,) = desk.tell("withdrawal.requested", request="r1", amount="100")
    return intent


def test_an_intent_takes_its_conditions_along_with_the_values_they_had_and_a_backend_sees_none_of_it():
    intent = asked(a_desk())
    checks = checks_of(intent)

    assert recall_all(checks.guard.values) == {
        "event.amount": Decimal(100),
        "params.spare": Decimal(10),
        "account.country": "CY",
        "paid": Decimal(0),
    }
    assert checks.verify.values == {}, "what is read anew is taken from nowhere else"
    assert msgspec.json.decode(without_checks(intent).params) == {"amount": "100.00"}
    assert set(msgspec.json.decode(intent.params)) == {"amount", CHECKS}


@pytest.mark.parametrize(
    ("fresh", "why"),
    [
        ({"free_margin": Decimal(110)}, None),
        ({"free_margin": Decimal("109.99")}, "is false (109.99 >= 110)"),
        ({}, "account.free_margin is missing"),
        ({"free_margin": Decimal(110), "country": "US"}, "is false"),
    ],
)
def test_a_condition_is_asked_on_what_was_just_read(fresh, why):
    guard = checks_of(asked(a_desk())).guard
    told = judge(guard.text, recall_all(guard.values), fresh, FRESH)

    assert told is None if why is None else why in told


def test_what_was_known_of_a_field_that_is_read_anew_does_not_count():
    assert "account.balance is missing" in judge(
        "account.balance > 5", {"account.balance": Decimal(9)}, {}, FRESH
    )


def test_an_action_that_did_not_bring_about_what_had_to_hold_is_asked_for_again_if_that_is_harmless():
    desk = a_desk("account.disable_trading", "")
    first = asked(desk)
    assert desk.outcome(first, unverified="verify: no") == []
    (second,) = desk.until(MORNING + timedelta(minutes=1))
    assert second.key == f"{first.key}#2"
    desk.outcome(second)

    assert published(desk) == [{"ok": True}]


def test_money_that_was_moved_is_never_moved_again_for_what_did_not_hold_afterwards():
    desk = a_desk()
    intent = asked(desk)
    (publish,) = desk.outcome(
        intent, ticket=7, unverified="verify: account.open_positions == 0 is false (2 == 0)"
    )

    assert publish.verb == "event.publish"
    assert desk.timers == {}
    assert published(desk) == [
        {
            "why": "step pay: balance.withdraw was applied: verify: account.open_positions == 0 is false (2 == 0)"
        }
    ]


def test_a_guard_that_does_not_hold_is_a_refusal_with_its_reason():
    desk = a_desk()
    intent = asked(desk)
    assert desk.outcome(intent, "rejected", reason="guard: no money") == [], (
        "it is asked for again, as `retry` says"
    )
    assert len(desk.timers) == 1


@pytest.mark.parametrize(
    ("step", "complaint"),
    [
        ("{do: event.publish, with: {type: custom.a}, guard: account.balance > 5}", "`guard` asks about an account, and event.publish is no action on one: use `if`"),
        ("{do: account.disable, guard: account.balnce > 5}", "unknown field account.balnce; did you mean account.balance?"),
        ("{do: account.disable, verify: account.balance}", "this is money, but true or false is needed here"),
        ("{if: account.equity > 5, do: account.disable}", "account.equity moves with every price and is not known here"),
    ],
)  # fmt: skip
def test_conditions_are_looked_at_when_the_file_is_read(step, complaint):
    text = f"schema: 1\nid: r\ntitle: t\nowner: t\nwhen: [{{event: trade.closed}}]\nsteps: [{step}]\n"

    (problem,) = load_text(text, "w.yaml").problems
    assert complaint in str(problem)


def test_a_sampled_value_may_be_asked_for_in_a_guard():
    text = "when: [{event: trade.closed}]\nsteps: [{if: event.lots > 0, do: account.disable, guard: account.equity < 0}]"
    desk = Desk(a_workflow(text))
    (intent,) = desk.tell("trade.closed")

    assert checks_of(intent).guard.text == "account.equity < 0"
