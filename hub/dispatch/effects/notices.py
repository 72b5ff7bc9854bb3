"""Where a notification stands after an attempt, as a pure function."""

from random import Random

from hub.dispatch.effects.machine import Step
from hub.dispatch.effects.notifier import Declined, Later, Sent, Told
from hub.dispatch.schedule import next_wait_us
from hub.intents.intent import Intent, State
from hub.intents.outcome import Outcome

# Messages age faster than deliveries: some nine hours in all.
_REASON = 500
WAITS: tuple[float, ...] = (30, 120, 600, 1_800, 7_200, 21_600)


def after_attempt(intent: Intent, told: Told, now_us: int, random: Random) -> Step:
    attempts = intent.attempts + 1
    match told:
        case Sent(reason):
            return _final(
                intent._replace(
                    state=State.DELIVERED, attempts=attempts, sends=intent.sends + 1, reason=reason
                )
            )
        case Declined(reason):
            return _final(intent._replace(state=State.EXHAUSTED, attempts=attempts, reason=reason))
        case Later(reason):
            wait = next_wait_us(attempts, WAITS, random)
            if wait is None:
                return _final(intent._replace(state=State.EXHAUSTED, attempts=attempts, reason=reason))
            return Step(intent._replace(attempts=attempts, due=now_us + wait, reason=reason), None)


def suppressed(intent: Intent, reason: str) -> Step:
    """Return the end of a message that may not go to whom it is for."""
    return _final(intent._replace(state=State.SUPPRESSED, reason=reason[:_REASON]))


def _final(intent: Intent) -> Step:
    outcome = Outcome(intent.key, intent.verb, intent.state.value, reason=intent.reason, sends=intent.sends)
    return Step(intent, outcome)
