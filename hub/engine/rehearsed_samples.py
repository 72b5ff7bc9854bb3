"""What samples lead to in a rehearsal: the inputs the hub's watcher would have made of them."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from hub.bus.log import Input, InputKind
from hub.clock import from_us
from hub.engine import rehearsed
from hub.engine.crossing import Observed
from hub.engine.decide import OBSERVED
from hub.engine.levels import Crossing, Observation, PositionSample, Sample, Seen
from hub.engine.stage_positions import event_of, position_key, relayed
from hub.events.base import AccountRef
from hub.events.catalogue import BY_NAME
from hub.events.facts import make_fact, stored
from hub.events.records import Envelope, decode_data
from hub.events.watched import POSITION_CROSSED
from hub.ids import partition_of


def first_sight(account: str, key: str, seen: Iterable[Observation], at: int) -> Input:
    """Return the command about levels that were not seen before: those of an account, or of one of its positions."""
    body = msgspec.json.encode([Observed(*each) for each in seen])
    server, _, login = account.rpartition(":")
    kind = int(InputKind.COMMAND)
    if key == account:
        return Input(partition_of(server, int(login)), 0, at, kind, key, OBSERVED, None, body)
    told = relayed(server, int(login), key, OBSERVED, body)
    return Input(told.partition, 0, at, kind, told.key, told.ref, None, told.body)


def crossing_input(account: str, crossing: Crossing, at: int) -> Input:
    """Return a crossing as an event of the account."""
    level = crossing.level
    server, _, login = account.rpartition(":")
    name, model, data = event_of(crossing, from_us(at))
    fact = make_fact(
        BY_NAME[name],
        name,
        model.model_validate(data),
        timestamp=from_us(at),
        received_us=at,
        source=rehearsed.SOURCE,
        account=AccountRef(server=server, login=int(login)),
        dedupe_key=f"{level.level_id}:{level.generation}:{crossing.edge}",
    )
    partition = partition_of(server, int(login))
    body = stored(fact.envelope)
    return Input(partition, 0, at, int(InputKind.EVENT), account, fact.envelope.id, None, body)


def told_by(account: str, envelope: Envelope) -> Iterator[tuple[str, Seen]]:
    """Yield the samples a recorded crossing, or the end of a day, was told by, each with whom it is of."""
    record: Any = decode_data(envelope)
    if envelope.type == "day.rolled":
        yield account, Sample(equity=record.equity, balance=record.balance)
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
