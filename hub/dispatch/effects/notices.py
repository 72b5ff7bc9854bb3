"""Where a notification stands before and after an attempt, as pure functions."""

from collections.abc import Mapping
from random import Random

from hub.dispatch.effects.machine import Step
from hub.dispatch.effects.notifier import TAKEN, Declined, Later, Sent, Told, Unsure
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
        case Sent(reason, made=made, each=each):
            sent = intent._replace(
                state=State.DELIVERED, attempts=attempts, sends=intent.sends + 1, reason=reason[:_REASON]
            )
            return _final(sent, made, each)
        case Declined(reason, each=each):
            tried = intent._replace(attempts=attempts)
            return _given_up(tried, _in_all(tried, reason, each), each)
        case Later(reason, after_us, taken=taken, each=each):
            tried = intent._replace(attempts=attempts, sends=max(intent.sends, int(taken)))
            reason = _in_all(tried, reason, each)
            wait = next_wait_us(attempts, WAITS, random, after_us)
            if wait is None:
                return _given_up(tried, reason, each)
            return Step(tried._replace(due=now_us + wait, state=State.READY, reason=reason[:_REASON]), None)
        case Unsure(reason):
            return _parked(intent, reason)


def suppressed(intent: Intent, reason: str) -> Step:
    """Return the end of a message that may not go to whom it is for."""
    if intent.sends:
        return _given_up(intent, f"{intent.reason}; not tried again: {reason}", {})
    return _final(intent._replace(state=State.SUPPRESSED, reason=reason[:_REASON]))


def _given_up(intent: Intent, reason: str, each: Mapping[str, str]) -> Step:
    """Return the end of a message that not every device has: delivered where one has it."""
    state = State.DELIVERED if intent.sends else State.EXHAUSTED
    return _final(intent._replace(state=state, reason=reason[:_REASON]), each=each)


def _in_all(intent: Intent, reason: str, each: Mapping[str, str]) -> str:
    """Return the reason with what the channel does not know any more: it forgets who has a message when the hub is restarted."""
    known = TAKEN in each.values()
    return reason if known or not intent.sends else f"some devices took it before; {reason}"


def _parked(intent: Intent, reason: str) -> Step:
    return _final(
        intent._replace(
            state=State.PARKED, attempts=intent.attempts + 1, sends=intent.sends + 1, reason=reason[:_REASON]
        )
    )


def _final(intent: Intent, made: str = "", each: Mapping[str, str] | None = None) -> Step:
    """Return the end of a message; later steps read what there is now in another system, or what each device made of it."""
    after = ({"id": made} if made else {}) | ({"devices": dict(each)} if each else {})
    outcome = Outcome(
        intent.key,
        intent.verb,
        intent.state.value,
        reason=intent.reason,
        after=after or None,
        sends=intent.sends,
    )
    return Step(intent, outcome)
