"""Where replays are asked for: counted first, begun, looked at, paused, resumed and cancelled."""

import secrets
from datetime import timedelta
from typing import Final, NamedTuple, final

from hub import ids
from hub.bus.pages import Page
from hub.clock import MICROSECOND, Clock, iso
from hub.dispatch.outbox import Endpoint, Endpoints
from hub.dispatch.replaying import Find, look
from hub.dispatch.replays import (
    TURNS,
    Asked,
    LogPages,
    Replay,
    Replays,
    ReplayState,
    Standing,
)
from hub.dispatch.subscriptions import ENABLED
from hub.errors import HubError
from hub.events.declared import Known, nothing_declared
from hub.events.facts import EVENT_PREFIX

COUNTING: Final = 3.0  # seconds a count may take
_AT_ONCE: Final = 500
_BEFORE_RECORDS: Final = timedelta(minutes=1)  # for clocks that differ, and for whoever writes "30 days ago"


class ReplayRefused(HubError):
    """`kind` names the reason for programs."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


class Counted(NamedTuple):
    """What a replay would queue: `matching` events in all, of which so many were delivered before, or wait already.

    `complete` is False when counting was broken off: there are more. `first` and `last` (µs) is when they were learned.
    """

    queued: int
    matching: int
    delivered: int
    waiting: int
    complete: bool
    first: int | None
    last: int | None


@final
class ReplayDesk:
    """`attempts_kept`: how long it is known what was delivered."""

    def __init__(
        self,
        replays: Replays,
        pages: LogPages,
        find: Find,
        endpoints: Endpoints,
        clock: Clock,
        *,
        attempts_kept: timedelta,
        counting: float = COUNTING,
        declared: Known = nothing_declared,
    ) -> None:
        self._replays = replays
        self._pages = pages
        self._find = find
        self._endpoints = endpoints
        self._clock = clock
        self._attempts_kept = attempts_kept
        self._counting = counting
        self._declared = declared

    async def preview(self, endpoint_id: str, asked: Asked) -> Counted | None:
        """Return what would be queued, and queue nothing; None when there is no such endpoint. Raises ReplayRefused."""
        endpoint = await self._endpoints.get(endpoint_id)
        if endpoint is None:
            return None
        return await self._count(await self._planned(endpoint, asked, ""), endpoint)

    async def start(self, endpoint_id: str, asked: Asked, by: str) -> Replay | None:
        """Store the job and return it; None when there is no such endpoint. Raises ReplayRefused."""
        endpoint = await self._endpoints.get(endpoint_id)
        if endpoint is None:
            return None
        if endpoint.state != ENABLED:
            raise ReplayRefused(
                "endpoint-disabled", "enable the endpoint first: nothing is delivered to a disabled one"
            )
        planned = await self._planned(endpoint, asked, by)
        counted = await self._count(planned, endpoint)
        replay = planned._replace(expected=counted.queued if counted.complete else None)
        if not await self._replays.add(replay):
            raise ReplayRefused(
                "replays-open", "as many replays as there may be are open: let some end, or cancel them"
            )
        return replay

    async def get(self, replay_id: str) -> Replay | None:
        return await self._replays.get(replay_id)

    async def page(self, *, after: str, limit: int, endpoint: str = "", state: str = "") -> Page[Replay]:
        return await self._replays.page(after=after, limit=limit, endpoint=endpoint, state=state)

    async def turn(self, replay_id: str, to: ReplayState, by: str) -> Replay | None:
        """Pause, resume or cancel one; None when there is none of that id. Raises ReplayRefused."""
        reason = "" if to is ReplayState.RUNNING else f"by {by}"
        after = await self._replays.turn(replay_id, to, self._clock.now_us(), reason)
        if after is not None:
            return after
        found = await self._replays.get(replay_id)
        if found is None or found.state is to:  # asked for twice: as it is already
            return found
        able = " or ".join(sorted(TURNS[to]))
        raise ReplayRefused(
            "replay-state", f"the replay is {found.state}; only one that is {able} can be {to}"
        )

    async def endpoint_deleted(self) -> None:
        """End the replays of endpoints that are gone."""
        await self._replays.end_orphans(self._clock.now_us())

    async def _planned(self, endpoint: Endpoint, asked: Asked, by: str) -> Replay:
        now = self._clock.now_us()
        asked = self._bounded(asked, now)
        return Replay(
            id="rpl_" + secrets.token_hex(10),
            endpoint=endpoint.id,
            state=ReplayState.RUNNING,
            asked=asked,
            by=by,
            created_at=now,
            updated_at=now,
            ended_at=None,
            place="" if asked.event else await self._replays.place_before(asked.since),
            upto=tuple(await self._replays.fanned_out()),
            reached=asked.since,
            looked=0,
            queued=0,
            left_out=0,
            expected=None,
            reason="",
        )

    def _bounded(self, asked: Asked, now: int) -> Asked:
        if asked.event:
            return asked
        until = min(asked.until, now)
        if asked.since > until:
            raise ReplayRefused("replay-range", f"since lies after {iso(until)}, where the replay would end")
        known = now - (self._attempts_kept + _BEFORE_RECORDS) // MICROSECOND
        if asked.missing and asked.since < known:
            raise ReplayRefused(
                "replay-range",
                f"what was delivered is known since {iso(known)} alone: let missing ones begin there or later",
            )
        return Asked(until, asked.since, asked.types, asked.account, "", asked.missing, asked.rate)

    async def _count(self, replay: Replay, endpoint: Endpoint) -> Counted:
        if replay.asked.event:
            return await self._count_one(replay)
        begun, place = self._clock.monotonic(), replay.place
        queued = matching = 0
        stood = dict.fromkeys(Standing, 0)
        first: int | None = None
        last: int | None = None
        while True:
            seen = await look(self._pages, self._replays, replay, endpoint, place, _AT_ONCE, self._declared())
            queued += len(seen.owed(missing=replay.asked.missing))
            matching += len(seen.wanted)
            for standing in seen.standing.values():
                stood[standing] += 1
            if seen.wanted:
                first = seen.wanted[0].at if first is None else first
                last = seen.wanted[-1].at
            complete = seen.over or seen.next is None
            if complete or self._clock.monotonic() - begun > self._counting:
                break
            place = seen.next or place
        return Counted(
            queued, matching, stood[Standing.DELIVERED], stood[Standing.WAITING], complete, first, last
        )

    async def _count_one(self, replay: Replay) -> Counted:
        key = ids.from_id(EVENT_PREFIX, replay.asked.event)
        item = await self._find(key) if key is not None else None
        if item is None:
            raise ReplayRefused("no-event", "there is no event of that id, or it is kept no longer")
        place = (item.partition, item.n)
        stands = (await self._replays.standing(replay.endpoint, [place])).get(place)
        if stands is Standing.WAITING:
            raise ReplayRefused(
                "delivery-waits", "the event waits for this endpoint already: it is tried again by itself"
            )
        queued = 0 if stands is not None and replay.asked.missing else 1
        return Counted(queued, 1, int(stands is not None), 0, True, item.at, item.at)
