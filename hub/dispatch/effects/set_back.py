"""How long an intent may have to wait at the most: what waits for longer was written by a clock that ran ahead."""

from collections.abc import Iterable

from hub.clock import MICROSECOND
from hub.dispatch.effects import machine
from hub.dispatch.effects.machine import Timing
from hub.dispatch.outbox import Move
from hub.dispatch.schedule import LONGEST_WAIT_US
from hub.dispatch.set_back import due_instead
from hub.intents.intent import Intent
from hub.intents.verbs import VERBS


def is_manager(intent: Intent) -> bool:
    verb = VERBS.get(intent.verb)
    return verb is None or verb.is_manager


def longest_us(intent: Intent, timing: Timing) -> int:
    """Return how far ahead it may be due.

    What was never tried: as far as it was decided to be, which is not at all. A message that was tried: its channel may
    have been asked to wait for a day.
    """
    if not intent.attempts:
        return max(intent.due - intent.at, 0)
    if is_manager(intent):
        rules = machine.policy(intent.verb, timing)
        waits = (rules.quiesce, rules.between_looks, timing.longest_retry)
        return max(waits) // MICROSECOND
    return LONGEST_WAIT_US


def put_right(intents: Iterable[Intent], timing: Timing, now_us: int, back_us: int) -> list[Move]:
    """Return what has those be due by their schedule that would wait for too long; those never tried keep their order."""
    late = sorted(
        (intent for intent in intents if intent.due > now_us + longest_us(intent, timing)),
        key=lambda intent: (intent.due, intent.key),
    )
    moves = []
    for place, intent in enumerate(late):
        if not intent.attempts:
            due = now_us + longest_us(intent, timing) - len(late) + place
        else:
            # Nobody knows how far ahead the clock was just when it was written: rather a minute late than looked for too soon.
            back = 0 if is_manager(intent) else back_us
            due = due_instead(intent.due, longest_us(intent, timing), now_us, back)
        moves.append(Move(intent, intent._replace(due=due)))
    return moves
