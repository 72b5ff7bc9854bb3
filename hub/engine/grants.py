"""Grants: a promise per key and period, kept by booking the difference to what is booked already, one at a time."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from msgspec.structs import replace
from pydantic import ValidationError

from hub.bus.log import Input, InputKind
from hub.clock import MICROSECOND, SECOND_US
from hub.engine.abroad import ask_for_rate, conversion, stood
from hub.engine.decision import Decision, Verdict
from hub.engine.index import Program
from hub.engine.ledger import AGES, NONE, Ledger
from hub.engine.ledgers import (
    MARK,
    begin_first,
    begin_next,
    booking_time,
    close,
    entry_of,
    is_closing,
    is_new,
    keep,
    ledger_of,
    mark,
    must_wait,
    next_look,
    outlasts_watch,
    plan_of,
    put,
    run_id,
    said_until,
    show,
    timed,
    watched,
    workflow_of,
)
from hub.engine.plans import PRIORITY, Plan
from hub.engine.program import Grant
from hub.engine.program_steps import Value
from hub.engine.promise import RATE, env_for, owed, plain, taking
from hub.engine.promised_before import was_before
from hub.engine.quotes import KNOWN, LONGEST_WAIT, Quote
from hub.engine.scene import NONE_BROKEN, Broken, Env, Scene
from hub.engine.state import KeyState
from hub.engine.steps import StepFailed, encoded, resolve
from hub.engine.stopped import SHADOW, STOPPED, refused, waits_on
from hub.engine.withdrawn import withdrawn
from hub.intents.converted import with_conversion
from hub.intents.intent import Intent, State
from hub.intents.outcome import Outcome
from hub.intents.verbs import Params

MOST_ENTRIES: Final = 1000  # of one ledger: more than that is a promise that feeds itself
# The platform tells of a booking a little after it said yes: till then what is there looks too little.
TOLD_WITHIN: Final = 600_000_000
WITHDRAWN: Final = "balance.withdrawn"


def hear(scene: Scene, type_name: str, record: Any, changed: Iterable[str]) -> None:
    """Take in an event: it may be the key's first, change what is owed, or take a part of what was given."""
    if scene.state.account is None:
        begin_first(scene)
    if not scene.state.ledgers:
        return
    writes = scene.decision.writing()
    writes.changed = (*writes.changed, *changed)
    if type_name == WITHDRAWN:
        for name, ledger in scene.state.ledgers:
            withdrawn(scene, name, ledger, record.amount)


def elapse(scene: Scene, changed: Iterable[str]) -> None:
    """Book the periods that are over, end the watches that are; what windows have let go is looked at as well."""
    now = scene.item.at
    if scene.state.ledgers:
        writes = scene.decision.writing()
        writes.changed = (*writes.changed, *changed)
    for name, ledger in scene.state.ledgers:
        if not ledger.timer or ledger.due > now:
            continue
        live = scene.program.plans.get(workflow_of(name))
        if ledger.stage == "watched":
            if ledger.closes <= now and ledger.held == STOPPED:
                put(scene, name, waits_on(scene, name, ledger))
                mark(scene, name)
            elif ledger.closes <= now and ledger.wanted and now < ledger.closes + LONGEST_WAIT:
                put(scene, name, timed(scene, name, ledger, ledger.closes + LONGEST_WAIT))
            elif ledger.closes <= now:
                close(scene, name, ledger, "the watch is over")
            else:
                put(scene, name, timed(scene, name, ledger, next_look(scene, ledger, ledger.closes)))
                mark(scene, name)
        elif live is None or live.workflow.grant is None:
            put(scene, name, timed(scene, name, ledger, 0))
        elif now < ledger.end:  # it waited for something else
            due = ledger.end if ledger.end != AGES else 0
            put(scene, name, timed(scene, name, ledger, next_look(scene, ledger, due)))
            mark(scene, name)
        else:
            _period_over(scene, name, ledger, live, live.workflow.grant)


