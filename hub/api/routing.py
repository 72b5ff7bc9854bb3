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
    """`scope` None: open without a key. `parameters` are those of the query. `answers` maps a status to its meaning."""

    method: str
    path: str
    handler: Handler
    scope: Scope | None
    summary: str
    tag: str
    body: type[BaseModel] | None = None
    parameters: tuple[str, ...] = ()
    answers: dict[int, str] = field(default_factory=lambda: {200: "As asked."})
    media: str = "application/json"


PAGED = ("after", "limit")
