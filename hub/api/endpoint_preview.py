"""What an endpoint would be sent for an event, and why it would not be: nothing is stored and nothing is sent."""

import asyncio
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hub.api.bodies import answer, read_model
from hub.api.endpoint_models import EndpointChange, NewEndpoint
from hub.api.endpoints import changed, endpoint_from, found, invalid
from hub.api.ports import ApiDeps
from hub.api.problems import Problem, not_found
from hub.api.routing import DEPS, Route
from hub.bus.log import Input, InputKind
from hub.clock import SECOND_US
from hub.control.keys import Scope
from hub.dispatch import headers as header_rules
from hub.dispatch import signing
from hub.dispatch.content import values_of
from hub.dispatch.filters import standing_filter
from hub.dispatch.formats import JSON, NotShaped
from hub.dispatch.keyring import keyring_of
from hub.dispatch.outbox import Endpoint
from hub.dispatch.patterns import matches
from hub.dispatch.request_maker import former_of, headers_of
from hub.dispatch.subscriptions import ENABLED
from hub.events.base import AccountRef, Moment, Name
from hub.events.catalogue import event_type
from hub.events.declared import Declarations
from hub.events.facts import EVENT_PREFIX, make_fact
from hub.events.records import Wire, decode_envelope, encode
from hub.ids import from_id
from hub.ingest.refusals import FieldError, field_errors

_LATER = "made when it is sent"


class Sample(BaseModel):
    """An event that never was, checked like one that is posted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Name
    timestamp: Moment | None = Field(None, description="Now when left out.")
    account: AccountRef | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class Preview(BaseModel):
    """The event: a stored one by its id, a sample, or the newest of the endpoint's types when both are left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: str | None = Field(None, max_length=64, description="The id of a stored event.")
    sample: Sample | None = Field(None, description="An event written for this.")
    change: EndpointChange | None = Field(
        None, description="Try this change of the endpoint, without making it."
    )