def rate_is_known(scene: Scene, quote: Quote) -> None:
    """Have the promises looked at that asked for a rate."""
    for name, ledger in scene.state.ledgers:
        if ledger.wanted and quote.target == scene.account.currency:
            mark(scene, name)


def settle(program: Program, state: KeyState, item: Input, changed: frozenset[str]) -> Decision | None:
    """Return what is booked because of what an input has changed, once all of that is applied; None for nothing."""
    broken = NONE_BROKEN
    while True:
        decision = Decision(item.partition, state.key, item.n, item.at)
        scene = Scene(program, state, item, decision, broken)
        try:
            for name, ledger in state.ledgers:
                _follow(scene, name, ledger, changed)
        except Broken as problem:
            broken = {**broken, problem.part: problem.reason}
        else:
            return decision if decision.puts else None


def learn(scene: Scene, outcome: Outcome, state: State) -> dict[str, Any]:
    """Take in what became of a booking; return what it asked for, to tell of it."""
    entry = entry_of(outcome.intent)
    if entry is None or entry.key != scene.state.key:
        return {}
    ledger = ledger_of(scene, entry.name)
    if ledger is None or ledger.asked is None or ledger.entries != entry.number:
        return {}  # another one, or known already
    asked, name = ledger.asked, entry.name
    what = f"{outcome.verb} {plain(abs(asked))}"
    because = f": {outcome.reason}" if outcome.reason else ""
    if state is State.APPLIED:
        ledger = replace(
            ledger,
            booked=ledger.booked + asked,
            asked=None,
            doubt="",
            held="",
            refused=None,
            stopped=0,
            again=0,
            applied_at=scene.item.at,
            foreign=ledger.aimed or ledger.foreign,
            aimed=None,
        )
        verdict, reason = Verdict.BOOKED, f"{what} was applied: {plain(ledger.booked)} is booked"
    elif state is State.REJECTED and outcome.stopped:
        ledger = refused(scene, name, ledger)
        verdict = Verdict.HELD_BACK
        reason = f"{what} was refused{because}; what is owed is asked for again when the breaker is reset"
    elif state is State.REJECTED:
        target = ledger.booked - ledger.short + asked
        worth = ledger.aimed.worth if ledger.aimed is not None else None
        ledger = replace(
            ledger,
            asked=None,
            doubt="",
            held="refused",
            refused=target,
            stopped=0,
            again=0,
            aimed=None,
            refused_worth=worth,
        )
        verdict = Verdict.FAILED
        reason = f"{what} was refused{because}; it is asked for again when something else than {plain(target)} is owed"
    elif state in {State.UNKNOWN, State.PARKED}:
        ledger = replace(ledger, doubt=state.value)
        verdict = Verdict.HELD_BACK if state is State.UNKNOWN else Verdict.FAILED
        reason = f"{what} is {state.value}{because}; nothing more is booked until that is settled"
    else:
        return {}
    put(scene, name, ledger)
    keep(scene, name, ledger, verdict, reason)
    if is_closing(ledger) and ledger.asked is None:
        close(scene, name, ledger, "the watch is over")
    else:
        show(scene, name, ledger, "running", reason)
        mark(scene, name)
    return {"amount": plain(abs(asked))}


