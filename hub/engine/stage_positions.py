"""What samples lead to where no watcher runs, in stories and rehearsals: of accounts, through them of positions, and of symbols."""

from collections.abc import Iterable
from datetime import datetime

from hub.bus.log import InputKind, NewInput
from hub.engine.levels import Crossing, Quote, Seen
from hub.engine.rows import LevelRow
from hub.events.base import Data
from hub.events.risk import LevelCrossed, PositionCrossed, SymbolCrossed
from hub.events.watched import (
    POSITION,
    POSITION_CROSSED,
    RELAYED,
    SYMBOL,
    SYMBOL_CROSSED,
    SYMBOL_QUOTED,
    decode_rule,
    encode_first_quote,
    encode_relayed,
)
from hub.ids import account_key, partition_of, partition_of_key


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


def told_to(key: str, ref: str, body: bytes = b"") -> NewInput:
    """Return a command for a symbol: nobody stands between."""
    return NewInput(partition_of_key(key), InputKind.COMMAND, key, ref, body)


def first_quote(key: str, symbol_class: str | None) -> NewInput:
    """Return the word that a symbol is quoted."""
    return told_to(key, SYMBOL_QUOTED, encode_first_quote(symbol_class))


def event_of(
    crossing: Crossing, sampled_at: datetime, seen: Seen
) -> tuple[str, type[Data], dict[str, object]]:
    """Return the type, the model and the data of the event a crossing is, of an account, a position or a symbol."""
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
    if isinstance(seen, Quote):
        server, _, symbol = level.key[len(SYMBOL) :].partition(":")
        quote = {"server": server, "symbol": symbol, "bid": seen.bid, "ask": seen.ask}
        return SYMBOL_CROSSED, SymbolCrossed, {**quote, **data}
    name = "margin.crossed" if level.field == "margin_level" else "equity.crossed"
    return name, LevelCrossed, {**data, "peak": peak}
