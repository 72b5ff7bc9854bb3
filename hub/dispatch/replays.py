"""Replays: events that are delivered to an endpoint once more, as durable jobs with a place in the log."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

import msgspec

from hub.bus.log import Input
from hub.bus.pages import Page
from hub.dispatch.outbox import Delivery

MOST_OPEN: Final = 100
KEPT: Final = timedelta(days=90)  # after its end
LOWEST_RATE: Final = 1
HIGHEST_RATE: Final = 1_000
USUAL_RATE: Final = 100

WITHOUT_ENDPOINT: Final = "the endpoint was deleted"

Place = tuple[int, int]  # partition, n


class ReplayState(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"  # all of it is queued, and each delivery goes its own way from there
    CANCELLED = "cancelled"


OPEN: Final = frozenset({ReplayState.RUNNING, ReplayState.PAUSED})
# From where each state can be entered by somebody's word; the job itself goes from running to done.
TURNS: Final[Mapping[ReplayState, frozenset[ReplayState]]] = {
    ReplayState.PAUSED: frozenset({ReplayState.RUNNING}),
    ReplayState.RUNNING: frozenset({ReplayState.PAUSED}),
    ReplayState.CANCELLED: OPEN,
}


class Asked(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which events: one by its id, or those the hub learned from `since` up to `until` (µs) that the rest lets through.

    `missing` leaves out what was delivered. `rate` is how many a second are queued at most.
    """

    until: int
    since: int = 0
    types: tuple[str, ...] = ()
    account: str = ""
    event: str = ""
    missing: bool = False
    rate: int = USUAL_RATE


class Replay(NamedTuple):
    """`place` is how far the log was looked through, and `reached` (µs) the moment there.

    `upto` is how far the fan-out had come when it was asked for: what lies behind goes out without any replay. `looked`
    counts events, `queued` deliveries, `left_out` what waits or was delivered already.
    """

    id: str
    endpoint: str
    state: ReplayState
    asked: Asked
    by: str
    created_at: int
    updated_at: int
    ended_at: int | None
    place: str
    upto: tuple[int, ...]
    reached: int
    looked: int
    queued: int
    left_out: int
    expected: int | None
    reason: str


class Step(NamedTuple):
    """How far one step has looked; `over` when nothing is left to look at."""

    place: str
    reached: int
    looked: int
    left_out: int
    over: bool


class Room(NamedTuple):
    """What waits for an endpoint, as far as it was counted: `ready` is due now."""

    ready: int
    waiting: int


class Standing(StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"


class Replays(Protocol):
    """The jobs, beside the deliveries they make; jobs of an endpoint are worked on by who owns it."""

    async def add(self, replay: Replay) -> bool:
        """Store a new one; False when as many as there may be are open. Those that ended long ago go."""

    async def get(self, replay_id: str) -> Replay | None: ...

    async def page(self, *, after: str, limit: int, endpoint: str = "", state: str = "") -> Page[Replay]:
        """Return replays, the newest first. Raises BadCursor."""

    async def running(self) -> list[Replay]: ...

    async def turn(self, replay_id: str, to: ReplayState, now_us: int, reason: str) -> Replay | None:
        """Put it into that state if `TURNS` lets it; None when it stands elsewhere, or nowhere."""

    async def end_orphans(self, now_us: int) -> int:
        """Cancel the open ones whose endpoint is gone; return how many those were."""

    async def step(
        self, replay: Replay, step: Step, deliveries: Sequence[Delivery], now_us: int
    ) -> list[Delivery] | None:
        """Queue deliveries and move on in one transaction; return those that were queued.

        What waits is left out, and what was delivered if only missing ones are asked for. None, and nothing written,
        when the job no longer runs from where `replay` stands, or its endpoint is not enabled.
        """

    async def room(self, endpoint: str, now_us: int, most: int) -> Room:
        """Count what waits for an endpoint, up to `most`."""

    async def standing(self, endpoint: str, places: Collection[Place]) -> Mapping[Place, Standing]:
        """Say which of these wait for the endpoint, or were ever delivered to it; waiting wins."""

    async def fanned_out(self) -> list[int]:
        """Return how far the log was read for deliveries, per partition."""

    async def place_before(self, at_us: int) -> str:
        """Return the cursor of a page of events that begins with the first one learned at a moment or after it."""


class LogPages(Protocol):
    """What a replay reads of the log."""

    async def events(
        self, *, after: str, limit: int, types: Sequence[str] = (), account: str = ""
    ) -> Page[Input]: ...


def turned(replay: Replay, to: ReplayState, now_us: int, reason: str) -> Replay:
    """Return a replay as it stands after somebody's word."""
    ended = now_us if to is ReplayState.CANCELLED else None
    return replay._replace(state=to, updated_at=now_us, ended_at=ended, reason=reason)


def left_out(*, missing: bool) -> frozenset[Standing]:
    """Return what is not queued: what waits comes anyway, and what was delivered is not missing."""
    return frozenset(Standing) if missing else frozenset({Standing.WAITING})


def still_owed(
    replay: Replay, deliveries: Sequence[Delivery], standing: Mapping[Place, Standing]
) -> list[Delivery]:
    """Return those to queue."""
    out = left_out(missing=replay.asked.missing)
    return [delivery for delivery in deliveries if standing.get((delivery.partition, delivery.n)) not in out]


def advanced(replay: Replay, step: Step, queued: int, left_out: int, now_us: int) -> Replay:
    """Return a replay as it stands after a step."""
    return replay._replace(
        state=ReplayState.DONE if step.over else replay.state,
        updated_at=now_us,
        ended_at=now_us if step.over else None,
        place=step.place,
        reached=max(replay.reached, step.reached),
        looked=replay.looked + step.looked,
        queued=replay.queued + queued,
        left_out=replay.left_out + step.left_out + left_out,
    )


def replay_page(found: Sequence[Replay], limit: int) -> Page[Replay]:
    """Return a page of one row more than it may have, so that it is known whether there are more."""
    items = found[:limit]
    return Page(items, f"{items[-1].created_at},{items[-1].id}" if len(found) > limit else None)


_upto: Final = msgspec.json.Decoder(tuple[int, ...])
_asked: Final = msgspec.json.Decoder(Asked)


def replay_row(replay: Replay) -> tuple[str | int | None, ...]:
    """Return a replay as both stores keep it: what is a record stands there as JSON."""
    asked, upto = msgspec.json.encode(replay.asked).decode(), msgspec.json.encode(replay.upto).decode()
    return (*replay[:3], asked, *replay[4:9], upto, *replay[10:])


def replay_of(row: Sequence[object]) -> Replay:
    state, asked, upto = ReplayState(str(row[2])), _asked.decode(str(row[3])), _upto.decode(str(row[9]))
    return Replay._make((*row[:2], state, asked, *row[4:9], upto, *row[10:]))
