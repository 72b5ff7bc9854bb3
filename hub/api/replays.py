"""Replays: events that are delivered to an endpoint once more, as jobs that can be followed, paused and cancelled."""

from typing import Annotated, Any, Self

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from hub.api.bodies import answer, read_model
from hub.api.deliveries import found_delivery
from hub.api.endpoint_models import Pattern
from hub.api.problems import Problem, not_found
from hub.api.queries import Query
from hub.api.routing import DEPS, PAGED, PRINCIPAL, Route
from hub.clock import iso, to_us
from hub.control.keys import Principal, Scope
from hub.dispatch.replay_desk import Counted, ReplayDesk, ReplayRefused
from hub.dispatch.replays import HIGHEST_RATE, LOWEST_RATE, USUAL_RATE, Asked, Replay, ReplayState
from hub.events.base import Moment

_FOR_EVER = 2**62
_BAD_RANGE = frozenset({"replay-range", "no-event"})


class NewReplay(BaseModel):
    """Which events go to the endpoint once more: one by its id, or those learned since a time that match it now."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: Annotated[
        str | None,
        StringConstraints(strict=True, pattern=r"^evt_[a-z2-7]{26}$"),
        Field(description="This event alone, whether or not the endpoint's patterns match it."),
    ] = None
    since: Annotated[
        Moment | None, Field(description="Events the hub learned then or later; needed without `event`.")
    ] = None
    until: Annotated[Moment | None, Field(description="And not later than this; now when left out.")] = None
    types: Annotated[
        tuple[Pattern, ...], Field(max_length=64, description="Of these types alone: trade.closed, trade.*")
    ] = ()
    account: Annotated[
        str | None,
        StringConstraints(strict=True, max_length=128, pattern=r"^[^:\x00-\x20]{1,64}:[0-9]{1,20}$"),
        Field(description='Of this account alone: "server:login".'),
    ] = None
    missing: Annotated[
        bool, Field(strict=True, description="Leave out what was ever delivered to this endpoint.")
    ] = False
    rate: Annotated[
        int, Field(strict=True, ge=LOWEST_RATE, le=HIGHEST_RATE, description="At most so many a second.")
    ] = USUAL_RATE

    @model_validator(mode="after")
    def _one_or_since(self) -> Self:
        if self.event is None:
            if self.since is None:
                raise PydanticCustomError(
                    "hub", "say `since` when, or which `event`: nobody replays everything by mistake"
                )
        elif self.since or self.until or self.types or self.account:
            raise PydanticCustomError("hub", "`event` names one: leave out since, until, types and account")
        return self

    def asked(self) -> Asked:
        return Asked(
            until=_FOR_EVER if self.until is None else to_us(self.until),
            since=0 if self.since is None else to_us(self.since),
            types=self.types,
            account=self.account or "",
            event=self.event or "",
            missing=self.missing,
            rate=self.rate,
        )


def replay_json(replay: Replay) -> dict[str, Any]:
    asked = replay.asked
    return {
        "id": replay.id,
        "endpoint": replay.endpoint,
        "state": replay.state.value,
        "reason": replay.reason or None,
        "asked": {
            "event": asked.event or None,
            "since": None if asked.event else iso(asked.since),
            "until": None if asked.event else iso(asked.until),
            "types": asked.types,
            "account": asked.account or None,
            "missing": asked.missing,
            "rate": asked.rate,
        },
        "looked": replay.looked,
        "queued": replay.queued,
        "left_out": replay.left_out,
        "expected": replay.expected,
        "progress": _progress(replay),
        "by": replay.by,
        "created_at": iso(replay.created_at),
        "updated_at": iso(replay.updated_at),
        "ended_at": None if replay.ended_at is None else iso(replay.ended_at),
    }


def _progress(replay: Replay) -> float:
    """Return from 0 to 1 how far it is: by what was counted before, or else by the time it has reached."""
    if replay.state is ReplayState.DONE:
        return 1.0
    if replay.expected:
        return round(min(replay.queued / replay.expected, 1.0), 4)
    span = replay.asked.until - replay.asked.since
    return round(min(max((replay.reached - replay.asked.since) / span, 0.0), 1.0), 4) if span > 0 else 0.0


def _counted_json(counted: Counted) -> dict[str, Any]:
    return {
        "queued": counted.queued,
        "matching": counted.matching,
        "delivered": counted.delivered,
        "waiting": counted.waiting,
        "complete": counted.complete,
        "first": None if counted.first is None else iso(counted.first),
        "last": None if counted.last is None else iso(counted.last),
    }


async def start_replay(request: web.Request) -> web.Response:
    desk = _desk(request)
    preview = _wants_preview(request)
    given = await read_model(request, NewReplay)
    endpoint = request.match_info["id"]
    try:
        if preview:
            counted = await desk.preview(endpoint, given.asked())
            if counted is not None:
                return answer(_counted_json(counted))
        else:
            replay = await desk.start(endpoint, given.asked(), request[PRINCIPAL].name)
            if replay is not None:
                return answer(replay_json(replay), 202)
    except ReplayRefused as refused:
        raise _problem(refused) from None
    raise not_found("endpoint of that id")


async def replay_delivery(request: web.Request) -> web.Response:
    desk = _desk(request)
    delivery = await found_delivery(request)
    try:
        replay = await desk.start(
            delivery.endpoint, Asked(until=_FOR_EVER, event=delivery.event_id), request[PRINCIPAL].name
        )
    except ReplayRefused as refused:
        raise _problem(refused) from None
    if replay is None:
        raise not_found("endpoint of that delivery any more")
    return answer(replay_json(replay), 202)


async def list_replays(request: web.Request) -> web.Response:
    query = Query(request, *PAGED, "endpoint", "state")
    page = await _desk(request).page(
        after=query.text("after"),
        limit=query.limit(),
        endpoint=query.text("endpoint"),
        state=query.choice("state", *ReplayState),
    )
    return answer({"items": [replay_json(replay) for replay in page.items], "next": page.next})


async def get_replay(request: web.Request) -> web.Response:
    found = await _desk(request).get(request.match_info["id"])
    if found is None:
        raise not_found("replay of that id")
    return answer(replay_json(found))


async def pause_replay(request: web.Request) -> web.Response:
    return await _turn(request, ReplayState.PAUSED)


async def resume_replay(request: web.Request) -> web.Response:
    return await _turn(request, ReplayState.RUNNING)


async def cancel_replay(request: web.Request) -> web.Response:
    return await _turn(request, ReplayState.CANCELLED)


async def _turn(request: web.Request, to: ReplayState) -> web.Response:
    try:
        after = await _desk(request).turn(request.match_info["id"], to, request[PRINCIPAL].name)
    except ReplayRefused as refused:
        raise _problem(refused) from None
    if after is None:
        raise not_found("replay of that id")
    return answer(replay_json(after))


def _desk(request: web.Request) -> ReplayDesk:
    """Return the desk, to keys that may see every server's events."""
    who: Principal = request[PRINCIPAL]
    if request.method != "GET" and who.servers is not None:
        raise Problem(
            403, "other-server", "this key is for some servers, and a replay may hold events of all"
        )
    return request.app[DEPS].replays


