"""What samples lead to where no watcher runs, in stories and rehearsals: of accounts, and through them of positions."""

from collections.abc import Iterable
from datetime import datetime

from hub.bus.log import InputKind, NewInput
from hub.engine.levels import Crossing
from hub.engine.rows import LevelRow
from hub.events.base import Data
from hub.events.risk import LevelCrossed, PositionCrossed
from hub.events.watched import POSITION, POSITION_CROSSED, RELAYED, decode_rule, encode_relayed
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


def event_of(crossing: Crossing, sampled_at: datetime) -> tuple[str, type[Data], dict[str, object]]:
    """Return the type, the model and the data of the event a crossing is, of an account or of a position."""
    level, edge, value, limit, peak = crossing
    data: dict[str, object] = {
        "level_id": level.level_id,
        "generation": level.generation,
        "field": level.field,
        "edge": edge,
        "side": level.side,
        "value": value,
        "limit": limit,
        "sampled_at": sampled_at,
        "sample_age_ms": 0,
    }
    if level.key.startswith(POSITION):
        return POSITION_CROSSED, PositionCrossed, {"position": int(level.key.rpartition(":")[2]), **data}
    name = "margin.crossed" if level.field == "margin_level" else "equity.crossed"
    return name, LevelCrossed, {**data, "peak": peak}
