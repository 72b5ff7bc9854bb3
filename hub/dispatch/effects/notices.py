"""Where a notification stands before and after an attempt, as pure functions."""

from random import Random

from hub.dispatch.effects.machine import Step
from hub.dispatch.effects.notifier import Declined, Later, Sent, Told, Unsure
from hub.dispatch.schedule import next_wait_us
from hub.intents.intent import Intent, State
from hub.intents.outcome import Outcome

# Messages age faster than deliveries: some nine hours in all.
_REASON = 500
WAITS: tuple[float, ...] = (30, 120, 600, 1_800, 7_200, 21_600)


def begin(intent: Intent, now_us: int) -> Intent:
    """Return the intent as it must be on disk before a message is sent that must not be sent twice."""
    return intent._replace(state=State.SENDING, sent_at=now_us)


def recover(intent: Intent) -> Step:
    """Return what a start-up makes of a message that was being sent: it may have been taken, so it is not sent again."""
    reason = "the hub stopped while it was being sent: nobody knows whether it was taken"
    return _parked(intent, reason)


def after_attempt(intent: Intent, told: Told, now_us: int, random: Random) -> Step:
    attempts = intent.attempts + 1
    match told:
        case Sent(reason, made=made):
            return _final(
                intent._replace(
                    state=State.DELIVERED, attempts=attempts, sends=intent.sends + 1, reason=reason
                ),
                made,
            )
        case Declined(reason):
            return _final(intent._replace(state=State.EXHAUSTED, attempts=attempts, reason=reason))
        case Later(reason, after_us):
            wait = next_wait_us(attempts, WAITS, random, after_us)
            if wait is None:
                return _final(intent._replace(state=State.EXHAUSTED, attempts=attempts, reason=reason))
            again = intent._replace(
                state=State.READY, attempts=attempts, due=now_us + wait, reason=reason[:_REASON]
            )
            return Step(again, None)
        case Unsure(reason):
            return _parked(intent, reason)


def suppressed(intent: Intent, reason: str) -> Step:
    """Return the end of a message that may not go to whom it is for."""
    return _final(intent._replace(state=State.SUPPRESSED, reason=reason[:_REASON]))


def _parked(intent: Intent, reason: str) -> Step:
    return _final(
        intent._replace(
            state=State.PARKED, attempts=intent.attempts + 1, sends=intent.sends + 1, reason=reason[:_REASON]
        )
    )


def _final(intent: Intent, made: str = "") -> Step:
    """Return the end of a message; `made` tells later steps what there is now in another system."""
    after = {"id": made} if made else None
    outcome = Outcome(
        intent.key, intent.verb, intent.state.value, reason=intent.reason, after=after, sends=intent.sends
    )
    return Step(intent, outcome)
