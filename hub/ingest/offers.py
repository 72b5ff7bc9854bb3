"""What a watcher tells of levels: an edge as an event, and the first sight of new ones as a command."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from hub.bus.log import InputKind, NewInput
from hub.clock import from_us
from hub.events.base import AccountRef
from hub.events.catalogue import BY_NAME
from hub.events.facts import Fact, make_fact
from hub.events.risk import LevelCrossed
from hub.ingest.levels import Cell, Edge, LevelState, Seen
from hub.ingest.reading import FIELDS, Reading

SOURCE = "watcher"
OBSERVED = "level.observed"
_TEN_DECIMALS = Decimal("1E-10")


class Observed(msgspec.Struct, frozen=True):
    """The first sight of a new level: which side of it the account is on."""

    level_id: str
    generation: int
    beyond: bool


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


def fact_of(offer: Offer, edge: Edge, now: int) -> Fact:
    """Return the edge as an event, as it was when it was seen."""
    level, reading, cell = offer.level, offer.reading, offer.cell
    value = reading.values[cell.place]
    assert value is not None
    name = "margin.crossed" if level.field == "margin_level" else "equity.crossed"
    limit = offer.seen.threshold if edge == "crossed" else offer.seen.rearm
    at = from_us(reading.at)
    return make_fact(
        BY_NAME[name],
        name,
        LevelCrossed(
            level_id=level.level_id,
            generation=level.generation,
            field=FIELDS[cell.place],
            edge=edge,
            side="below" if level.side == "below" else "above",
            value=value,
            limit=limit.quantize(_TEN_DECIMALS) if _is_longer(limit) else limit,
            sampled_at=at,
            sample_age_ms=max(now - reading.at, 0) // 1000,
            peak=offer.peak,
        ),
        timestamp=at,
        received_us=now,
        source=SOURCE,
        # Not validated again: the sample's account was, where it came in.
        account=AccountRef.model_construct(server=reading.server, login=reading.login),
        dedupe_key=f"{level.level_id}:{level.generation}:{edge}",
    )


def first_sights(offers: Iterable[Offer]) -> list[NewInput]:
    """Return a command for each account, about all new levels of it that were seen."""
    by_account: dict[str, list[Offer]] = {}
    for offer in offers:
        if offer.edge is None:
            by_account.setdefault(offer.level.key, []).append(offer)
    return [_first_sight(key, found) for key, found in by_account.items()]


def _first_sight(key: str, offers: list[Offer]) -> NewInput:
    seen = [
        Observed(offer.level.level_id, offer.level.generation, offer.cell.beyond(offer.seen))
        for offer in offers
    ]
    what = "\n".join(f"{item.level_id}:{item.generation}" for item in seen)
    return NewInput(
        partition=offers[0].level.partition,
        kind=InputKind.COMMAND,
        key=key,
        ref=OBSERVED,
        body=encode_observed(seen),
        unique=f"{OBSERVED}:{key}:{hashlib.sha256(what.encode()).hexdigest()[:32]}",
    )


def _is_longer(value: Decimal) -> bool:
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent < -10
