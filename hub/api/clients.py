"""The directory of clients."""

import re
from typing import Any

import msgspec
from aiohttp import web

from hub.api.bodies import answer, read_model
from hub.api.problems import Problem, not_found
from hub.api.queries import Query
from hub.api.routing import DEPS, PAGED, Route
from hub.clock import iso
from hub.control.keys import Scope
from hub.ingest.clients import Client
from hub.ingest.directory import AccountTaken, Kept

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}", re.ASCII)
_encode = msgspec.json.Encoder().encode


def client_json(kept: Kept) -> msgspec.Raw:
    stored = kept.stored
    head: dict[str, Any] = {
        "id": stored.id,
        "version": stored.version,
        "created_at": iso(stored.created_at),
        "updated_at": iso(stored.updated_at),
    }
    rest = stored.body[1:]
    return msgspec.Raw(_encode(head)[:-1] + (b"," if rest != b"}" else b"") + rest)


def client_id(request: web.Request) -> str:
    """Return the client a route is about; raises Problem for what is no id."""
    text = request.match_info["id"]
    if not _ID.fullmatch(text):
        raise Problem(
            400,
            "bad-id",
            "a client's id has up to 128 letters, digits and . _ : @ - after a first letter or digit",
        )
    return text


async def put_client(request: web.Request) -> web.Response:
    name = client_id(request)
    client = await read_model(request, Client)
    try:
        kept = await request.app[DEPS].directory.put(name, client)
    except AccountTaken as error:
        raise Problem(409, "account-taken", str(error)) from None
    return answer(client_json(kept), 201 if kept.created else 200)


async def get_client(request: web.Request) -> web.Response:
    kept = await request.app[DEPS].directory.get(client_id(request))
    if kept is None:
        raise not_found("client of that id")
    return answer(client_json(kept))


async def list_clients(request: web.Request) -> web.Response:
    query = Query(request, *PAGED)
    limit = query.limit()
    found = await request.app[DEPS].directory.list(after=query.text("after"), limit=limit + 1)
    shown = found[:limit]
    return answer(
        {
            "items": [client_json(kept) for kept in shown],
            "next": shown[-1].stored.id if len(found) > limit else None,
        }
    )


ROUTES = (
    Route(
        "PUT",
        "/v1/clients/{id}",
        put_client,
        Scope.CLIENTS_WRITE,
        "Add or replace a client",
        "clients",
        body=Client,
        answers={
            200: "The client as it stands now.",
            201: "The client, new.",
            409: "An account belongs to another client.",
            422: "Some fields are not right.",
        },
    ),
    Route(
        "GET",
        "/v1/clients/{id}",
        get_client,
        Scope.READ,
        "Read one client",
        "clients",
        answers={200: "The client.", 404: "There is none of that id."},
    ),
    Route("GET", "/v1/clients", list_clients, Scope.READ, "List clients by id", "clients", parameters=PAGED),
)
