"""A route as the table holds it: everything the router, the guard and the OpenAPI page need to know."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web
from pydantic import BaseModel

from hub.api.ports import ApiDeps
from hub.control.keys import Principal, Scope

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

DEPS = web.AppKey("deps", ApiDeps)
PRINCIPAL = web.RequestKey("principal", Principal)


@dataclass(frozen=True, slots=True)
class Route:
    """`scope` None: open without a key. `parameters` are those of the query. `answers` maps a status to its meaning.

    A body, or each item of one, is of `body` or of `or_body`. `takes` is the media type of a body that is no JSON.

    `tokens`: client tokens may come in too, and the handler asks `request[VIEWER]` what they may see. `stream`: it goes
    on for as long as anybody reads, and is opened with a ticket too; `page` is what a browser's address bar gets of it.
    """

    method: str
    path: str
    handler: Handler
    scope: Scope | None
    summary: str
    tag: str
    body: type[BaseModel] | None = None
    or_body: type[BaseModel] | None = None
    takes: str = ""
    parameters: tuple[str, ...] = ()
    answers: dict[int, str] = field(default_factory=lambda: {200: "As asked."})
    media: str = "application/json"
    tokens: bool = False
    stream: bool = False
    page: str = ""


PAGED = ("after", "limit")