def _period_over(scene: Scene, name: str, ledger: Ledger, live: Plan, grant: Grant) -> None:
    """Go on from a period to its watch, by the text that is live now unless something was promised by another."""
    now = scene.item.at
    if is_new(ledger):
        ledger = replace(ledger, version=live.workflow.hash, shadow=live.shadow and not live.stopped)
    plan = plan_of(scene, name, ledger)
    told_by = plan.workflow.grant if plan is not None and plan.workflow.grant is not None else grant
    put(scene, name, watched(scene, name, ledger, now + told_by.watch // MICROSECOND))
    mark(scene, name)
    begin_next(scene, live, grant, ledger)


def _follow(scene: Scene, name: str, ledger: Ledger, changed: frozenset[str]) -> None:
    plan = plan_of(scene, name, ledger)
    if plan is None or plan.workflow.grant is None or is_closing(ledger):
        return
    marked = f"{MARK}{name}" in changed
    if not marked and plan.granted_on.isdisjoint(changed):
        return
    grant = plan.workflow.grant
    if (grant.at_end and ledger.stage == "open") or ledger.start > scene.item.at:
        return  # nothing is booked before its period is over, nor anything before it has begun
    if outlasts_watch(ledger) and scene.item.ref != KNOWN and not (marked and ledger.held == STOPPED):
        return  # it waits for a rate or for its breaker, and for nothing else
    broken = scene.broken.get(name)
    if broken is not None:
        _hold(scene, name, ledger, "broken", broken)
        return
    try:
        _keep_promise(scene, name, ledger, plan, grant)
    except Exception as problem:
        raise Broken(name, f"{type(problem).__name__}: {problem}") from problem


def _keep_promise(scene: Scene, name: str, ledger: Ledger, plan: Plan, grant: Grant) -> None:
    """Ask for the difference between what is owed and what is booked, unless something speaks against it."""
    if is_busy(ledger) or must_wait(scene, ledger):
        return
    env = env_for(scene, plan, ledger)
    found = owed(scene, plan, ledger, env)
    target = found.target
    if target is None:
        if found.code == RATE:
            if not was_before(scene, name, ledger, grant, found.reason):
                ask_for_rate(scene, name, ledger, grant.amount.type.currency)
            return
        if is_new(ledger) and found.code in {"scope", "while"}:
            return  # a plain no
        _hold(scene, name, ledger, found.code, found.reason)
        return
    if ledger.wanted:
        ledger = replace(ledger, wanted=0)
    short = ledger.short
    if short and target > ledger.booked - short:  # what was too much is owed now: nobody is paid it twice
        short = max(NONE, ledger.booked - target)
    difference = target - (ledger.booked - short)
    if not difference:
        if short != ledger.short or ledger.held or ledger.refused is not None:
            settled = replace(ledger, short=short, held="", refused=None, stopped=0, again=0)
            put(scene, name, replace(settled, foreign=found.foreign, aimed=None))
        return
    if ledger.refused == target:
        return
    if was_before(scene, name, ledger, grant, found.reason):
        return
    live = scene.program.plans.get(workflow_of(name))
    if live is None:
        return
    shadow = live.shadow and not live.stopped if is_new(ledger) else ledger.shadow
    if live.shadow and not shadow:
        what = "given" if difference > 0 else "taken back"
        until = " until its breaker is reset, and it is asked for then" if live.stopped else ""
        reason = f"{plain(abs(difference))} would be {what}: the workflow is in shadow{until}"
        ledger = replace(ledger, refused=None, refused_worth=None)  # something else is owed: it may come back
        _hold(scene, name, ledger, STOPPED if live.stopped else SHADOW, reason)
        return
    if ledger.entries >= MOST_ENTRIES:
        _hold(
            scene,
            name,
            ledger,
            "many",
            f"{MOST_ENTRIES} bookings already: the limit, a person has to look at it",
        )
        return
    ledger = replace(ledger, short=short, shadow=shadow, aimed=found.foreign)
    if difference < 0:
        _take_back(scene, name, ledger, plan, grant, -difference, env, found.reason)
    else:
        _ask(scene, name, ledger, plan, grant, difference, env, found.reason)


def is_busy(ledger: Ledger) -> bool:
    """Return whether a booking is under way: whatever is owed by then is worked out when that is known."""
    return ledger.asked is not None


def _take_back(
    scene: Scene, name: str, ledger: Ledger, plan: Plan, grant: Grant, wanted: Decimal, env: Env, why: str
) -> None:
    found = taking(scene, plan, wanted, env)
    if found.code:
        _hold(scene, name, ledger, found.code, found.reason)
        return
    if found.short:
        told = ledger.applied_at + TOLD_WITHIN
        if scene.item.at < told and ledger.applied_at:
            waits = timed(scene, name, ledger, min(told, ledger.due) if ledger.due else told)
            _hold(scene, name, waits, "told", f"{found.reason} yet: what was booked last may not be told of")
            return
        ledger = replace(ledger, short=ledger.short + found.short, held="short")
        if not found.amount:  # there is nothing to wait for
            ledger = replace(ledger, foreign=ledger.aimed or ledger.foreign, aimed=None)
        put(scene, name, ledger)
        keep(scene, name, ledger, Verdict.HELD_BACK, f"{why}; {found.reason}")
    if found.amount:
        _ask(scene, name, ledger, plan, grant, -found.amount, env, why)


def _ask(
    scene: Scene, name: str, ledger: Ledger, plan: Plan, grant: Grant, amount: Decimal, env: Env, why: str
) -> None:
    """Write the intent of one booking, with its number, and the ledger that waits for what becomes of it."""
    verb = grant.verb if amount > 0 else grant.back
    try:
        body = encoded(_params(verb.params, abs(amount), grant.comment, env))
    except StepFailed as problem:
        _hold(scene, name, ledger, "params", problem.reason)
        return
    if ledger.aimed is not None:
        body = with_conversion(body, conversion(stood(ledger, ledger.aimed.currency), ledger.aimed))
    number, run, item = ledger.entries + 1, run_id(scene, name), scene.item
    key = f"{run}/{number}"
    scene.decision.writing().intents.append(
        Intent(
            key=key,
            partition=scene.state.partition,
            account=scene.account_key,
            verb=verb.name,
            params=body,
            workflow=plan.workflow.id,
            run=run,
            step=grant.id,
            caused_by=item.ref
            if item.kind == InputKind.EVENT
            else f"{InputKind(item.kind).name.lower()}:{item.ref}",
            state=State.SHADOW if ledger.shadow else State.READY,
            at=item.at,
            due=item.at,
            priority=PRIORITY[plan.workflow.priority],
        )
    )
    target = ledger.booked - ledger.short + amount
    version = plan.workflow.hash
    new = replace(ledger, entries=number, version=version, refused=None, held="", wanted=0)
    if outlasts_watch(new):  # it was over but for this
        new = timed(scene, name, new, 0)
    if ledger.stage == "open" and ledger.end == AGES:  # a lifetime's watch begins here
        new = watched(scene, name, new, item.at + grant.watch // MICROSECOND)
    if ledger.shadow:
        new = replace(new, booked=ledger.booked + amount, foreign=ledger.aimed or ledger.foreign, aimed=None)
    else:
        new = replace(new, asked=amount)
    put(scene, name, new)
    reason = f"{verb.name} {plain(abs(amount))} for {plain(target)} owed in all, {plain(ledger.booked)} booked: {why}"
    reason += _late(scene, ledger, grant)
    keep(scene, name, new, Verdict.BOOKED, reason, key)
    show(scene, name, new, "running", f"{reason}; {said_until(new)}")


def _late(scene: Scene, ledger: Ledger, grant: Grant) -> str:
    """Return by how much a period is booked later than it should have been, if it is booked now."""
    late = (scene.item.at - booking_time(grant, ledger)) // SECOND_US
    now = grant.at_end and ledger.closes == scene.item.at + grant.watch // MICROSECOND
    return f"; late_by {late}s" if now and late >= 1 else ""


def _params(model: type[Params], amount: Decimal, comment: Value | None, env: Env) -> Params:
    values: dict[str, Any] = {"amount": amount}
    if comment is not None:
        values["comment"] = resolve(comment, env, "comment")
    try:
        return model.model_validate(values)
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False)[0]
        raise StepFailed(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from problem


def _hold(scene: Scene, name: str, ledger: Ledger, code: str, reason: str) -> None:
    """Keep why nothing is booked, once for each reason."""
    if ledger.held == code:
        ledger = replace(ledger, aimed=None if ledger.asked is None else ledger.aimed)
        if ledger_of(scene, name) != ledger:
            put(scene, name, ledger)
        return
    ledger = replace(ledger, held=code, aimed=None if ledger.asked is None else ledger.aimed)
    put(scene, name, ledger)
    verdict = Verdict.FAILED if code in {"broken", "params", "many"} else Verdict.HELD_BACK
    keep(scene, name, ledger, verdict, reason)
