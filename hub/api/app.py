"""Builds the HTTP application from the route tables."""

from aiohttp import web

from hub.api import (
    account_pages,
    account_streams,
    accounts,
    actions,
    approvals,
    backtests,
    bounces,
    bulk,
    callbacks,
    clients,
    deliveries,
    devices,
    docs,
    endpoint_health,
    endpoint_keys,
    endpoint_preview,
    endpoints,
    event_streams,
    event_types,
    events,
    health,
    key_routes,
    messages,
    replays,
    runs,
    samples,
    starts,
    suppressions,
    switches,
    token_routes,
    workflows,
)
from hub.api.cors import allow_pages
from hub.api.gate import Gate, RequestIds
from hub.api.guard import make_guard
from hub.api.ports import ApiDeps
from hub.api.routing import DEPS, Route
from hub.api.server import SHORT_WAY
from hub.api.short_pages import ShortPages
from hub.api.short_way import ShortWay
from hub.api.visitors import Visitors
from hub.ingest.strict import MAX_BYTES

ROUTES: tuple[Route, ...] = (
    *event_streams.ROUTES,  # before the routes whose {id} its name would be
    *account_streams.ROUTES,
    *events.ROUTES,
    *event_types.ROUTES,
    *samples.ROUTES,
    *bulk.ROUTES,
    *clients.ROUTES,
    *suppressions.ROUTES,
    *messages.ROUTES,
    *devices.ROUTES,
    *endpoints.ROUTES,
    *endpoint_preview.ROUTES,
    *endpoint_keys.ROUTES,
    *endpoint_health.ROUTES,
    *deliveries.ROUTES,
    *replays.ROUTES,
    *workflows.ROUTES,
    *starts.ROUTES,
    *backtests.ROUTES,
    *switches.ROUTES,
    *runs.ROUTES,
    *accounts.ROUTES,
    *account_pages.ROUTES,
    *actions.ROUTES,
    *approvals.ROUTES,
    *key_routes.ROUTES,
    *callbacks.ROUTES,
    *bounces.ROUTES,
    *token_routes.ROUTES,
    *health.ROUTES,
    *docs.ROUTES,
)

# What a process shows that does not serve the API.
MONITORING: tuple[Route, ...] = health.ROUTES


def make_api(deps: ApiDeps, routes: tuple[Route, ...] = ROUTES) -> web.Application:
    """Return the application with all routes, or some; serve it with `hub.api.server.serve`, which bounds slow clients."""
    feeds = deps.feeds
    gate, ids = Gate(deps.keys, deps.hosts, feeds.origins), RequestIds()
    visitors = Visitors(deps.keys, feeds.tokens, feeds.tickets)
    asked_first = allow_pages(routes, feeds.origins)
    app = web.Application(
        middlewares=[make_guard((*routes, *asked_first.routes), gate, ids, visitors, feeds.counts.refused)],
        client_max_size=MAX_BYTES + 1,  # aiohttp refuses a body as large as its limit
    )
    app[DEPS] = deps
    app[endpoint_keys.PUBLIC_KEYS] = endpoint_keys.PublicKeys(deps.endpoints, deps.clock)
    pages = ShortPages(deps, gate, is_open=all(route in routes for route in accounts.ROUTES))
    app[SHORT_WAY] = ShortWay(deps, gate, ids, pages, is_open=all(route in routes for route in events.ROUTES))
    docs.prepare(app, routes)
    if feeds.origins:
        app.on_response_prepare.append(asked_first.sign)
    app.on_shutdown.append(feeds.stopped)
    for route in (*routes, *asked_first.routes):
        app.router.add_route(route.method, route.path, route.handler)
    return app
