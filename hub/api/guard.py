"""What every request passes: is it meant for this hub, may this key do that, and what an error looks like."""

from collections.abc import Callable, Iterable, Mapping

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from hub.api.gate import Gate, RequestIds
from hub.api.live_page import live_page, wants_page
from hub.api.ports import BadCursor
from hub.api.problems import Problem, internal, not_found, unavailable
from hub.api.queries import Query
from hub.api.routing import PRINCIPAL, Route
from hub.api.viewer import VIEWER, Viewer
from hub.api.visitors import Visitors
from hub.errors import StoreUnavailable

_log = structlog.get_logger(__name__)


def make_guard(
    routes: Iterable[Route],
    gate: Gate,
    ids: RequestIds,
    visitors: Visitors,
    refused: Callable[[str], None] = lambda _: None,
) -> Middleware:
    """Return the one middleware; `refused` hears of every problem's kind. A handler that is not in the table is refused: a new route is closed until it says."""
    scopes: Mapping[object, Route] = {route.handler: route for route in routes}

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        request_id = ids.next()
        response: web.StreamResponse
        try:
            gate.check_host(request.headers)
            route = scopes.get(request.match_info.handler)
            if route is None:
                if request.match_info.http_exception is None:
                    raise Problem(403, "closed", "this route is open to nobody")
            elif route.page and wants_page(request):
                handler = live_page(route.page)  # which holds nothing: it asks for a key, or brings a ticket
            elif route.scope is not None and visitors.are_here(request, route):
                request[VIEWER] = await visitors.viewer(request, route)
            elif route.scope is not None:
                principal = request[PRINCIPAL] = gate.principal(request.headers, route.scope)
                if route.tokens:
                    request[VIEWER] = Viewer(principal.id, principal.name)
            if "\0" in request.path:  # PostgreSQL takes no text with it, not even to look for
                raise not_found("such thing: no name holds a NUL")
            if (
                route is not None
                and route.scope is not None
                and not route.parameters
                and request.query_string
            ):
                Query(request)  # there is none to read: what was meant by it would be ignored
            response = await handler(request)
        except Problem as problem:
            refused(problem.kind)
            response = problem.response()
        except web.HTTPException as error:
            response = _translated(error)
        except BadCursor:
            response = Problem(400, "bad-cursor", "after: use the cursor a page ended with").response()
        except StoreUnavailable as error:
            _log.warning("request.store_unavailable", request=request_id, reason=str(error))
            response = unavailable(
                "the store cannot be written or read now: nothing was acknowledged", 1
            ).response()
        except Exception:
            # Whatever a route did not foresee must still be an answer; the traceback goes to the log and nowhere else.
            _log.exception("request.failed", request=request_id, path=request.path)
            response = internal(request_id).response()
        if not response.prepared:  # else it was a stream, which is over
            response.headers["X-Request-Id"] = request_id
        return response

    return guard


def _translated(error: web.HTTPException) -> web.Response:
    """Return what the framework itself answers, a redirect aside, as a problem."""
    if error.status == 404:
        return Problem(404, "not-found", "there is no such route: see /openapi.json").response()
    if error.status == 405:
        allowed = error.headers.get(hdrs.ALLOW, "")
        return Problem(405, "method", f"use {allowed}", headers={hdrs.ALLOW: allowed}).response()
    return Problem(error.status, "refused", error.reason).response()
