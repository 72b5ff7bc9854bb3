"""What samples lead to in a rehearsal: the inputs the hub's watcher would have made of them."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from hub.bus.log import Input, InputKind
from hub.clock import from_us
from hub.engine import rehearsed
from hub.engine.crossing import Observed
from hub.engine.decide import OBSERVED
from hub.engine.levels import Crossing, Observation, PositionSample, Quote, Sample, Seen
from hub.engine.stage_positions import event_of, first_quote, position_key, relayed
from hub.events.base import AccountRef
from hub.events.catalogue import BY_NAME
from hub.events.facts import make_fact, stored
from hub.events.records import Envelope, decode_data
from hub.events.watched import POSITION_CROSSED, SYMBOL, SYMBOL_CROSSED, symbol_key
from hub.ids import partition_of, partition_of_key


def first_sight(account: str, key: str, seen: Iterable[Observation], at: int) -> Input:
    """Return the command about levels that were not seen before: of an account, of one of its positions, or of a symbol."""
    body = msgspec.json.encode([Observed(*each) for each in seen])
    kind = int(InputKind.COMMAND)
    if key.startswith(SYMBOL):
        return Input(partition_of_key(key), 0, at, kind, key, OBSERVED, None, body)
    if key == account:
        return Input(partition_of(*_whose(account)), 0, at, kind, key, OBSERVED, None, body)
    told = relayed(*_whose(account), key, OBSERVED, body)
    return Input(told.partition, 0, at, kind, told.key, told.ref, None, told.body)


def first_quoted(key: str, symbol_class: str | None, at: int) -> Input:
    """Return the word that a symbol is quoted."""
    told = first_quote(key, symbol_class)
    return Input(told.partition, 0, at, int(told.kind), told.key, told.ref, None, told.body)


def crossing_input(account: str, crossing: Crossing, seen: Seen, at: int) -> Input:
    """Return a crossing as an event of the account, or as one of no account where it is a symbol's."""
    level = crossing.level
    name, model, data = event_of(crossing, from_us(at), seen)
    server, login = _whose(account) if account else ("", 0)
    fact = make_fact(
        BY_NAME[name],
        name,
        model.model_validate(data),
        timestamp=from_us(at),
        received_us=at,
        source=rehearsed.SOURCE,
        account=AccountRef(server=server, login=login) if account else None,
        dedupe_key=f"{level.level_id}:{level.generation}:{crossing.edge}",
    )
    body = stored(fact.envelope)
    return Input(level.partition, 0, at, int(InputKind.EVENT), account, fact.envelope.id, None, body)


def _whose(account: str) -> tuple[str, int]:
    server, _, login = account.rpartition(":")
    return server, int(login)


def told_by(account: str, envelope: Envelope) -> Iterator[tuple[str, Seen]]:
    """Yield the samples a recorded crossing, or the end of a day, was told by, each with whom it is of."""
    record: Any = decode_data(envelope)
    if envelope.type == "day.rolled":
        yield account, Sample(equity=record.equity, balance=record.balance)
        return
    if envelope.type == SYMBOL_CROSSED:
        key, degraded = symbol_key(record.server, record.symbol), envelope.flags.degraded
        if record.edge == "crossed":  # before it, the symbol stood on the limit at most
            yield key, _on_its_limit(record)
        yield key, Quote(record.bid, record.ask, degraded)
        return
    if envelope.type == POSITION_CROSSED:
        key = position_key(account.rpartition(":")[0], record.position)
        if record.edge == "crossed":
            yield key, PositionSample(record.position, **{record.field: record.limit})
        degraded = envelope.flags.degraded
        yield key, PositionSample(record.position, **{record.field: record.value}, degraded=degraded)
        return
    if record.peak is not None:  # which it had been at before
        yield account, Sample(**{record.field: record.peak})
    if record.edge == "crossed":  # before it was crossed, the value was not past that limit
        yield account, Sample(**{record.field: record.limit})
    yield account, Sample(**{record.field: record.value}, degraded=envelope.flags.degraded)


def _on_its_limit(record: Any) -> Quote:
    """Return a quote whose field of the crossing is at the limit."""
    bid, ask, limit = record.bid, record.ask, record.limit
    if record.field == "bid":
        return Quote(limit, max(ask, limit))
    if record.field == "ask":
        return Quote(min(bid, limit), limit)
    return Quote(bid, bid + limit)
