"""Lets pages of other hosts, if the operator names them, ask what a client's token may read: off unless he does."""

from collections.abc import Iterable
from typing import Final, NamedTuple, final

from aiohttp import hdrs, web

from hub.api.openapi import plain_path
from hub.api.routing import Handler, Route

_HEADERS: Final = "Authorization, Content-Type, Last-Event-ID, X-API-Key"
_REMEMBER_SECONDS: Final = "600"


@final
class AllowedPages(NamedTuple):
    """`routes` answer what a browser asks before it asks; `sign` tells it with the answer that the page may read it."""

    routes: tuple[Route, ...]
    origins: frozenset[str]
    paths: frozenset[str]

    async def sign(self, request: web.Request, response: web.StreamResponse) -> None:
        origin = request.headers.get(hdrs.ORIGIN, "")
        resource = request.match_info.route.resource
        if origin not in self.origins or resource is None or resource.canonical not in self.paths:
            return
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        response.headers[hdrs.VARY] = hdrs.ORIGIN
        response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = "X-Request-Id, Retry-After"


def allow_pages(routes: Iterable[Route], origins: frozenset[str]) -> AllowedPages:
    """Return what lets pages of these origins ask the routes that are open to tokens, and no others."""
    methods: dict[str, list[str]] = {}
    for route in routes:
        if route.tokens and origins:
            methods.setdefault(route.path, []).append(route.method)
    asked = tuple(
        Route("OPTIONS", path, _preflight(allowed, origins), None, "What a page may ask", "streams")
        for path, allowed in methods.items()
    )
    return AllowedPages(asked, origins, frozenset(plain_path(path) for path in methods))


def _preflight(methods: list[str], origins: frozenset[str]) -> Handler:
    async def allowed(request: web.Request) -> web.Response:
        response = web.Response(status=204)
        if request.headers.get(hdrs.ORIGIN, "") in origins:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = ", ".join(methods)
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = _HEADERS
            response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = _REMEMBER_SECONDS
        return response

    return allowed