def _wants_preview(request: web.Request) -> bool:
    told = Query(request, "preview").choice("preview", "true", "false", "1", "0")
    return "preview" in request.query and told not in {"false", "0"}


def _problem(refused: ReplayRefused) -> Problem:
    return Problem(422 if refused.kind in _BAD_RANGE else 409, refused.kind, str(refused))


_NONE = {404: "There is none of that id."}
_TURNED = {
    200: "The replay as it stands now.",
    **_NONE,
    409: "It is over, or stands where that cannot be done.",
}
ROUTES = (
    Route(
        "POST",
        "/v1/endpoints/{id}/replay",
        start_replay,
        Scope.ENDPOINTS_MANAGE,
        "Deliver events to an endpoint once more, or count with `preview` what would be delivered",
        "deliveries",
        body=NewReplay,
        parameters=("preview",),
        answers={
            200: "With `preview`: how many would be queued, and how those that match stand; nothing is queued.",
            202: "The replay, which goes on by itself.",
            **_NONE,
            409: "The endpoint is disabled, the event waits for it already, or too many replays are open.",
            422: "Some fields are not right.",
        },
    ),
    Route(
        "POST",
        "/v1/deliveries/{id}/replay",
        replay_delivery,
        Scope.ENDPOINTS_MANAGE,
        "Deliver one event to its endpoint once more",
        "deliveries",
        answers={
            202: "The replay of this one event.",
            **_NONE,
            409: "The endpoint is disabled, or the delivery waits already.",
        },
    ),
    Route(
        "GET",
        "/v1/replays",
        list_replays,
        Scope.READ,
        "List replays, the newest first",
        "deliveries",
        parameters=(*PAGED, "endpoint", "state"),
    ),
    Route(
        "GET",
        "/v1/replays/{id}",
        get_replay,
        Scope.READ,
        "Read how far a replay is",
        "deliveries",
        answers={200: "The replay.", **_NONE},
    ),
    Route(
        "POST", "/v1/replays/{id}/pause", pause_replay, Scope.ENDPOINTS_MANAGE, "Pause a replay", "deliveries",
        answers=_TURNED,
    ),
    Route(
        "POST", "/v1/replays/{id}/resume", resume_replay, Scope.ENDPOINTS_MANAGE, "Let a paused replay go on",
        "deliveries", answers=_TURNED,
    ),
    Route(
        "POST", "/v1/replays/{id}/cancel", cancel_replay, Scope.ENDPOINTS_MANAGE,
        "End a replay; what it has queued goes out", "deliveries", answers=_TURNED,
    ),
)  # fmt: skip
