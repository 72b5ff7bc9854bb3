"""Endpoints, deliveries and intents in memory: the same promises as the store, for tests and for trying things out."""

import asyncio
import bisect
import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import final

from typing_extensions import override

from hub.bus.log import Input, NewInput
from hub.bus.pages import BadCursor, Page
from hub.dispatch.outbox import (
    Attempt,
    Deliveries,
    Delivery,
    DeliveryState,
    Endpoint,
    Endpoints,
    Intents,
    Move,
    PutOff,
    Settled,
    endpoint_page,
    is_still,
)
from hub.ids import PARTITIONS
from hub.intents.intent import Intent, State

_Identity = tuple[str, int, int]
_Row = tuple[int, int, int]  # due, partition, n


@final
class MemoryDeliveries(Deliveries):
    """`inputs` stands for the log's table, which the store reads bodies from."""

    def __init__(self, inputs: Iterable[Input] = ()) -> None:
        self.inputs = {(item.partition, item.n): item for item in inputs}
        self._positions = [0] * PARTITIONS
        self._rows: dict[_Identity, Delivery] = {}
        self._waiting: dict[str, list[_Row]] = {}
        self._attempts: dict[_Identity, list[Attempt]] = {}

    @override
    async def fan_out(
        self, positions: Mapping[int, int], deliveries: Sequence[Delivery], attempted: Sequence[Settled] = ()
    ) -> None:
        for partition, n in positions.items():
            self._positions[partition] = max(self._positions[partition], n)
        for delivery in deliveries:
            if (delivery.endpoint, delivery.partition, delivery.n) not in self._rows:
                self._put(delivery)
        for delivery, attempt, _ in attempted:
            self._put(delivery)
            self._attempts.setdefault((delivery.endpoint, delivery.partition, delivery.n), []).append(attempt)

    @override
    async def fanned_out(self) -> list[int]:
        return list(self._positions)

    @override
    async def waiting(self, endpoint: str, *, after: tuple[int, int, int], limit: int) -> list[Delivery]:
        rows = self._waiting.get(endpoint, [])
        start = bisect.bisect_right(rows, after)
        return [
            self._rows[endpoint, partition, n]
            for _, partition, n in itertools.islice(rows, start, start + limit)
        ]

    @override
    async def settle(self, results: Sequence[Settled]) -> None:
        for delivery, attempt, _ in results:
            identity = (delivery.endpoint, delivery.partition, delivery.n)
            stored = self._rows.get(identity)
            if stored is None:
                continue
            if stored.state is DeliveryState.WAITING:
                self._put(delivery)
            self._attempts.setdefault(identity, []).append(attempt)

    @override
    async def put_off(self, moves: Sequence[PutOff]) -> None:
        for delivery, due in moves:
            stored = self._rows.get((delivery.endpoint, delivery.partition, delivery.n))
            if stored is not None and stored.state is DeliveryState.WAITING and stored.due == delivery.due:
                self._put(stored._replace(due=due))

    @override
    async def bodies(self, deliveries: Sequence[Delivery]) -> Mapping[tuple[int, int], Input]:
        rows = [(delivery.partition, delivery.n) for delivery in deliveries]
        return {row: self.inputs[row] for row in rows if row in self.inputs}

    @override
    async def attempts(self, endpoint: str, partition: int, n: int) -> list[Attempt]:
        return list(self._attempts.get((endpoint, partition, n), ()))

    def rows(self) -> list[Delivery]:
        return list(self._rows.values())

    def cancel(self, endpoint: str) -> None:
        for _, partition, n in list(self._waiting.get(endpoint, ())):
            self._put(self._rows[endpoint, partition, n]._replace(state=DeliveryState.CANCELLED))

    def _put(self, delivery: Delivery) -> None:
        identity = (delivery.endpoint, delivery.partition, delivery.n)
        waiting = self._waiting.setdefault(delivery.endpoint, [])
        before = self._rows.get(identity)
        if before is not None and before.state is DeliveryState.WAITING:
            del waiting[bisect.bisect_left(waiting, (before.due, before.partition, before.n))]
        if delivery.state is DeliveryState.WAITING:
            bisect.insort(waiting, (delivery.due, delivery.partition, delivery.n))
        self._rows[identity] = delivery


