"""Requests to other systems: asked once each; whether it is worth asking again, the workflow decides."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from hub.dispatch.effects.machine import Step
from hub.intents.intent import Intent, State
from hub.intents.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Answered:
    """A yes: what came back, of the body what the step's schema names."""

    status: int
    body: Any = None


@dataclass(frozen=True, slots=True)
class Denied:
    """A no, or an answer that is not what the step expects. `later`: it said itself that it took nothing for now."""

    reason: str
    status: int | None = None
    later: bool = False


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Nobody knows what became of it, if it was `sent`."""

    reason: str
    status: int | None = None
    sent: bool = True


Asked = Answered | Denied | Unanswered


class Requester(Protocol):
    @property
    def offers(self) -> frozenset[str]: ...

    def repeatable(self, intent: Intent) -> bool:
        """Return whether it does once what it does, however often it is sent."""

    async def ask(self, intent: Intent) -> Asked:
        """Ask once. Trouble with whoever is asked is an outcome, never an exception."""


def begin(intent: Intent, now_us: int) -> Intent:
    """Return the intent as it must be on disk before a request is sent that must not be sent twice."""
    return intent._replace(
        state=State.SENDING, attempts=intent.attempts + 1, sends=intent.sends + 1, sent_at=now_us
    )


def recover(intent: Intent) -> Step:
    """Return what a start-up makes of a request that was being sent: it may have been taken, so it is not made again."""
    reason = "the hub stopped while it was being sent: nobody knows whether it was taken"
    return _ended(intent, State.EXHAUSTED, reason)


def after_ask(intent: Intent, asked: Asked, *, again: bool) -> Step:
    """Return how the request ended; `again`: making it twice does what making it once does."""
    match asked:
        case Answered(status, body):
            return _ended(intent, State.DELIVERED, "", {"status": status, "body": body})
        case Denied(reason, status, later):
            return _ended(intent, State.EXHAUSTED, reason, {"status": status}, again=later)
        case Unanswered(reason, status, sent):
            return _ended(intent, State.EXHAUSTED, reason, {"status": status}, again=again or not sent)


def _ended(
    intent: Intent, state: State, reason: str, after: Mapping[str, Any] | None = None, *, again: bool = False
) -> Step:
    ended = intent._replace(state=state, attempts=intent.attempts + 1, reason=reason)
    outcome = Outcome(
        intent.key,
        intent.verb,
        state.value,
        reason=reason,
        after=dict(after) if after is not None else None,
        sends=max(intent.sends, 1),
        again=again,
    )
    return Step(ended, outcome)
