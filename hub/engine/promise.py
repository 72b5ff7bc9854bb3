"""What a grant is worth for one period now: pure, asked anew whenever something it depends on has changed."""

from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Final

from hub.engine.abroad import counted, is_refused, owed_by, spoken, stood
from hub.engine.calendars import facts_of
from hub.engine.currencies import digits_of
from hub.engine.ledger import NONE, Foreign, Ledger
from hub.engine.plans import Plan
from hub.engine.program import Grant
from hub.engine.proportion import of_share
from hub.engine.rate_board import answer_to
from hub.engine.scene import Env, Scene
from hub.expr import UNKNOWN, Expression


@dataclass(frozen=True, slots=True)
class Owed:
    """`target` is what should be booked in all, None where nobody can tell; `code` names that case in a word."""

    target: Decimal | None
    reason: str
    code: str = ""
    foreign: Foreign | None = None  # the same, where the promise is in another currency than the account's


@dataclass(frozen=True, slots=True)
class Taking:
    """How much is taken back of what should be: the rest is `short`, or with `code` everything waits."""

    amount: Decimal
    short: Decimal
    reason: str = ""
    code: str = ""


OUT_OF_SCOPE: Final = "scope"
RATE: Final = "rate"  # the code where nothing but a rate is missing that nobody has been asked for


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
    currency = ledger.foreign.currency if ledger.foreign is not None else grant.amount.type.currency
    if currency is not None and currency != scene.account.currency:
        return _abroad(scene, grant, ledger, env, currency, why, holds=holds is True)
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


def _abroad(
    scene: Scene, grant: Grant, ledger: Ledger, env: Env, currency: str, why: str, *, holds: bool
) -> Owed:
    """Return what is owed of a promise in another currency than the account's."""
    was, target, digits = stood(ledger, currency), scene.account.currency, digits_of(scene.account)
    if not holds and not was.worth:
        return Owed(NONE, why, foreign=was)
    if target is None:
        return Owed(None, f"the amount is in {currency} and the account's currency is not known", "currency")
    if digits is None:
        return _NO_DIGITS
    found = _worth(grant, ledger, env) if holds else NONE
    if isinstance(found, Owed):
        return found
    worth = max(found, was.worth) if grant.take_back.mode == "none" else found
    if is_refused(ledger, worth):
        return Owed(ledger.refused, why, foreign=was)
    try:
        foreign = owed_by(scene, was, worth, (currency, target))
    except InvalidOperation:
        return Owed(None, f"the amount {worth} {currency} cannot be converted", "amount")
    if foreign is None:
        answer = answer_to(scene)
        problem = answer.problem if answer is not None and answer.pair == (currency, target) else ""
        told = f"{why}; {plain(worth)} {currency} is owed, and the account is in {target}"
        if problem:
            return Owed(None, f"{told}: {problem}", "currency")
        return Owed(None, f"{told}: it is booked at the rate there is then", RATE)
    booked = _rounded(counted(foreign), digits, ROUND_HALF_UP)
    if booked is None:
        return Owed(None, f"the amount {foreign.exact} cannot be booked with {digits} digits", "amount")
    said = why if foreign == was else f"{why}; {spoken(was, foreign, target)}"
    return Owed(booked, said, foreign=foreign)


def _worth(grant: Grant, ledger: Ledger, env: Env) -> Decimal | Owed:
    """Return what the amount is, in whichever currency it is said, and not rounded yet."""
    worth = grant.amount.evaluate(env)
    if isinstance(worth, int) and not isinstance(worth, bool):
        worth = Decimal(worth)
    if not isinstance(worth, Decimal):
        return Owed(None, f"amount: {grant.amount.explain(env)}", "amount")
    return max(of_share(worth, ledger.share), NONE)


def _amount(scene: Scene, grant: Grant, ledger: Ledger, env: Env) -> Decimal | Owed:
    digits = digits_of(scene.account)
    if digits is None:
        return _NO_DIGITS
    worth = _worth(grant, ledger, env)
    if isinstance(worth, Owed):
        return worth
    target = _rounded(worth, digits, ROUND_HALF_UP)
    if target is None:
        return Owed(None, f"the amount {worth} cannot be booked with {digits} digits", "amount")
    return target


_NO_DIGITS: Final = Owed(
    None, "account.digits is missing: nobody knows how the account's money is rounded", "digits"
)


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
