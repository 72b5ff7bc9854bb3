"""Events on their way to workflows by client, group, symbol or everything: who hears of one, and what he is told.

The account's own key decides first, and what it then knows of the account goes along: a workflow by another key sees
accounts as they were when each event was decided. Whole rows go, not the fields a workflow names: they are small, and
a workflow that is changed later may read what it likes.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from hub.bus.log import InputKind, NewInput
from hub.engine.index import Candidate, Feed, Program
from hub.engine.keys import KeyKind, Whose, key_for, partition_of
from hub.engine.scene import Scene
from hub.engine.state import NOBODY, AccountRow, ClientRow
from hub.errors import RecordMalformed
from hub.events.records import Envelope


class Mail(msgspec.Struct, frozen=True):
    """The body of an input of kind MAIL."""

    event: msgspec.Raw
    account: AccountRow
    client: ClientRow | None = None


_encode = msgspec.json.Encoder(decimal_format="string").encode
_decode = msgspec.json.Decoder(Mail).decode


def decode_mail(body: bytes) -> Mail:
    try:
        return _decode(body)
    except msgspec.DecodeError as problem:
        raise RecordMalformed(f"not mail: {problem}") from problem


def send(scene: Scene, envelope: Envelope, record: Any, dirty: tuple[str, ...]) -> None:
    """Tell the keys beside the account that an event concerns, if workflows by such keys could make anything of it."""
    body = None
    for program in scene.program.mailed:
        key = key_for(program.kind, _whose(scene, record))
        if key is None or not _concerns(program, scene, envelope.type, dirty):
            continue
        if body is None:
            known = scene.client if scene.client is not NOBODY else None
            body = _encode(Mail(msgspec.Raw(scene.body or b""), scene.account, known))
        told = NewInput(partition_of(key), InputKind.MAIL, key, envelope.id, body)
        scene.decision.writing().mail.append(told)


def _whose(scene: Scene, record: Any) -> Whose:
    client, symbol = getattr(record, "client", None), getattr(record, "symbol", None)
    return Whose(
        scene.account.server,
        client if isinstance(client, str) else scene.client.id,
        scene.account.group,
        symbol if isinstance(symbol, str) else None,
    )


def _concerns(program: Program, scene: Scene, type_name: str, dirty: Sequence[str]) -> bool:
    """Return whether any of the workflows could count the event, start at it, or learn of the client from it."""
    plan = program.for_type(type_name)
    if plan.retracted or plan.absents or plan.begins or (program.kind is KeyKind.CLIENT and plan.of_client):
        return True
    now = (scene.event, scene.account, scene.client)
    before = (scene.event, scene.account_before, scene.client_before)
    feeds: list[Feed] = []
    plan.feeds.find(now, now, feeds, feeds)
    if feeds:
        return True
    found: list[Candidate] = []
    for place in program.candidates(plan, tuple(dirty)):
        place.find(now, before, found, found)
    return bool(found)
