"""Those who come with a client's token, or with the ticket a browser's stream brings in the place of a header."""

from typing import final

from aiohttp import hdrs, web

from hub.api.problems import Problem, forbidden, unauthorized
from hub.api.routing import Route
from hub.api.viewer import Viewer
from hub.control.keys import Keys
from hub.control.tickets import Tickets
from hub.control.tokens import ID_PREFIX, PREFIX, Token, Tokens

TICKET = "ticket"


@final
class Visitors:
    """Those who come with a token or a ticket. A route that does not say it is for them is closed to them."""

    def __init__(self, keys: Keys, tokens: Tokens, tickets: Tickets) -> None:
        self._keys = keys
        self._tokens = tokens
        self._tickets = tickets

    def are_here(self, request: web.Request, route: Route) -> bool:
        return (route.stream and TICKET in request.query) or _brought(request).startswith(PREFIX)

    async def viewer(self, request: web.Request, route: Route) -> Viewer:
        """Return who comes with a token or a ticket. Raises Problem."""
        if route.stream and TICKET in request.query:
            return await self._by_ticket(request.query.getall(TICKET), route)
        token = await self._tokens.authenticate(_brought(request))
        if token is None:
            raise _no_token()
        return _with(token, route)

    async def _by_ticket(self, tickets: list[str], route: Route) -> Viewer:
        holder = await self._tickets.use(tickets[0]) if len(tickets) == 1 else None
        if holder is None:
            raise Problem(
                401,
                "no-ticket",
                "this ticket is not valid: each opens one stream, within a minute; ask for another one",
            )
        if holder.startswith(ID_PREFIX):
            token = await self._tokens.current(holder)
            if token is None:
                raise _no_token()
            return _with(token, route)
        principal = self._keys.current(holder)
        if principal is None:
            raise unauthorized()
        if route.scope is not None and not principal.may(route.scope):
            raise forbidden(route.scope)
        return Viewer(principal.id, principal.name)


def _no_token() -> Problem:
    return Problem(
        401,
        "no-token",
        "this token is not valid, or not any more: have a new one issued",
        headers={"WWW-Authenticate": 'Bearer realm="hub", error="invalid_token"'},
    )


def _with(token: Token, route: Route) -> Viewer:
    if not route.tokens:
        raise Problem(
            403,
            "token-only-looks",
            "a client's token may read its own accounts and streams, and nothing else",
        )
    return Viewer(token.id, token.client, token)


def _brought(request: web.Request) -> str:
    header = request.headers.get(hdrs.AUTHORIZATION) or request.headers.get("X-API-Key") or ""
    return header[7:] if header[:7].lower() == "bearer " else header
