"""Whom nothing is sent to: addresses and clients, for one channel or all."""

from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hub.api.bodies import answer, read_model
from hub.api.problems import not_found
from hub.api.queries import Query
from hub.api.routing import DEPS, PAGED, PRINCIPAL, Route
from hub.clock import iso
from hub.control.keys import Scope
from hub.dispatch.contacts import Suppression, closed_way
from hub.events.base import Text
from hub.ingest.clients import ClientId
from hub.intents.contact import Category


class NewSuppression(BaseModel):
    """Either an address (of mail, or a phone number) or a client's id; `channel` is the way that is closed.

    `category` closes it for messages of one kind alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: Annotated[Text, Field(min_length=3)] | None = None
    client: ClientId | None = None
    channel: Literal["all", "email", "sms", "push", "platform"] = "all"
    category: Category | None = None
    reason: Annotated[Text, Field(min_length=1)]

    @model_validator(mode="after")
    def _names_one(self) -> "NewSuppression":
        if (self.address is None) == (self.client is None):
            raise ValueError("name either an address or a client")
        return self


def suppression_json(entry: Suppression) -> dict[str, Any]:
    channel, _, category = entry.channel.partition("/")
    return {
        "id": entry.id,
        entry.kind: entry.value,
        "channel": channel,
        **({"category": category} if category else {}),
        "reason": entry.reason,
        "added_by": entry.added_by,
        "at": iso(entry.at),
    }


async def add_suppression(request: web.Request) -> web.Response:
    app = request.app[DEPS]
    wanted = await read_model(request, NewSuppression)
    entry = Suppression.of(
        "address" if wanted.client is None else "client",
        wanted.client or wanted.address or "",
        closed_way(wanted.channel, wanted.category or ""),
        wanted.reason,
        request[PRINCIPAL].name,
        app.clock.now_us(),
    )
    is_new = await app.suppressions.add(entry)
    return answer(suppression_json(entry), 201 if is_new else 200)


async def list_suppressions(request: web.Request) -> web.Response:
    query = Query(request, *PAGED)
    limit = query.limit()
    found = await request.app[DEPS].suppressions.list(after=query.text("after"), limit=limit + 1)
    shown = found[:limit]
    return answer(
        {
            "items": [suppression_json(entry) for entry in shown],
            "next": shown[-1].id if len(found) > limit else None,
        }
    )


async def remove_suppression(request: web.Request) -> web.Response:
    if not await request.app[DEPS].suppressions.remove(request.match_info["id"][:64]):
        raise not_found("suppression of that id")
    return web.Response(status=204)


ROUTES = (
    Route(
        "POST",
        "/v1/suppressions",
        add_suppression,
        Scope.CLIENTS_WRITE,
        "Send nothing to an address or a client any more",
        "clients",
        body=NewSuppression,
        answers={
            200: "It was there; reason and moment are new.",
            201: "From here on.",
            422: "Some fields are not right.",
        },
    ),
    Route(
        "GET",
        "/v1/suppressions",
        list_suppressions,
        Scope.READ,
        "List whom nothing is sent to",
        "clients",
        parameters=PAGED,
    ),
    Route(
        "DELETE",
        "/v1/suppressions/{id}",
        remove_suppression,
        Scope.CLIENTS_WRITE,
        "Send to an address or a client again",
        "clients",
        answers={204: "Gone.", 404: "There is none of that id."},
    ),
)
