"""Whether the hub lives, whether it can work, and its numbers."""

from aiohttp import web

from hub.api.bodies import answer
from hub.api.routing import DEPS, Route
from hub.control.keys import Scope


async def healthz(request: web.Request) -> web.Response:
    """Answer that the loop turns: no endpoint and no connector can make this fail."""
    return answer({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    deps = request.app[DEPS]
    problems = await deps.readiness.problems()
    # A hub that was halted by a person is ready: it takes everything in and sends no action.
    said = {
        "status": "not ready" if problems else "ready",
        "problems": problems,
        "halted": deps.control.stands.halted is not None,
    }
    return answer(said, 503 if problems else 200)


async def metrics(request: web.Request) -> web.Response:
    return web.Response(
        body=request.app[DEPS].metrics(),
        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
    )


ROUTES = (
    Route("GET", "/healthz", healthz, None, "Whether the hub lives", "operation"),
    Route(
        "GET",
        "/readyz",
        readyz,
        None,
        "Whether the hub can do its work",
        "operation",
        answers={200: "It can.", 503: "It cannot, and why."},
    ),
    Route("GET", "/metrics", metrics, Scope.READ, "Numbers for Prometheus", "operation", media="text/plain"),
)