class NewPreview(BaseModel):
    """As for a stored endpoint, with the endpoint itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: NewEndpoint
    event: str | None = Field(None, max_length=64, description="The id of a stored event.")
    sample: Sample | None = Field(None, description="An event written for this.")


async def preview_endpoint(request: web.Request) -> web.Response:
    app = request.app[DEPS]
    endpoint = await found(request)
    wanted = await read_model(request, Preview)
    if wanted.change is not None:
        endpoint = changed(endpoint, wanted.change, app)
    return answer(await _preview(app, endpoint, wanted))


async def preview_new_endpoint(request: web.Request) -> web.Response:
    app = request.app[DEPS]
    wanted = await read_model(request, NewPreview)
    return answer(await _preview(app, endpoint_from(wanted.endpoint, app), wanted))


async def _preview(app: ApiDeps, endpoint: Endpoint, wanted: Preview | NewPreview) -> dict[str, Any]:
    event = await _event(app, endpoint, wanted)
    skipped, why = _verdict(endpoint, event, app.declared())
    request, problem = await _request(app, endpoint, event)
    return {
        "event": {"id": event.id, "type": event.type, "timestamp": event.timestamp},
        "would_send": skipped is None and problem is None,
        "skipped": skipped,
        "why": why,
        "problem": problem,
        "request": request,
    }


async def _event(app: ApiDeps, endpoint: Endpoint, wanted: Preview | NewPreview) -> Wire:
    if wanted.event is not None and wanted.sample is not None:
        raise invalid([FieldError("sample", "there is `event` already: give one of them")])
    if wanted.sample is not None:
        return _sampled(app, wanted.sample)
    if wanted.event is not None:
        key = from_id(EVENT_PREFIX, wanted.event)
        row = await app.log.find(key) if key is not None else None
        if row is None or row.kind != InputKind.EVENT:
            raise not_found("event of that id")
        return _told(row)
    types = () if "*" in endpoint.events else endpoint.events
    newest = (await app.events.events(after="", limit=1, types=types, newest_first=True)).items
    if not newest:
        raise Problem(
            409, "no-event", "there is no event of these types yet: give a `sample` with its type and data"
        )
    return _told(newest[0])


def _told(row: Input) -> Wire:
    event = decode_envelope(row.body)
    return Wire(event.id, event.type, event.timestamp, event.account, row.sequence, event.data)


def _sampled(app: ApiDeps, sample: Sample) -> Wire:
    kind = event_type(sample.type)
    if kind is None:
        raise invalid([FieldError("sample.type", "is no event type")])
    try:
        data = kind.model.model_validate(sample.data)
    except ValidationError as error:
        raise invalid(field_errors(error, kind.model, inside="sample.data")) from error
    event = make_fact(
        kind,
        sample.type,
        data,
        timestamp=sample.timestamp or app.clock.now(),
        received_us=app.clock.now_us(),
        source="preview",
        account=sample.account,
        dedupe_key="preview",
    ).envelope
    sequence = None if event.account is None else 1
    return Wire(event.id or "evt_preview", event.type, event.timestamp, event.account, sequence, event.data)


def _verdict(endpoint: Endpoint, event: Wire, declared: Declarations) -> tuple[str | None, str]:
    """Return why the event would be held back, None when it would not be, and that in words."""
    if endpoint.state != ENABLED:
        return "disabled", f"the endpoint is disabled: {endpoint.reason or 'it was made so'}"
    if not any(matches(pattern, event.type) for pattern in endpoint.events):
        return "type", f"{event.type} is none of {', '.join(endpoint.events)}"
    asks = standing_filter(endpoint, declared)
    if asks is None:
        return None, "the endpoint takes everything of its types"
    values = values_of(event)
    skip = asks.skips(values)
    return (None if skip is None else skip.value), asks.explain(values)


async def _request(app: ApiDeps, endpoint: Endpoint, event: Wire) -> tuple[dict[str, Any] | None, str | None]:
    former = former_of(endpoint)
    body = encode(event)
    if former is not None:
        try:
            # In a thread: a template may take a tenth of a second.
            body = await asyncio.to_thread(former.form, body)
        except NotShaped as problem:
            return None, str(problem)
    options, now_us = endpoint.options, app.clock.now_us()
    plain = headers_of(endpoint, JSON if former is None else former.content_type)
    hidden = {
        name: header_rules.HIDDEN if header_rules.is_secret(name, options.secret_headers) else value
        for name, value in plain.items()
    }
    return {
        "method": "POST" if options.kind == "http" else None,
        "url": endpoint.url,
        "headers": {
            **hidden,
            signing.ID_HEADER: event.id,
            signing.TIMESTAMP_HEADER: str(now_us // SECOND_US),
            # Whoever may look at this may not therefore make requests that seem to come from the hub.
            signing.SIGNATURE_HEADER: " ".join(f"{kind},({_LATER})" for kind in _kinds(endpoint, now_us)),
        },
        "body": body.decode("utf-8", "replace"),
    }, None


def _kinds(endpoint: Endpoint, now_us: int) -> list[str]:
    """Return with what kinds of keys it would be signed."""
    return [key.kind for key in keyring_of(endpoint.secret).live(now_us)]


ROUTES = (
    Route(
        "POST",
        "/v1/endpoints/preview",
        preview_new_endpoint,
        Scope.ENDPOINTS_MANAGE,
        "Show what an endpoint that is not stored would be sent, and why not",
        "endpoints",
        body=NewPreview,
        answers={
            200: "The request as it would be sent, or why there would be none.",
            404: "There is no such event.",
            409: "There is no event of its types yet.",
            422: "Some fields are not right.",
        },
    ),
    Route(
        "POST",
        "/v1/endpoints/{id}/preview",
        preview_endpoint,
        Scope.ENDPOINTS_MANAGE,
        "Show what an endpoint would be sent, and why not; also with a change that is not made",
        "endpoints",
        body=Preview,
        answers={
            200: "The request as it would be sent, or why there would be none.",
            404: "There is no such endpoint or event.",
            409: "There is no event of its types yet.",
            422: "Some fields are not right.",
        },
    ),
)
