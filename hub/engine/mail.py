"""Events on their way to workflows by client, group, symbol or everything: who hears of one, and what he is told.

The account's own key decides first, and what it then knows of the account goes along: a workflow by another key sees
accounts as they were when each event was decided. Whole rows go, not the fields a workflow names: they are small, and
a workflow that is changed later may read what it likes.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from hub.bus.log import Input, InputKind, NewInput
from hub.engine import introductions
from hub.engine.account_rows import NOBODY, AccountRow, ClientRow
from hub.engine.decision import Decision
from hub.engine.held import PositionRow
from hub.engine.index import Program
from hub.engine.keys import KeyKind, Whose, key_for, kind_of, partition_of
from hub.engine.own import TOLD_BY
from hub.engine.plans import Candidate, Feed, TypePlan
from hub.engine.positions import Moved
from hub.engine.run_rows import NO_EVENT
from hub.engine.scene import Scene
from hub.engine.state import KeyState
from hub.engine.values import Kind, Slot, Value
from hub.errors import RecordMalformed
from hub.events.records import Envelope, decode_data, decode_envelope
from hub.events.watched import SYMBOL_CROSSED


class _Whence(msgspec.Struct, frozen=True):
    row: tuple[int, int] | None = None


class Mail(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of an input of kind MAIL. `parts`: what the account contributes to aggregates over present rows.

    Where those alone are told, there is no event: the account was known before, or has left. `row` is where the event
    stands in the log, its partition and its number there: whoever has counted that log himself counts it no more.
    """

    event: msgspec.Raw
    account: AccountRow
    client: ClientRow | None = None
    parts: Mapping[str, str | None] = {}
    position: PositionRow | None = None
    is_over: bool = False  # the position is
    row: tuple[int, int] | None = None


LARGEST = 2**64  # any ticket is less
NO_PARTS: Mapping[str, str | None] = {}
encode_mail = msgspec.json.Encoder(decimal_format="string").encode
_decode = msgspec.json.Decoder(Mail).decode
_decode_whence = msgspec.json.Decoder(_Whence).decode


def decode_mail(body: bytes) -> Mail:
    try:
        return _decode(body)
    except msgspec.DecodeError as problem:
        raise RecordMalformed(f"not mail: {problem}") from problem


def whence(body: bytes) -> tuple[int, int] | None:
    """Return where the event of a mail stands in the log; None where nobody said."""
    try:
        return _decode_whence(body).row
    except msgspec.DecodeError as problem:
        raise RecordMalformed(f"not mail: {problem}") from problem


def forward(program: Program, item: Input) -> Decision | None:
    """Return the mail about an event that belongs to no account; None where nobody is kept by anything it names."""
    envelope = decode_envelope(item.body)
    if envelope.account is not None:
        return None
    record = decode_data(envelope)
    decision = Decision(item.partition, "", item.n, item.at)
    scene = Scene(program, KeyState(item.partition, ""), item, decision)
    scene.look_at(envelope, record, item.body)
    send(scene, envelope, record, ())
    return decision if decision.mail else None


def send(scene: Scene, envelope: Envelope, record: Any, dirty: tuple[str, ...]) -> None:
    """Tell the keys beside the account that an event concerns, if workflows by such keys could make anything of it."""
    shared = None
    whose, heard = _whose(scene, record), set[str]()
    for program in scene.program.mailed:
        naming = program.naming
        if naming is None:
            key = key_for(program.kind, whose)
        elif _concerns(program, scene, envelope.type, dirty):  # to ask that is less than to work a key out
            key = naming.key(scene.base())
        else:
            continue
        if scene.moved is not None and program.kind is KeyKind.POSITION and program.crosses:
            tell_ended(scene, scene.moved.puts, envelope.id, key)
        if key is None or key in heard:  # of two sets of workflows, one is enough to have it told
            continue
        parts, moved = scene.told.get(key, NO_PARTS), None
        if program.kind is KeyKind.POSITION:
            moved = scene.moved
        is_told = naming or parts or (moved is not None and moved.puts)
        if not is_told and not _concerns(program, scene, envelope.type, dirty):
            continue
        heard.add(key)
        if parts or moved is not None:
            body = _body(scene, parts, moved)
        else:
            body = shared = shared or _body(scene, NO_PARTS, None)
        told = NewInput(partition_of(key), InputKind.MAIL, key, envelope.id, body)
        scene.decision.writing().mail.append(told)
    if scene.told:
        tell_parts(scene, envelope.id, heard)


