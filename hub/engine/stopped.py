"""Bookings a workflow's breaker refused: they stay owed, and are asked for again once it lets them go.

A breaker that is reset makes its workflow live again, and every key is brought in line with that: whatever waits is
looked at then. What that cannot reach, because the breaker was reset before the workflow was in shadow, or before it was
known here what it had refused, a timer looks at: after a minute, and then after as long again as it has waited already.
"""

from typing import Final

from msgspec.structs import replace

from hub.clock import SECOND_US
from hub.engine.ledger import Ledger
from hub.engine.ledgers import ended, is_closing, next_look, timed
from hub.engine.plans import Plan
from hub.engine.scene import Scene

# Why nothing is booked, as a ledger keeps it: in shadow by its file, or until its breaker is reset.
SHADOW: Final = "shadow"
STOPPED: Final = "stopped"
SOON: Final = 60 * SECOND_US
A_DAY: Final = 86_400 * SECOND_US


def refused(scene: Scene, name: str, ledger: Ledger) -> Ledger:
    """Return the ledger after its breaker refused a booking: nothing happened, and what is owed will be asked for again."""
    now = scene.item.at
    since = ledger.stopped or now
    again = now + min(max(now - since, SOON), A_DAY)
    ledger = replace(
        ledger,
        asked=None,
        doubt="",
        held=STOPPED,
        refused=None,
        refused_worth=None,
        aimed=None,
        stopped=since,
        again=again,
    )
    if is_closing(ledger) and ended(scene, name, ledger):
        return ledger
    return timed(scene, name, ledger, next_look(scene, ledger, ledger.due))


def waits_on(scene: Scene, name: str, ledger: Ledger) -> Ledger:
    """Return a ledger whose watch is over as one that waits for its breaker all the same; it is looked at once a day."""
    now = scene.item.at
    return timed(scene, name, ledger, ledger.again if ledger.again > now else now + A_DAY)


def let_go(ledger: Ledger, live: Plan) -> bool:
    """Return whether what spoke against a booking does so no more, with what is live now."""
    return (ledger.held == STOPPED and not live.stopped) or (ledger.held == SHADOW and not live.shadow)


def gone_on(ledger: Ledger) -> Ledger:
    """Return a ledger that was let go, to be looked at: one its breaker stopped is known as such till then, watch or not."""
    return replace(ledger, held=STOPPED if ledger.held == STOPPED else "", stopped=0, again=0)
