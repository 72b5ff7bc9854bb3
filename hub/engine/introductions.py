"""Keys that are no accounts, made known to workflows that look at them by the clock: a client nobody hears of has no Monday.

An account's own key says whom it belongs to. It does when a set of workflows goes live that has schedules, or ends of
periods, by such a key; accounts and clients that come later are told of by mail.
"""

from collections.abc import Sequence

import msgspec

from hub.bus.log import InputKind, NewInput
from hub.engine import absence, period_ends, schedules
from hub.engine.account_rows import NOBODY, ClientRow
from hub.engine.keys import KeyedBy, KeyKind, Whose, key_for, partition_of
from hub.engine.program import Absent, PeriodEnd
from hub.engine.scene import Scene
from hub.engine.values import CLIENT
from hub.errors import RecordMalformed
from hub.ids import short_hash

KNOWN = "key.known"


class Introduction(msgspec.Struct, frozen=True):
    """The body of the command `key.known`."""

    client: ClientRow | None = None


_encode = msgspec.json.Encoder(decimal_format="string").encode
_decode = msgspec.json.Decoder(Introduction).decode


def introduce(scene: Scene) -> None:
    """Tell the keys an account belongs to that there is something to do for them by the clock."""
    if scene.state.account is None:
        return
    account, client = scene.account, scene.client
    for program in scene.program.mailed:
        key = key_for(program.kind, Whose(account.server, client.id, account.group, None))
        if not program.by_clock or key is None:
            continue
        body = _encode(Introduction(client if client is not NOBODY else None))
        # One client may have many accounts, and files are edited often: told once for the same schedules.
        parts = " ".join(candidate.part for candidate in program.by_clock)
        once = f"{KNOWN}:{key}:{short_hash(parts)}"
        told = NewInput(partition_of(key), InputKind.COMMAND, key, KNOWN, body, once)
        scene.decision.writing().mail.append(told)


def meet(scene: Scene) -> None:
    """Take the first look at a key that an account spoke of."""
    try:
        told = _decode(scene.item.body)
    except msgspec.DecodeError as problem:
        raise RecordMalformed(f"{KNOWN}: {problem}") from problem
    if scene.state.kind is KeyKind.CLIENT and scene.state.client is None and told.client is not None:
        scene.decision.puts[CLIENT] = scene.client = told.client
    schedules.begin_first(scene)
    for candidate in scene.program.period_ends:
        assert isinstance(candidate.trigger, PeriodEnd)
        period_ends.begin_first(scene, candidate, candidate.trigger)
    for candidate in scene.program.absents:
        assert isinstance(candidate.trigger, Absent)
        absence.begin_first(scene, candidate, candidate.trigger)


def introduces(kind: KeyedBy, type_name: str, dirty: Sequence[str]) -> bool:
    """Return whether an event may be the first by which a key is known; of clients their own events are told anyway."""
    match kind:
        case KeyKind.GROUP:
            return "account.group" in dirty
        case KeyKind.SYMBOL:
            return type_name == "trade.opened"
        case _:
            return False
