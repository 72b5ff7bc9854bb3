"""The life of a manager action, as pure functions: written down before it is sent, looked for when nobody knows.

    READY ──► SENDING ──► APPLIED
      ▲          │  └───► REJECTED     the backend said no, and nothing sent earlier is open
      │          ▼
      │       UNKNOWN ──► APPLIED      a look found it
      │          │ └────► PARKED       a person decides
      └──────────┘                     so many complete looks did not find it, and it may be sent once more

A crash that finds SENDING makes it UNKNOWN. Between two sends of one money operation lie the quiesce and two complete
looks that did not show it, always.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

import msgspec

from hub.clock import MICROSECOND
from hub.dispatch.effects.backend import (
    Applied,
    Doubtful,
    Executed,
    Fields,
    Found,
    NotFound,
    NotSent,
    Refused,
    Seen,
    Unknown,
    Unreadable,
)
from hub.errors import HubError
from hub.intents.intent import MOVES, Intent, State
from hub.intents.outcome import Outcome
from hub.intents.verbs import VERBS


@dataclass(frozen=True, slots=True)
class Policy:
    """`quiesce` is how long something sent may still take effect; `looks` complete reads allow one more send."""

    quiesce: timedelta
    between_looks: timedelta
    looks: int
    sends: int


@dataclass(frozen=True, slots=True)
class Timing:
    """The quiesce must be longer than the gateway can hold a request back plus the lag of its history."""

    money_quiesce: timedelta = timedelta(seconds=60)
    state_quiesce: timedelta = timedelta(seconds=5)
    between_looks: timedelta = timedelta(seconds=10)
    first_retry: timedelta = timedelta(milliseconds=500)
    longest_retry: timedelta = timedelta(seconds=30)


class MoveForbidden(HubError):
    """A bug, stopped before it reaches the store: a state that has ended never moves."""


class Step(NamedTuple):
    """The intent as it stands now, and what the engine is told, if anything."""

    after: Intent
    outcome: Outcome | None


def policy(verb: str, timing: Timing) -> Policy:
    known = VERBS.get(verb)
    if known is not None and known.desired_state:
        return Policy(timing.state_quiesce, timing.between_looks, looks=1, sends=10)
    return Policy(timing.money_quiesce, timing.between_looks, looks=2, sends=2)


def is_money(verb: str) -> bool:
    """Say whether sending it twice would do it twice: money, creating, trading."""
    known = VERBS.get(verb)
    return known is None or (known.is_manager and not known.desired_state)


def begin(intent: Intent, now_us: int) -> Intent:
    """Return the intent as it must be on disk before anything is sent."""
    first = now_us if intent.sent_at is None else intent.sent_at
    return _move(intent, State.SENDING, sends=intent.sends + 1, sent_at=first, looks=0, reason="")


def reject(intent: Intent, reason: str, *, before: Fields | None = None) -> Step:
    """Return it as never to be sent, or not again: of one that was, a person hears."""
    incident = ""
    if intent.sends and is_money(intent.verb):
        reason = f"{reason}; it was sent before and never found, and is not sent again"
        incident = reason
    return _told(_move(intent, State.REJECTED, reason=reason), before=before, incident=incident)


def stop(intent: Intent, reason: str) -> Step:
    """Return it as refused by its workflow's breaker: of what was never sent it is sure that nothing happened."""
    step = reject(intent, reason)
    if intent.sends or step.outcome is None:
        return step
    return step._replace(outcome=msgspec.structs.replace(step.outcome, stopped=True))


def not_yet(intent: Intent, reason: str, now_us: int, timing: Timing) -> Step:
    """Return it as one that waits before anything is sent."""
    return Step(_move(intent, State.READY, due=now_us + _retry_us(intent, timing), reason=reason), None)


def unread(intent: Intent, reason: str, now_us: int, timing: Timing) -> Step:
    """Return one that was sent, where nobody could see afterwards whether what had to hold does."""
    return _unknown(intent, reason, now_us, timing)


def unverified(step: Step, why: str, after: Fields | None) -> Step:
    """Return an action that was applied and did not bring about what had to hold."""
    assert step.outcome is not None
    outcome = msgspec.structs.replace(
        step.outcome, unverified=why, after=dict(after) if after is not None else step.outcome.after
    )
    return Step(step.after._replace(reason=why), outcome)


def recover(intent: Intent, now_us: int, timing: Timing) -> Step:
    """Return what a start-up makes of an intent that was being sent: it may have happened."""
    return _unknown(intent, "the hub stopped while it was being sent", now_us, timing)