@final
class MemoryEndpoints(Endpoints):
    def __init__(self, deliveries: MemoryDeliveries | None = None) -> None:
        self._endpoints: dict[str, Endpoint] = {}
        self._deliveries = deliveries

    @override
    async def create(self, endpoint: Endpoint) -> None:
        self._endpoints[endpoint.id] = endpoint

    @override
    async def get(self, endpoint_id: str) -> Endpoint | None:
        return self._endpoints.get(endpoint_id)

    @override
    async def all(self) -> list[Endpoint]:
        return list(self._endpoints.values())

    @override
    async def page(self, *, after: str, limit: int) -> Page[Endpoint]:
        at, _, name = after.partition(",")
        if after and not (at.isdigit() and len(at) <= 18 and name):
            raise BadCursor("that cursor is not one of this hub's: begin again without it")
        found = sorted(self._endpoints.values(), key=lambda endpoint: (endpoint.created_at, endpoint.id))
        if after:
            found = [endpoint for endpoint in found if (endpoint.created_at, endpoint.id) > (int(at), name)]
        return endpoint_page(found[: limit + 1], limit)

    @override
    async def replace(self, before: Endpoint, after: Endpoint) -> bool:
        stored = self._endpoints.get(before.id)
        if not is_still(stored, before):
            return False
        self._endpoints[before.id] = after._replace(secret=stored.secret)
        return True

    @override
    async def replace_secret(self, endpoint_id: str, before: str, after: str) -> bool:
        endpoint = self._endpoints.get(endpoint_id)
        if endpoint is None or endpoint.secret != before:
            return False
        self._endpoints[endpoint_id] = endpoint._replace(secret=after)
        return True

    @override
    async def delete(self, endpoint_id: str) -> bool:
        if self._endpoints.pop(endpoint_id, None) is None:
            return False
        if self._deliveries is not None:
            self._deliveries.cancel(endpoint_id)
        return True


@final
class MemoryIntents(Intents):
    """`told` collects what the engine would read; `before_move` lets a test stop the world at a move."""

    def __init__(self, intents: Iterable[Intent] = ()) -> None:
        self._intents = {intent.key: intent for intent in intents}
        self.told: list[NewInput] = []
        self.before_move: Callable[[Sequence[Move]], Awaitable[None]] | None = None

    def all(self) -> list[Intent]:
        return list(self._intents.values())

    def add(self, *intents: Intent) -> None:
        """Write intents that are not there yet, as the engine's transaction does."""
        for intent in intents:
            self._intents.setdefault(intent.key, intent)

    @override
    async def due(self, now_us: int, limit: int) -> list[Intent]:
        found = [
            intent
            for intent in self._intents.values()
            if intent.state in {State.READY, State.UNKNOWN} and intent.due <= now_us
        ]
        found.sort(key=lambda intent: (intent.priority, intent.due, intent.key))
        return found[:limit]

    @override
    async def in_state(self, state: State, limit: int) -> list[Intent]:
        return [intent for intent in self._intents.values() if intent.state is state][:limit]

    @override
    async def get(self, key: str) -> Intent | None:
        return self._intents.get(key)

    @override
    async def move(self, moves: Sequence[Move]) -> list[bool]:
        if self.before_move is not None:
            await self.before_move(moves)
        await asyncio.sleep(0)  # noqa: TID251 - a real store answers later, never within the call
        made: list[bool] = []
        for before, after, outcome in moves:
            stored = self._intents.get(before.key)
            fits = stored is not None and (stored.state, stored.attempts) == (before.state, before.attempts)
            made.append(fits)
            if fits:
                self._intents[before.key] = after
                if outcome is not None:
                    self.told.append(outcome)
        return made

    @override
    def next_due(self) -> int | None:
        waiting = (
            intent.due for intent in self._intents.values() if intent.state in {State.READY, State.UNKNOWN}
        )
        return min(waiting, default=None)
