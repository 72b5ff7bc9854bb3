"""Endpoints: where events are delivered to."""

import secrets
from contextlib import suppress
from typing import Any

import msgspec
from aiohttp import web

from hub.api.bodies import answer, read_model
from hub.api.endpoint_models import EndpointChange, NewEndpoint, endpoint_json, moves_a_secret, options_with
from hub.api.ports import ApiDeps
from hub.api.problems import Problem, not_found
from hub.api.queries import Query
from hub.api.routing import DEPS, PAGED, PRINCIPAL, Route
from hub.clock import from_us
from hub.control.keys import Scope
from hub.dispatch.challenge import Refusal
from hub.dispatch.endpoint_check import KAFKA, faults, kafka_url
from hub.dispatch.endpoint_url import EndpointUrlInvalid, parse_endpoint_url
from hub.dispatch.keyring import generate
from hub.dispatch.options import NO_OPTIONS
from hub.dispatch.outbox import Endpoint
from hub.dispatch.registration import check_endpoint_url
from hub.dispatch.sealed import SealMissing
from hub.dispatch.subscriptions import DISABLED, ENABLED
from hub.errors import StoreUnavailable
from hub.events.catalogue import CUSTOM
from hub.events.facts import make_fact
from hub.events.operations import Custom
from hub.ingest.refusals import FieldError

TEST_EVENT = "custom.endpoint_test"
BY_HAND = "switched off by hand"
MOST_ENDPOINTS = 5_000  # each has a worker of its own
_TRIES = 10
# What a receiver that was asked has agreed to: once one of these changes, it is asked again.
_AGREED = frozenset({"url", "challenge", "headers", "rate", "enabled"})


def endpoint_from(wanted: NewEndpoint, app: ApiDeps) -> Endpoint:
    """Return the endpoint that was asked for, not yet stored. Raises Problem with everything that is wrong."""
    options = options_with(wanted, NO_OPTIONS)
    if wanted.url is None and options.kind == "http":
        raise invalid([FieldError("url", "missing")])
    endpoint = Endpoint(
        id="ep_" + secrets.token_hex(10),
        url=wanted.url or kafka_url(options.topic),
        events=wanted.events,
        secret=generate(wanted.signing),
        state=ENABLED if wanted.enabled else DISABLED,
        description=wanted.description,
        created_at=app.clock.now_us(),
        schedule=wanted.schedule,
        options=options,
    )
    check(endpoint, app)
    return endpoint


def changed(endpoint: Endpoint, change: EndpointChange, app: ApiDeps) -> Endpoint:
    """Return the endpoint as a change makes it. Raises Problem with everything that is wrong then."""
    fields: dict[str, Any] = {
        name: value for name in ("url", "events") if (value := getattr(change, name)) is not None
    }
    if "description" in change.model_fields_set:
        fields["description"] = change.description or ""
    if "schedule" in change.model_fields_set:  # null goes back to the usual waits
        fields["schedule"] = change.schedule
    if change.enabled is not None:
        fields["state"] = ENABLED if change.enabled else DISABLED
        fields["reason"] = "" if change.enabled else BY_HAND
    fields["options"] = options = options_with(change, endpoint.options)
    if options.kind == "kafka" and change.topic is not None:
        fields["url"] = kafka_url(options.topic)
    after = endpoint._replace(**fields)
    check(after, app)
    secret = moves_a_secret(change, endpoint, after)
    if secret is not None:
        # Else whoever may change an endpoint could have the hub send him what it never shows.
        raise invalid(
            [FieldError("headers", f"{secret} was given for another address: give it again, or leave it out")]
        )
    return after


def check(endpoint: Endpoint, app: ApiDeps) -> None:
    found = faults(
        endpoint,
        allow_loopback=app.allow_loopback_endpoints,
        topics=app.topics,
        networks=app.networks,
        declared=app.declared(),
    )
    if [fault.field for fault in found] == ["url"]:
        raise Problem(422, "endpoint-url", found[0].reason, errors=[FieldError("url", found[0].reason)])
    if found:
        raise invalid([FieldError(*fault) for fault in found])


def invalid(errors: list[FieldError]) -> Problem:
    return Problem(422, "invalid", "some fields are not right", errors=errors)


async def asked(endpoint: Endpoint, app: ApiDeps) -> Endpoint:
    """Return an endpoint after its receiver was asked, where it wants that: one that does not agree stays off."""
    if not endpoint.options.challenge or endpoint.state != ENABLED:
        return endpoint
    if app.challenger is None:
        raise Problem(409, "no-challenge", "this process asks no receivers: leave out `challenge`")
    url = parse_endpoint_url(endpoint.url, allow_loopback=app.allow_loopback_endpoints, networks=app.networks)
    try:
        rate = await app.challenger.ask(url, dict(endpoint.options.headers), endpoint.options.rate)
    except Refusal as refusal:
        return endpoint._replace(state=DISABLED, reason=f"not confirmed: {refusal}")
    return endpoint._replace(options=msgspec.structs.replace(endpoint.options, allowed_rate=rate))


