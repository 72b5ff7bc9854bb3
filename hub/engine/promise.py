"""What a grant is worth for one period now: pure, asked anew whenever something it depends on has changed."""

from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Final

from hub.engine.calendars import facts_of
from hub.engine.currencies import digits_of
from hub.engine.ledger import NONE, Ledger
from hub.engine.plans import Plan
from hub.engine.program import Grant
from hub.engine.proportion import of_share
from hub.engine.scene import Env, Scene
from hub.expr import UNKNOWN, Expression


@dataclass(frozen=True, slots=True)
class Owed:
    """`target` is what should be booked in all, None where nobody can tell; `code` names that case in a word."""

    target: Decimal | None
    reason: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class Taking:
    """How much is taken back of what should be: the rest is `short`, or with `code` everything waits."""

    amount: Decimal
    short: Decimal
    reason: str = ""
    code: str = ""


OUT_OF_SCOPE: Final = "scope"


def env_for(scene: Scene, plan: Plan, ledger: Ledger) -> Env:
    """Return what a grant's expressions and its comment read: aggregates as they are for the ledger's period."""
    grant = _grant(plan)
    env: Env = {
        "account": scene.account,
        "client": scene.client,
        "params": plan.params,
        "now": scene.now,
    }
    period = facts_of(grant.calendar, ledger.start, ledger.end)
    if period is not None:
        env["period"] = period
    for name, feed in plan.feeds:
        env[name] = scene.value_in(feed, grant.calendar, ledger.start, ledger.end)
    return env


def owed(scene: Scene, plan: Plan, ledger: Ledger, env: Env) -> Owed:
    """Return the target. Whoever is out of scope is not followed: nothing is paid to him and nothing taken back."""
    grant, scope = _grant(plan), plan.workflow.scope
    if scope is not None and scope.test(env) is not True:
        return Owed(None, f"scope: {scope.explain(env)}", OUT_OF_SCOPE)
    holds = grant.condition.test(env)
    why = grant.condition.explain(env)
    if holds is UNKNOWN:
        return Owed(None, why, "while")
    target = NONE
    if holds is True:
        found = _amount(scene, grant, ledger, env)
        if isinstance(found, Owed):
            return found
        target = found
    if grant.take_back.mode == "none":
        target = max(target, ledger.booked)
    return Owed(target, why)


def taking(scene: Scene, plan: Plan, wanted: Decimal, env: Env) -> Taking:
    """Return how much may be taken back: never more than the cap leaves."""
    take_back = _grant(plan).take_back
    cap = take_back.cap
    if cap is None:
        return Taking(wanted, NONE)
    there = _booked(cap, env, digits_of(scene.account), ROUND_DOWN)
    if there is None:
        return Taking(NONE, NONE, f"{plain(wanted)} is to be taken back: {cap.explain(env)}", "cap")
    there = max(there, NONE)
    if there >= wanted:
        return Taking(wanted, NONE)
    reason = f"{plain(wanted)} is to be taken back and {cap.text} is {plain(there)}"
    if take_back.waits:
        return Taking(NONE, NONE, f"{reason}: it waits until all of it is there", "short")
    return Taking(there, wanted - there, f"{reason}: {plain(wanted - there)} cannot be taken")


def plain(amount: Decimal) -> str:
    return format(amount, "f")


def _amount(scene: Scene, grant: Grant, ledger: Ledger, env: Env) -> Decimal | Owed:
    currency, account = grant.amount.type.currency, scene.account
    if currency is not None and account.currency != currency:
        other = f"the account is in {account.currency}" if account.currency else "the account's is not known"
        return Owed(
            None, f"the amount is in {currency} and {other}: there is no rate to book it by", "currency"
        )
    digits = digits_of(account)
    if digits is None:
        return Owed(
            None, "account.digits is missing: nobody knows how the account's money is rounded", "digits"
        )
    worth = grant.amount.evaluate(env)
    if isinstance(worth, int) and not isinstance(worth, bool):
        worth = Decimal(worth)
    if not isinstance(worth, Decimal):
        return Owed(None, f"amount: {grant.amount.explain(env)}", "amount")
    target = _rounded(of_share(worth, ledger.share), digits, ROUND_HALF_UP)
    if target is None:
        return Owed(None, f"the amount {worth} cannot be booked with {digits} digits", "amount")
    return max(target, NONE)


def _booked(expression: Expression, env: Env, digits: int | None, rounding: str) -> Decimal | None:
    value = expression.evaluate(env)
    if isinstance(value, int) and not isinstance(value, bool):
        value = Decimal(value)
    return _rounded(value, digits, rounding) if isinstance(value, Decimal) and digits is not None else None


def _rounded(amount: Decimal, digits: int, rounding: str) -> Decimal | None:
    try:
        return amount.quantize(Decimal(1).scaleb(-digits), rounding=rounding)
    except InvalidOperation:
        return None


def _grant(plan: Plan) -> Grant:
    assert plan.workflow.grant is not None
    return plan.workflow.grant
