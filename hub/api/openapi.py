"""The OpenAPI page, generated from the route table and the models."""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from hub import __version__
from hub.api.problems import ProblemBody
from hub.api.routing import Route
from hub.events.schema import event_schema
from hub.ingest.receive import Receipt

_REFS = "#/components/schemas/"
_PARAMETER = re.compile(r"\{(\w+)(?::[^{}]*)?\}")
_ABOUT = {
    "family": "Only types that begin with it, such as `custom`.",
    "declared": "`true`: only types this hub declares; `false`: only those of the catalogue.",
    "after": "The cursor a page ended with; leave it out to begin.",
    "limit": "How many, from 1 to 500; 100 when left out.",
    "type": "Event types or families, separated by commas: trade.closed,balance.*",
    "account": "server:login",
    "order": "oldest (the default) or newest first.",
    "lane": "live (the default) or bulk: imports let live events pass.",
    "key": "Whose: server:login, client=ID, group=server:NAME, symbol=server:NAME, position=server:TICKET, event.FIELD=VALUE, all=, or as `hub explain` says.",
    "event": "The id of an event.",
    "at": "A time with its offset, such as 2026-03-02T10:00:00Z.",
    "endpoint": "The id of an endpoint.",
    "since": "Begun at this time or later: with its offset, such as 2026-03-02T10:00:00Z.",
    "preview": "Only count: nothing is queued.",
    "state": "Only those in this state.",
    "workflow": "The id of a workflow.",
    "permission": "What it takes to decide, such as money.approve.",
    "client": "The id of a client.",
    "where": "A condition on what an event holds: event.lots > 1 and account.currency == 'EUR'",
    "interval": "How often at most, from 100ms to 60s; 500ms when left out.",
    "positions": "true tells the open positions of each account as well; accounts or a client have to be named for it.",
    "kind": "Of deals only one kind: trade, balance, credit or bonus.",
    "symbol": "Of positions only those of these symbols, separated by commas.",
    "ticket": "In the place of a header, for browsers: see POST /v1/streams/tickets.",
    "mode": "replace (the default): a row is the whole record; merge: it changes what it names.",
}


def openapi(routes: Iterable[Route]) -> dict[str, Any]:
    routes = list(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(plain_path(route.path), {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "hub",
            "version": __version__,
            "description": "The event-driven webhook and automation hub for MetaTrader 4 and 5.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"header": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
            "schemas": _schemas(
                [each for route in routes for each in (route.body, route.or_body) if each is not None]
            ),
        },
    }


def plain_path(path: str) -> str:
    """Return a path without the patterns of its parameters."""
    return _PARAMETER.sub(r"{\1}", path)


def _schemas(models: list[type[BaseModel]]) -> dict[str, Any]:
    _, found = models_json_schema(
        [(model, "validation") for model in dict.fromkeys(models)], ref_template=_REFS + "{model}"
    )
    events = event_schema(refs=_REFS)
    _, own = msgspec.json.schema_components([Receipt, ProblemBody], ref_template=_REFS + "{name}")
    schemas: dict[str, Any] = {**events.pop("$defs"), **found.get("$defs", {}), **own}
    events.pop("$schema")
    schemas["Event"] = events
    return schemas


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": [*_in_path(route), *_in_query(route)],
        "responses": _responses(route),
    }
    if route.scope is None:
        operation["security"] = []
    else:
        operation["description"] = f"Needs the scope `{route.scope}`."
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": _content(route, route.body)}
    elif route.takes:
        operation["requestBody"] = {
            "required": True,
            "content": {route.takes: {"schema": {"type": "string"}}},
        }
    elif route.path.endswith("/bulk"):
        text = {"schema": {"type": "string"}}
        operation["requestBody"] = {
            "required": True,
            "content": {"application/x-ndjson": text, "text/csv": text},
        }
    return operation


def _in_path(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": found[1], "in": "path", "required": True, "schema": {"type": "string"}}
        for found in _PARAMETER.finditer(route.path)
    ]


def _in_query(route: Route) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "query",
            "description": _ABOUT[name],
            "schema": {"type": "integer", "minimum": 1, "maximum": 500}
            if name == "limit"
            else {"type": "string"},
        }
        for name in route.parameters
    ]


def _content(route: Route, body: type[BaseModel]) -> dict[str, Any]:
    one: dict[str, Any] = {"$ref": _REFS + body.__name__}
    if route.or_body is not None:
        one = {"oneOf": [one, {"$ref": _REFS + route.or_body.__name__}]}
    if not route.path.endswith(("/events", "/samples")):
        return {"application/json": {"schema": one}}
    many = {"oneOf": [one, {"type": "array", "items": one, "minItems": 1, "maxItems": 500}]}
    return {"application/json": {"schema": many}, "application/x-ndjson": {"schema": {"type": "string"}}}


def _responses(route: Route) -> dict[str, Any]:
    told = dict(route.answers)
    if route.scope is not None:
        told |= {401: "No valid key.", 403: "The key lacks the scope."}
    return {
        str(status): {
            "description": text or HTTPStatus(status).phrase,
            "content": _answer(route, status),
        }
        for status, text in sorted(told.items())
        if status != 204
    } | {str(status): {"description": text} for status, text in told.items() if status == 204}


def _answer(route: Route, status: int) -> dict[str, Any]:
    if route.path == "/v1/events" and route.method == "POST" and status in {202, 422}:
        return {"application/json": {"schema": {"$ref": _REFS + "Receipt"}}}
    if status >= 400 and route.path not in {"/readyz", "/v1/samples"}:
        return {"application/problem+json": {"schema": {"$ref": _REFS + "ProblemBody"}}}
    if route.path == "/v1/events/{id}" and status == 200:
        return {"application/json": {"schema": {"$ref": _REFS + "Event"}}}
    return {route.media: {"schema": {} if route.media != "application/json" else {"type": "object"}}}
