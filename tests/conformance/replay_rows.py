"""Replays in memory, for the interface alone: they are asked for and turned, and nobody carries them out."""

from collections.abc import Collection, Mapping, Sequence
from typing import final

from typing_extensions import override

from hub.bus.pages import Page
from hub.dispatch.outbox import Delivery, Endpoints
from hub.dispatch.replays import (
    MOST_OPEN,
    OPEN,
    TURNS,
    WITHOUT_ENDPOINT,
    Place,
    Replay,
    Replays,
    ReplayState,
    Room,
    Standing,
    Step,
    replay_page,
    turned,
)
from hub.ids import PARTITIONS


@final
class ReplayRows(Replays):
    def __init__(self, endpoints: Endpoints | None = None) -> None:
        self.endpoints = endpoints
        self.rows: dict[str, Replay] = {}
        self.stands: dict[Place, Standing] = {}

    @override
    async def add(self, replay: Replay) -> bool:
        if sum(row.state in OPEN for row in self.rows.values()) >= MOST_OPEN:
            return False
        self.rows[replay.id] = replay
        return True

    @override
    async def get(self, replay_id: str) -> Replay | None:
        return self.rows.get(replay_id)

    @override
    async def page(self, *, after: str, limit: int, endpoint: str = "", state: str = "") -> Page[Replay]:
        found = [
            row
            for row in reversed(self.rows.values())
            if endpoint in {"", row.endpoint} and state in {"", row.state}
        ]
        return replay_page(found[: limit + 1], limit)

    @override
    async def running(self) -> list[Replay]:
        return [row for row in self.rows.values() if row.state is ReplayState.RUNNING]

    @override
    async def turn(self, replay_id: str, to: ReplayState, now_us: int, reason: str) -> Replay | None:
        found = self.rows.get(replay_id)
        if found is None or found.state not in TURNS[to]:
            return None
        self.rows[replay_id] = turned(found, to, now_us, reason)
        return self.rows[replay_id]

    @override
    async def end_orphans(self, now_us: int) -> int:
        there = {endpoint.id for endpoint in await self.endpoints.all()} if self.endpoints else set()
        orphans = [row for row in self.rows.values() if row.state in OPEN and row.endpoint not in there]
        for row in orphans:
            self.rows[row.id] = turned(row, ReplayState.CANCELLED, now_us, WITHOUT_ENDPOINT)
        return len(orphans)

    @override
    async def step(
        self, replay: Replay, step: Step, deliveries: Sequence[Delivery], now_us: int
    ) -> list[Delivery] | None:
        return None

    @override
    async def room(self, endpoint: str, now_us: int, most: int) -> Room:
        return Room(0, 0)

    @override
    async def standing(self, endpoint: str, places: Collection[Place]) -> Mapping[Place, Standing]:
        return {place: self.stands[place] for place in places if place in self.stands}

    @override
    async def fanned_out(self) -> list[int]:
        return [2**40] * PARTITIONS

    @override
    async def place_before(self, at_us: int) -> str:
        return ""
