"""How an endpoint is: since when it fails, what is told of that, and until when it is left alone."""

from datetime import timedelta
from typing import Any

from aiohttp import web

from hub.api.bodies import answer
from hub.api.problems import not_found
from hub.api.routing import DEPS, Route
from hub.clock import MICROSECOND, iso
from hub.control.keys import Scope
from hub.dispatch.health import Health, disabled_at
from hub.dispatch.outbox import Endpoint
from hub.dispatch.subscriptions import ENABLED


def health_json(endpoint: Endpoint, health: Health, now_us: int, disable_after: timedelta) -> dict[str, Any]:
    failing = endpoint.state == ENABLED and health.failing_since > 0
    end = disabled_at(health, disable_after // MICROSECOND) if failing else None
    paused = health.paused_until if health.paused_until > now_us else None
    return {
        "endpoint": endpoint.id,
        "state": endpoint.state if endpoint.state != ENABLED else "failing" if failing else "well",
        "reason": endpoint.reason or None,
        "failing_since": iso(health.failing_since) if failing else None,
        "failures": health.failures if failing else 0,
        "last_error": health.last_error if failing else None,
        "last_failure_at": iso(health.failed_at) if failing else None,
        "disabled_at": None if end is None else iso(end),
        "paused_until": None if paused is None else iso(paused),
    }


async def get_health(request: web.Request) -> web.Response:
    app = request.app[DEPS]
    endpoint = await app.endpoints.get(request.match_info["id"])
    if endpoint is None:
        raise not_found("endpoint of that id")
    health = await app.healths.get(endpoint.id) or Health(endpoint.id)
    return answer(health_json(endpoint, health, app.clock.now_us(), app.disable_after))


ROUTES = (
    Route(
        "GET",
        "/v1/endpoints/{id}/health",
        get_health,
        Scope.READ,
        "Read how an endpoint is: whether and since when it fails, and when it would be switched off",
        "endpoints",
        answers={200: "How it has been since its last success.", 404: "There is none of that id."},
    ),
)
