"""Events on their way to workflows by client, group, symbol or everything: who hears of one, and what he is told.

The account's own key decides first, and what it then knows of the account goes along: a workflow by another key sees
accounts as they were when each event was decided. Whole rows go, not the fields a workflow names: they are small, and
a workflow that is changed later may read what it likes.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from hub.bus.log import InputKind, NewInput
from hub.engine.index import Candidate, Feed, Program
from hub.engine.keys import KeyKind, Whose, key_for, kind_of, partition_of
from hub.engine.scene import Scene
from hub.engine.state import NO_EVENT, NOBODY, AccountRow, ClientRow
from hub.errors import RecordMalformed
from hub.events.records import Envelope


class Mail(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of an input of kind MAIL. `parts`: what the account contributes to aggregates over present rows.

    Where those alone are told, there is no event: the account was known before, or has left.
    """

    event: msgspec.Raw
    account: AccountRow
    client: ClientRow | None = None
    parts: Mapping[str, str | None] = {}


NO_PARTS: Mapping[str, str | None] = {}
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
    heard: set[str] = set()
    for program in scene.program.mailed:
        key = key_for(program.kind, _whose(scene, record))
        parts = scene.told.get(key or "", NO_PARTS)
        if key is None or not (parts or _concerns(program, scene, envelope.type, dirty)):
            continue
        heard.add(key)
        if parts:
            told = NewInput(partition_of(key), InputKind.MAIL, key, envelope.id, _body(scene, parts))
        else:
            body = body or _body(scene, NO_PARTS)
            told = NewInput(partition_of(key), InputKind.MAIL, key, envelope.id, body)
        scene.decision.writing().mail.append(told)
    if scene.told:
        tell_parts(scene, envelope.id, heard)


def _body(scene: Scene, parts: Mapping[str, str | None]) -> bytes:
    known = scene.client if scene.client is not NOBODY else None
    return _encode(Mail(msgspec.Raw(scene.body or b""), scene.account, known, parts))


def tell_parts(scene: Scene, ref: str, heard: Collection[str] = ()) -> None:
    """Tell the keys that have not `heard` of it with an event what the account contributes to them from now on."""
    known = scene.client if scene.client is not NOBODY else None
    for key, parts in scene.told.items():
        if key not in heard:
            about = (
                known if kind_of(key) is not KeyKind.CLIENT or key == f"client={scene.client.id}" else None
            )
            body = _encode(Mail(NO_EVENT, scene.account, about, parts))
            told = NewInput(partition_of(key), InputKind.MAIL, key, ref, body)
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
