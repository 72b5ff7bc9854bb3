"""What every request passes: is it meant for this hub, may this key do that, and what an error looks like."""

import itertools
import secrets
from collections.abc import Iterable, Mapping

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from hub.api.ports import BadCursor
from hub.api.problems import Problem, forbidden, unauthorized, unavailable
from hub.api.routing import PRINCIPAL, Route
from hub.control.keys import Keys
from hub.errors import StoreUnavailable

_log = structlog.get_logger(__name__)
_KNOWN_HOSTS = 256


def make_guard(routes: Iterable[Route], keys: Keys, hosts: frozenset[str] | None) -> Middleware:
    """Return the one middleware. A handler that is not in the table is refused: a new route is closed until it says."""
    scopes: Mapping[object, Route] = {route.handler: route for route in routes}
    authenticate = keys.authenticate
    named = Hosts(hosts)
    # Unique per start and counted: an id costs nothing and finds its line in the log.
    prefix = secrets.token_hex(4)
    numbers = itertools.count(1)

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        request_id = f"{prefix}-{next(numbers):x}"
        response: web.StreamResponse
        try:
            headers = request.headers
            if not named.accept(headers.get(hdrs.HOST), headers.get(hdrs.ORIGIN)):
                raise Problem(403, "foreign-host", "this hub does not answer to that Host or Origin")
            route = scopes.get(request.match_info.handler)
            if route is None:
                if request.match_info.http_exception is None:
                    raise Problem(403, "closed", "this route is open to nobody")
            elif route.scope is not None:
                principal = authenticate(headers.get(hdrs.AUTHORIZATION) or headers.get("X-API-Key"))
                if principal is None:
                    raise unauthorized()
                if not principal.may(route.scope):
                    raise forbidden(route.scope)
                request[PRINCIPAL] = principal
            response = await handler(request)
        except Problem as problem:
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
            response = Problem(
                500, "internal", f"the hub failed; its log says why under {request_id}"
            ).response()
        response.headers["X-Request-Id"] = request_id
        return response

    return guard


class Hosts:
    """Names this hub may be called by: a web page that points its own name at this machine gets no answer."""

    def __init__(self, names: frozenset[str] | None) -> None:
        self._names = names
        self._known: set[str] = set()

    def accept(self, host: str | None, origin: str | None) -> bool:
        if self._names is None:
            return True
        if host is None or (host not in self._known and not self._learn(host)):
            return False
        return origin is None or name_of(origin.partition("://")[2]) in self._names

    def _learn(self, host: str) -> bool:
        if name_of(host) not in (self._names or ()):
            return False
        if len(self._known) < _KNOWN_HOSTS:
            self._known.add(host)
        return True


def name_of(host: str) -> str:
    """Return a Host header's name without port and brackets, in lower case."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _translated(error: web.HTTPException) -> web.Response:
    """Return what the framework itself answers, a redirect aside, as a problem."""
    if error.status == 404:
        return Problem(404, "not-found", "there is no such route: see /openapi.json").response()
    if error.status == 405:
        allowed = error.headers.get(hdrs.ALLOW, "")
        return Problem(405, "method", f"use {allowed}", headers={hdrs.ALLOW: allowed}).response()
    return Problem(error.status, "refused", error.reason).response()