def unsealed(missing: SealMissing) -> Problem:
    return Problem(409, "no-sealing-key", str(missing))


async def create_endpoint(request: web.Request) -> web.Response:
    app = request.app[DEPS]
    endpoint = endpoint_from(await read_model(request, NewEndpoint), app)
    if len(await app.endpoints.all()) >= MOST_ENDPOINTS:
        raise Problem(409, "too-many-endpoints", f"there are {MOST_ENDPOINTS}: delete those nobody needs")
    warnings = await leads(endpoint, app)
    endpoint = await asked(endpoint, app)
    try:
        await app.endpoints.create(endpoint)
    except SealMissing as missing:
        raise unsealed(missing) from None
    await app.endpoints_changed()
    return answer(endpoint_json(endpoint, app.clock.now_us(), secret=True) | {"warnings": warnings}, 201)


async def list_endpoints(request: web.Request) -> web.Response:
    query = Query(request, *PAGED)
    app = request.app[DEPS]
    page = await app.endpoints.page(after=query.text("after"), limit=query.limit())
    now_us = app.clock.now_us()
    return answer({"items": [endpoint_json(endpoint, now_us) for endpoint in page.items], "next": page.next})


async def get_endpoint(request: web.Request) -> web.Response:
    return answer(endpoint_json(await found(request), request.app[DEPS].clock.now_us()))


async def change_endpoint(request: web.Request) -> web.Response:
    app = request.app[DEPS]
    before = await found(request)
    change = await read_model(request, EndpointChange)
    for _ in range(_TRIES):
        endpoint = changed(before, change, app)
        warnings = await leads(endpoint, app) if change.url is not None else ()
        if change.model_fields_set & _AGREED:
            endpoint = await asked(endpoint, app)
        try:
            done = await app.endpoints.replace(before, endpoint)
        except SealMissing as missing:
            raise unsealed(missing) from None
        if done:
            await app.endpoints_changed()
            return answer(endpoint_json(endpoint, app.clock.now_us()) | {"warnings": warnings})
        # Somebody else changed it, or it was switched off: what he wrote stays, and this is put on top of it.
        before = await found(request)
    raise Problem(409, "changed-meanwhile", "it is changed again and again just now: look, and ask again")


async def delete_endpoint(request: web.Request) -> web.Response:
    app = request.app[DEPS]
    if not await app.endpoints.delete(request.match_info["id"]):
        raise not_found("endpoint of that id")
    await app.endpoints_changed()
    with suppress(StoreUnavailable):  # deleted it is: whoever carries replays out ends them a little later
        await app.replays.endpoint_deleted()
    return web.Response(status=204)


async def test_endpoint(request: web.Request) -> web.Response:
    """Append an event for this endpoint alone: it goes the way every event goes."""
    app = request.app[DEPS]
    endpoint = await found(request)
    if endpoint.state != ENABLED:
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


async def found(request: web.Request) -> Endpoint:
    endpoint = await request.app[DEPS].endpoints.get(request.match_info["id"])
    if endpoint is None:
        raise not_found("endpoint of that id")
    return endpoint


async def leads(endpoint: Endpoint, app: ApiDeps) -> tuple[str, ...]:
    """Return warnings about where an endpoint's name leads today. Raises Problem for one that leads inside."""
    if endpoint.options.kind == KAFKA:
        return ()
    try:
        return await check_endpoint_url(
            endpoint.url, app.names, allow_loopback=app.allow_loopback_endpoints, networks=app.networks
        )
    except EndpointUrlInvalid as error:
        raise Problem(422, "endpoint-url", str(error), errors=[FieldError("url", str(error))]) from None


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
        answers={
            201: "The endpoint with its secret.",
            409: "There is no key to seal its secret with, or there are too many already.",
            422: "Some fields are not right.",
        },
    ),
    Route(
        "GET",
        "/v1/endpoints",
        list_endpoints,
        Scope.ENDPOINTS_MANAGE,
        "List endpoints, in the order they were made",
        "endpoints",
        parameters=PAGED,
    ),
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
        answers={
            200: "The endpoint as it stands now.",
            **_NONE,
            409: "There is no key to seal its secret with, or others keep changing it.",
            422: "Some fields are not right.",
        },
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
