"""Endpoints: where events are delivered to."""

import secrets
from typing import Annotated, Any

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from hub.api.bodies import answer, read_model
from hub.api.ports import ApiDeps
from hub.api.problems import Problem, not_found
from hub.api.queries import Query
from hub.api.routing import DEPS, PRINCIPAL, Route
from hub.clock import from_us, iso
from hub.control.keys import Scope
from hub.dispatch.endpoint_url import EndpointUrlInvalid
from hub.dispatch.outbox import Endpoint
from hub.dispatch.patterns import PatternInvalid, check_pattern, matches
from hub.dispatch.registration import check_endpoint_url
from hub.dispatch.signing import generate_secret
from hub.events.base import Text
from hub.events.catalogue import BY_NAME, CUSTOM
from hub.events.facts import make_fact
from hub.events.operations import Custom
from hub.ingest.refusals import nearest

TEST_EVENT = "custom.endpoint_test"
_LONGEST_WAIT_S = 7 * 24 * 3600


def _pattern(text: str) -> str:
    try:
        check_pattern(text)
    except PatternInvalid as error:
        raise ValueError(str(error)) from None
    if not any(matches(text, name) for name in BY_NAME) and not text.startswith("custom."):
        fix = nearest(text, [*BY_NAME, *(f"{name.partition('.')[0]}.*" for name in BY_NAME)])
        raise ValueError(f"matches no event type{', ' + fix if fix else ''}")
    return text


Pattern = Annotated[str, AfterValidator(_pattern)]
Url = Annotated[str, Field(min_length=8, max_length=2048)]
Wait = Annotated[float, Field(ge=0, le=_LONGEST_WAIT_S, allow_inf_nan=False)]


