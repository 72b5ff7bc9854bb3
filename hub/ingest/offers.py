"""What a watcher tells of levels: an edge as an event, and the first sight of new ones as a command."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from hub.bus.log import InputKind, NewInput
from hub.clock import from_us
from hub.events.base import AccountRef
from hub.events.catalogue import BY_NAME
from hub.events.facts import Fact, make_fact
from hub.events.risk import LevelCrossed, PositionCrossed, SymbolCrossed
from hub.events.watched import (
    POSITION,
    POSITION_CROSSED,
    RELAYED,
    SYMBOL,
    SYMBOL_CROSSED,
    encode_relayed,
)
from hub.ids import account_key
from hub.ingest.levels import Cell, Edge, LevelState, Seen
from hub.ingest.reading import Reading

SOURCE = "watcher"
OBSERVED = "level.observed"
_TEN_DECIMALS = Decimal("1E-10")


class Observed(msgspec.Struct, frozen=True, omit_defaults=True):
    """The first sight of a new level: which side of it the account is on, and beyond it with what."""

    level_id: str
    generation: int
    beyond: bool
    value: Decimal | None = None
    limit: Decimal | None = None


encode_observed = msgspec.json.Encoder().encode
decode_observed = msgspec.json.Decoder(list[Observed]).decode


@dataclass(frozen=True, slots=True)
class Offer:
    """`edge` None is the first sight of a new level."""

    level: LevelState
    cell: Cell
    seen: Seen
    edge: Edge | None
    peak: Decimal | None

    @property
    def reading(self) -> Reading:
        return self.seen.reading


def fact_of(offer: Offer, edge: Edge, now: int, class_of: Callable[[str], str | None]) -> Fact:
    """Return the edge as an event, as it was when it was seen; `class_of` knows the class of a symbol."""
    level, reading, cell = offer.level, offer.reading, offer.cell
    value = reading.values[cell.place]
    assert value is not None
    limit = offer.seen.threshold if edge == "crossed" else offer.seen.rearm
    at = from_us(reading.at)
    told = {
        "level_id": level.level_id,
        "generation": level.generation,
        "field": level.field,
        "edge": edge,
        "side": level.side,
        "value": value,
        "limit": limit.quantize(_TEN_DECIMALS) if _is_longer(limit) else limit,
        "sampled_at": at,
        "sample_age_ms": max(now - reading.at, 0) // 1000,
    }
    data: LevelCrossed | PositionCrossed | SymbolCrossed
    if level.key.startswith(SYMBOL):
        bid, ask, *_ = reading.values
        server, _, symbol = level.key[len(SYMBOL) :].partition(":")
        name = SYMBOL_CROSSED
        quote = {"server": server, "symbol": symbol, "symbol_class": class_of(symbol), "bid": bid, "ask": ask}
        data = SymbolCrossed.model_validate({**quote, **told})
    elif level.key.startswith(POSITION):
        name = POSITION_CROSSED
        data = PositionCrossed.model_validate({"position": int(level.key.rpartition(":")[2]), **told})
    else:
        name = "margin.crossed" if level.field == "margin_level" else "equity.crossed"
        data = LevelCrossed.model_validate({**told, "peak": offer.peak})
    account = None
    if not level.key.startswith(SYMBOL):
        # Not validated again: the sample's account was, where it came in.
        account = AccountRef.model_construct(server=reading.server, login=reading.login)
    fact = make_fact(
        BY_NAME[name],
        name,
        data,
        timestamp=at,
        received_us=now,
        source=SOURCE,
        account=account,
        dedupe_key=f"{level.level_id}:{level.generation}:{edge}",
    )
    # Told where the level is: whoever watches owns that partition, and perhaps no other.
    return fact if account is not None else msgspec.structs.replace(fact, partition=level.partition)


def first_sights(offers: Iterable[Offer]) -> list[NewInput]:
    """Return a command for each account and position, about all new levels of it that were seen."""
    by_key: dict[str, list[Offer]] = {}
    for offer in offers:
        if offer.edge is None:
            by_key.setdefault(offer.level.key, []).append(offer)
    return [_first_sight(key, found) for key, found in by_key.items()]


def _first_sight(key: str, offers: list[Offer]) -> NewInput:
    seen = [_observed(offer) for offer in offers]
    what = "\n".join(f"{item.level_id}:{item.generation}" for item in seen)
    partition, body = offers[0].level.partition, encode_observed(seen)
    unique = f"{OBSERVED}:{key}:{hashlib.sha256(what.encode()).hexdigest()[:32]}"
    if key.startswith(POSITION):
        account = account_key(offers[0].reading.server, offers[0].reading.login)
        body = encode_relayed(key, OBSERVED, body)
        return NewInput(partition, InputKind.COMMAND, account, RELAYED, body, unique)
    return NewInput(partition, InputKind.COMMAND, key, OBSERVED, body, unique)


def _observed(offer: Offer) -> Observed:
    level, beyond = offer.level, offer.cell.beyond(offer.seen)
    if not beyond:
        return Observed(level.level_id, level.generation, beyond=False)
    value, limit = offer.reading.values[offer.cell.place], offer.seen.threshold
    short = limit.quantize(_TEN_DECIMALS) if _is_longer(limit) else limit
    return Observed(level.level_id, level.generation, beyond=True, value=value, limit=short)


def _is_longer(value: Decimal) -> bool:
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent < -10
