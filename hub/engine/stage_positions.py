"""Samples of positions while a story is told: what the hub's watcher would have for each, and through which account."""

from collections.abc import Iterable

from hub.bus.log import InputKind, NewInput
from hub.engine.levels import Crossing
from hub.engine.rows import LevelRow
from hub.events.watched import POSITION, RELAYED, decode_rule, encode_relayed
from hub.ids import account_key, partition_of


def position_key(server: str, ticket: int) -> str:
    return f"{POSITION}{server}:{ticket}"


def relayed(server: str, login: int, key: str, ref: str, body: bytes) -> NewInput:
    """Return a command for a position, as it comes to the account."""
    told = encode_relayed(key, ref, body)
    return NewInput(partition_of(server, login), InputKind.COMMAND, account_key(server, login), RELAYED, told)


def doubted(levels: Iterable[LevelRow], server: str, login: int) -> list[str]:
    """Return the positions of an account somebody has to hear of when nobody sees the account."""
    found = [level.key for level in levels if level.key.startswith(f"{POSITION}{server}:")]
    rules = {level.key: decode_rule(level.rule) for level in levels if level.key in found}
    return [key for key in dict.fromkeys(found) if rules[key].held and rules[key].login == login]


def told_of(crossing: Crossing) -> dict[str, object]:
    """Return what an event says of a position beside what it says of any level."""
    return {"position": int(crossing.level.key.rpartition(":")[2])}