def after_execute(intent: Intent, done: Executed, now_us: int, timing: Timing) -> Step:
    match done:
        case Applied(ticket, before, after):
            return _told(_move(intent, State.APPLIED, ticket=ticket), before=before, after=after)
        case Refused(reason, before):
            if intent.sends > 1 and is_money(intent.verb):
                # This sending was refused, but an earlier one may have taken effect meanwhile: look before saying no.
                return _unknown(intent, f"refused when sent again: {reason}", now_us, timing)
            return _told(_move(intent, State.REJECTED, reason=reason), before=before)
        case Unknown(reason):
            return _unknown(intent, reason, now_us, timing)
        case NotSent(reason):
            sends = intent.sends - 1
            after_us = now_us + _retry_us(intent, timing)
            sent_at = intent.sent_at if sends else None
            return Step(
                _move(intent, State.READY, sends=sends, sent_at=sent_at, due=after_us, reason=reason), None
            )


def after_look(intent: Intent, seen: Seen, now_us: int, timing: Timing) -> Step:
    rules = policy(intent.verb, timing)
    match seen:
        case Found(tickets, after):
            ticket = tickets[0] if tickets else None
            return _told(
                _move(intent, State.APPLIED, ticket=ticket), after=after, incident=duplicate(intent, tickets)
            )
        case NotFound() if intent.looks + 1 < rules.looks:
            due = now_us + rules.between_looks // MICROSECOND
            return Step(_move(intent, State.UNKNOWN, looks=intent.looks + 1, due=due), None)
        case NotFound() if intent.sends < rules.sends:
            reason = "not found, so it is sent again"
            return Step(_move(intent, State.READY, looks=intent.looks + 1, due=now_us, reason=reason), None)
        case NotFound():
            reason = (
                f"sent {intent.sends} times and never found: look at the account and decide ({intent.reason})"
            )
            return _told(_move(intent, State.PARKED, looks=intent.looks + 1, reason=reason), incident=reason)
        case Doubtful(reason, _):
            return _told(_move(intent, State.PARKED, reason=reason), incident=reason)
        case Unreadable(reason):
            # An incomplete read proves nothing, and the complete ones must follow one another.
            due = now_us + max(_retry_us(intent, timing), rules.between_looks // MICROSECOND)
            return Step(_move(intent, State.UNKNOWN, looks=0, due=due, reason=reason), None)


def decided(intent: Intent, verdict: State, reason: str, now_us: int) -> Step:
    """Return what a person made of a parked intent: applied, rejected, or ready to be sent once more."""
    if intent.state is not State.PARKED:
        raise MoveForbidden(f"{intent.key} is {intent.state}: only a parked intent waits for a person")
    return _told(_move(intent, verdict, due=now_us, looks=0, reason=reason))


def duplicate(intent: Intent, tickets: tuple[int, ...]) -> str:
    """Return the incident when an operation is there more than once, else nothing."""
    if len(tickets) < 2:
        return ""
    numbers = ", ".join(str(ticket) for ticket in tickets[:10])
    return f"{intent.verb} of {intent.account} is there {len(tickets)} times (tickets {numbers}): reverse all but one"


def _unknown(intent: Intent, reason: str, now_us: int, timing: Timing) -> Step:
    due = now_us + policy(intent.verb, timing).quiesce // MICROSECOND
    moved = _move(intent, State.UNKNOWN, looks=0, due=due, reason=reason)
    return _told(moved)


def _retry_us(intent: Intent, timing: Timing) -> int:
    doublings: int = 1 << min(intent.attempts // 2, 16)
    return min(timing.first_retry * doublings, timing.longest_retry) // MICROSECOND


def _move(
    intent: Intent,
    state: State,
    *,
    due: int | None = None,
    sends: int | None = None,
    looks: int | None = None,
    sent_at: int | None = -1,
    ticket: int | None = None,
    reason: str | None = None,
) -> Intent:
    if state not in MOVES.get(intent.state, frozenset()):
        raise MoveForbidden(f"{intent.key}: {intent.state} never becomes {state}")
    return intent._replace(
        state=state,
        attempts=intent.attempts + 1,  # every move counts, so that one made from an older view is refused
        due=intent.due if due is None else due,
        sends=intent.sends if sends is None else sends,
        looks=intent.looks if looks is None else looks,
        sent_at=intent.sent_at if sent_at == -1 else sent_at,
        ticket=intent.ticket if ticket is None else ticket,
        reason=intent.reason if reason is None else reason,
    )


def _told(
    intent: Intent, *, before: Fields | None = None, after: Fields | None = None, incident: str = ""
) -> Step:
    outcome = Outcome(
        intent=intent.key,
        verb=intent.verb,
        state=intent.state.value,
        ticket=intent.ticket,
        reason=intent.reason,
        before=None if before is None else dict(before),
        after=None if after is None else dict(after),
        sends=intent.sends,
        looks=intent.looks,
        incident=incident,
    )
    return Step(intent, outcome)
