"""What was so before a promise for ever began is not paid for: neither what held already, nor what is told afterwards."""

from hub.bus.log import Input, InputKind
from hub.engine.decision import Verdict
from hub.engine.ledger import AGES, Ledger
from hub.engine.ledgers import is_new, keep, turn_down
from hub.engine.program import Grant
from hub.engine.scene import Scene
from hub.events.facts import us_of
from hub.events.records import decode_envelope


def was_before(scene: Scene, name: str, ledger: Ledger, grant: Grant, reason: str) -> bool:
    """Turn a promise down that would be owed for what was so before it began; return whether it is."""
    begins = is_new(ledger) and ledger.end == AGES and not grant.on_first
    if not begins or not _is_history(scene.item, ledger.begun):
        return False
    turn_down(scene, name, ledger)
    keep(scene, name, ledger, Verdict.HELD_BACK, f"{reason}, which was so before the promise began")
    return True


def _is_history(item: Input, begun: int) -> bool:
    """Return whether an input is an event the hub was told afterwards, from before a promise began."""
    if item.kind != InputKind.EVENT:
        return False
    envelope = decode_envelope(item.body)
    return envelope.flags.replayed and us_of(envelope.timestamp) < begun