class NewEndpoint(BaseModel):
    """`events` are types (trade.closed), families (trade.*) or *; `schedule` waits in seconds before each attempt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Url
    events: Annotated[tuple[Pattern, ...], Field(min_length=1, max_length=64)]
    description: Text = ""
    enabled: bool = True
    schedule: Annotated[tuple[Wait, ...], Field(min_length=1, max_length=20)] | None = None


class EndpointChange(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Url | None = None
    events: Annotated[tuple[Pattern, ...], Field(min_length=1, max_length=64)] | None = None
    description: Text | None = None
    enabled: bool | None = None
    schedule: Annotated[tuple[Wait, ...], Field(min_length=1, max_length=20)] | None = None


def endpoint_json(endpoint: Endpoint, *, secret: bool = False) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": endpoint.id,
        "url": endpoint.url,
        "events": endpoint.events,
        "description": endpoint.description,
        "state": endpoint.state,
        "reason": endpoint.reason or None,
        "schedule": endpoint.schedule,
        "created_at": iso(endpoint.created_at),
    }
    return {**shown, "secret": endpoint.secret} if secret else shown


async def create_endpoint(request: web.Request) -> web.Response:
    app = request.app[DEPS]
    wanted = await read_model(request, NewEndpoint)
    warnings = await _check_url(wanted.url, app)
    endpoint = Endpoint(
        id="ep_" + secrets.token_hex(10),
        url=wanted.url,
        events=wanted.events,
        secret=generate_secret(),
        state="enabled" if wanted.enabled else "disabled",
        description=wanted.description,
        created_at=app.clock.now_us(),
        schedule=wanted.schedule,
    )
    await app.endpoints.create(endpoint)
    await app.endpoints_changed()
    return answer(endpoint_json(endpoint, secret=True) | {"warnings": warnings}, 201)


async def list_endpoints(request: web.Request) -> web.Response:
    Query(request)
    found = sorted(await request.app[DEPS].endpoints.all(), key=lambda item: (item.created_at, item.id))
    return answer({"items": [endpoint_json(endpoint) for endpoint in found], "next": None})


async def get_endpoint(request: web.Request) -> web.Response:
    return answer(endpoint_json(await _found(request)))


async def change_endpoint(request: web.Request) -> web.Response:
    app = request.app[DEPS]
    endpoint = await _found(request)
    change = await read_model(request, EndpointChange)
    warnings = await _check_url(change.url, app) if change.url is not None else ()
    fields: dict[str, Any] = {
        name: value
        for name in ("url", "events", "description")
        if (value := getattr(change, name)) is not None
    }
    if "schedule" in change.model_fields_set:  # null goes back to the usual waits
        fields["schedule"] = change.schedule
    if change.enabled is not None:
        fields["state"] = "enabled" if change.enabled else "disabled"
        fields["reason"] = "" if change.enabled else "switched off by hand"
    endpoint = endpoint._replace(**fields)
    if not await app.endpoints.update(endpoint):
        raise not_found("endpoint of that id")
    await app.endpoints_changed()
    return answer(endpoint_json(endpoint) | {"warnings": warnings})


async def delete_endpoint(request: web.Request) -> web.Response:
    app = request.app[DEPS]
    if not await app.endpoints.delete(request.match_info["id"]):
        raise not_found("endpoint of that id")
    await app.endpoints_changed()
    return web.Response(status=204)


async def test_endpoint(request: web.Request) -> web.Response:
    """Append an event for this endpoint alone: it goes the way every event goes."""
    app = request.app[DEPS]
    endpoint = await _found(request)
    if endpoint.state != "enabled":
        raise Problem(
            409, "endpoint-disabled", "enable the endpoint first: nothing is delivered to a disabled one"
        )
    now_us = app.clock.now_us()
    fact = make_fact(
        CUSTOM,
        TEST_EVENT,
        Custom.model_validate({"endpoint": endpoint.id, "text": "This is a test."}),
        timestamp=from_us(now_us),
        received_us=now_us,
        source=request[PRINCIPAL].source,
        dedupe_key=f"{endpoint.id}:{secrets.token_hex(8)}",
        endpoints=[endpoint.id],
    )
    appended = (await app.log.append([fact]))[0]
    return answer({"event": appended.id}, 202)


async def _found(request: web.Request) -> Endpoint:
    endpoint = await request.app[DEPS].endpoints.get(request.match_info["id"])
    if endpoint is None:
        raise not_found("endpoint of that id")
    return endpoint


async def _check_url(url: str, app: ApiDeps) -> tuple[str, ...]:
    try:
        return await check_endpoint_url(
            url, app.names, allow_loopback=app.allow_loopback_endpoints, networks=app.networks
        )
    except EndpointUrlInvalid as error:
        raise Problem(422, "endpoint-url", str(error)) from None


_NONE = {404: "There is none of that id."}
ROUTES = (
    Route(
        "POST",
        "/v1/endpoints",
        create_endpoint,
        Scope.ENDPOINTS_MANAGE,
        "Register an endpoint; the answer holds its signing secret, this once",
        "endpoints",
        body=NewEndpoint,
        answers={201: "The endpoint with its secret.", 422: "Some fields are not right."},
    ),
    Route("GET", "/v1/endpoints", list_endpoints, Scope.ENDPOINTS_MANAGE, "List endpoints", "endpoints"),
    Route(
        "GET",
        "/v1/endpoints/{id}",
        get_endpoint,
        Scope.ENDPOINTS_MANAGE,
        "Read one endpoint",
        "endpoints",
        answers={200: "The endpoint.", **_NONE},
    ),
    Route(
        "PATCH",
        "/v1/endpoints/{id}",
        change_endpoint,
        Scope.ENDPOINTS_MANAGE,
        "Change an endpoint",
        "endpoints",
        body=EndpointChange,
        answers={200: "The endpoint as it stands now.", **_NONE, 422: "Some fields are not right."},
    ),
    Route(
        "DELETE",
        "/v1/endpoints/{id}",
        delete_endpoint,
        Scope.ENDPOINTS_MANAGE,
        "Delete an endpoint and cancel what waits for it",
        "endpoints",
        answers={204: "Gone.", **_NONE},
    ),
    Route(
        "POST",
        "/v1/endpoints/{id}/test",
        test_endpoint,
        Scope.ENDPOINTS_MANAGE,
        "Send a test event to this endpoint alone",
        "endpoints",
        answers={202: "The id of the event.", **_NONE, 409: "The endpoint is disabled."},
    ),
)