def tell_ended(scene: Scene, puts: Mapping[Slot, Value | None], ref: str, heard: str | None) -> None:
    """Tell positions that have ended, but the one that has `heard` of it: not every event names all it ends.

    Of one that was closed in part MT4 names the rest anew, and a deal that is taken back may name no position.
    """
    for (kind, name), row in puts.items():
        if kind != Kind.POSITION or row is not None or not name.isdecimal():
            continue
        key = key_for(KeyKind.POSITION, Whose(scene.account.server, None, None, None, int(name)))
        if key is not None and key != heard:
            body = encode_mail(Mail(NO_EVENT, scene.account, is_over=True))
            told = NewInput(partition_of(key), InputKind.MAIL, key, ref, body)
            scene.decision.writing().mail.append(told)


def _body(scene: Scene, parts: Mapping[str, str | None], moved: Moved | None) -> bytes:
    known = scene.client if scene.client is not NOBODY else None
    event = msgspec.Raw(scene.body or b"")
    row, is_over = (moved.row, moved.is_over) if moved is not None else (None, False)
    at = (scene.item.partition, scene.item.n)
    return encode_mail(Mail(event, scene.account, known, parts, row, is_over, at))


def tell_parts(scene: Scene, ref: str, heard: Collection[str] = ()) -> None:
    """Tell the keys that have not `heard` of it with an event what the account contributes to them from now on."""
    known = scene.client if scene.client is not NOBODY else None
    for key, parts in scene.told.items():
        if key not in heard:
            is_another = kind_of(key) is KeyKind.CLIENT and key != f"client={scene.client.id}"
            about = None if is_another else known
            body = encode_mail(Mail(NO_EVENT, scene.account, about, parts))
            told = NewInput(partition_of(key), InputKind.MAIL, key, ref, body)
            scene.decision.writing().mail.append(told)


def _whose(scene: Scene, record: Any) -> Whose:
    client, symbol = getattr(record, "client", None), getattr(record, "symbol", None)
    position, server, group = getattr(record, "position", None), scene.account.server, scene.account.group
    assert scene.envelope is not None
    if not server:  # of no account: whoever told it is known as the server it is of
        server, kind = scene.envelope.source, scene.envelope.type
        symbol = record.name if kind == "symbol.updated" else symbol
        server = record.server if kind == SYMBOL_CROSSED else server
        group = record.name if kind == "group.updated" else None
    return Whose(
        server,
        client if isinstance(client, str) else scene.client.id,
        group,
        symbol if isinstance(symbol, str) else None,
        position if isinstance(position, int) and 0 < position < LARGEST else None,
        record,
    )


def could_concern(program: Program, type_name: str, changed: Sequence[str]) -> bool:
    """Return whether any event of a type that changes this could concern workflows of a kind, whatever else it says."""
    plan = program.for_type(type_name)
    return (
        _concerns_by_type(program, plan, type_name, changed)
        or bool(plan.feeds.items)
        or any(place.items for place in program.candidates(plan, tuple(changed)))
    )


def _concerns_by_type(program: Program, plan: TypePlan, type_name: str, changed: Sequence[str]) -> bool:
    if type_name in TOLD_BY.get(program.kind, ()):
        return True
    if plan.retracted or plan.absents or plan.begins or plan.awaited:
        return True
    if program.kind is KeyKind.CLIENT and plan.of_client:
        return True
    if program.anchored and program.anchored_by(plan, changed):
        return True
    return bool(program.by_clock) and introductions.introduces(program.kind, type_name, changed)


def _concerns(program: Program, scene: Scene, type_name: str, dirty: Sequence[str]) -> bool:
    """Return whether any of the workflows could count the event, start at it, or learn of the client from it."""
    plan = program.for_type(type_name)
    if _concerns_by_type(program, plan, type_name, dirty):
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
