"""Levels of positions: a position decides about its own, and their rows live with its account, where samples come in.

So whoever watches an account watches its positions too, whichever partition a position's key is in. Rows go to the
account as commands; what the watcher has to tell a position beside crossings, which are events, comes back as such.
"""

import msgspec

from hub.bus.log import InputKind, NewInput
from hub.engine.account_rows import AccountRow
from hub.engine.held import PositionRow
from hub.engine.keys import KeyKind, partition_of
from hub.engine.own import SLOTS
from hub.engine.program import Crosses, Mode, Workflow
from hub.engine.rows import LevelRow
from hub.engine.scene import Scene
from hub.errors import RecordMalformed
from hub.events.watched import POSITION, RELAYED, decode_relayed, decode_rule, encode_rule
from hub.ids import account_key

WATCH = "level.watch"
OWN = SLOTS[KeyKind.POSITION]

_encode_row = msgspec.json.Encoder().encode
_decode_row = msgspec.json.Decoder(LevelRow).decode


def watches_positions(workflow: Workflow) -> bool:
    """Return whether a workflow has levels of positions."""
    levels = any(isinstance(trigger, Crosses) for trigger in workflow.triggers)
    return levels and workflow.key is KeyKind.POSITION and workflow.mode is not Mode.OFF


def with_owner(scene: Scene, row: PositionRow | None, account: AccountRow) -> PositionRow | None:
    """Return a position as its own key keeps it; where it may have levels, with its account."""
    if row is None or not scene.program.crosses:
        return row
    return msgspec.structs.replace(row, login=account.login)


def belong(scene: Scene) -> None:
    """Between events a position knows its account by name, and nothing else of it."""
    login = _login(scene)
    if login and not scene.account.login:
        scene.account = scene.account_before = AccountRow(_server(scene), login)


def is_known(scene: Scene) -> bool:
    """Return whether the key may have levels though it is no account: a symbol, or an open position of one that was told."""
    if scene.program.kind is KeyKind.SYMBOL:
        return True
    return scene.program.kind is KeyKind.POSITION and bool(_login(scene))


def is_over(scene: Scene) -> bool:
    """Return whether the position has come to its end with this input."""
    puts = scene.decision.puts
    return OWN in puts and puts[OWN] is None


def send_row(scene: Scene, row: LevelRow) -> None:
    """Have the account keep a row about one of its positions."""
    login = _login(scene) or scene.account.login  # an event of another account may name the position
    account = account_key(_server(scene), login)
    rule = encode_rule(msgspec.structs.replace(decode_rule(row.rule), login=login))
    partition = partition_of(account)
    body = _encode_row(row._replace(partition=partition, rule=rule))
    told = NewInput(partition, InputKind.COMMAND, account, WATCH, body)
    scene.decision.writing().mail.append(told)


def watch(scene: Scene) -> None:
    """Keep a row that one of the account's positions asks for."""
    try:
        row = _decode_row(scene.item.body)
    except msgspec.DecodeError as problem:
        raise RecordMalformed(f"{WATCH}: {problem}") from problem
    if not row.key.startswith(POSITION) or row.partition != scene.state.partition:
        raise RecordMalformed(f"{WATCH}: no row about a position of this account: {row.key}")
    scene.decision.writing().levels.append(row)


def relay(scene: Scene) -> None:
    """Hand on to a position what the watcher has for it."""
    try:
        told = decode_relayed(scene.item.body)
    except msgspec.DecodeError as problem:
        raise RecordMalformed(f"{RELAYED}: {problem}") from problem
    if not told.key.startswith(POSITION):
        raise RecordMalformed(f"{RELAYED}: no position: {told.key}")
    handed = NewInput(partition_of(told.key), InputKind.COMMAND, told.key, told.ref, bytes(told.body))
    scene.decision.writing().mail.append(handed)


def _login(scene: Scene) -> int:
    row = scene.own if isinstance(scene.own, PositionRow) else scene.state.values.get(OWN)
    return (row.login or 0) if isinstance(row, PositionRow) else 0


def _server(scene: Scene) -> str:
    return scene.state.key[len(POSITION) :].rpartition(":")[0]
