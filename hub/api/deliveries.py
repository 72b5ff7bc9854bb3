"""Deliveries and their attempts."""

import re
from typing import Any

from aiohttp import web

from hub.api.attempts import attempt_json
from hub.api.bodies import answer
from hub.api.problems import not_found
from hub.api.queries import Query
from hub.api.routing import DEPS, PAGED, Route
from hub.clock import iso
from hub.control.keys import Scope
from hub.dispatch.delivery import delivery_id
from hub.dispatch.outbox import Delivery, DeliveryState

_ID = re.compile(r"([A-Za-z0-9_-]{1,64})\.([0-9]{1,5})\.([0-9]{1,18})", re.ASCII)


def delivery_json(delivery: Delivery) -> dict[str, Any]:
    waits = delivery.state is DeliveryState.WAITING
    return {
        "id": delivery_id(delivery),
        "endpoint": delivery.endpoint,
        "event": delivery.event_id,
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "next_attempt_at": iso(delivery.due) if waits else None,
        "created_at": iso(delivery.created_at),
    }


async def list_deliveries(request: web.Request) -> web.Response:
    query = Query(request, *PAGED, "endpoint", "state", "event", "since")
    return await _page(request, query, query.text("endpoint"))


async def list_of_endpoint(request: web.Request) -> web.Response:
    endpoint = request.match_info["id"]
    if await request.app[DEPS].endpoints.get(endpoint) is None:
        raise not_found("endpoint of that id")
    return await _page(request, Query(request, *PAGED, "state", "event", "since"), endpoint)


async def get_delivery(request: web.Request) -> web.Response:
    return answer(delivery_json(await found_delivery(request)))


async def list_attempts(request: web.Request) -> web.Response:
    app = request.app[DEPS]
    delivery = await found_delivery(request)
    attempts = await app.deliveries.attempts(delivery.endpoint, delivery.partition, delivery.n)
    return answer(
        {
            "delivery": delivery_json(delivery),
            "items": [attempt_json(attempt, delivery) for attempt in attempts],
            "next": None,
        }
    )


async def found_delivery(request: web.Request) -> Delivery:
    found = _ID.fullmatch(request.match_info["id"])
    deliveries = request.app[DEPS].deliveries
    delivery = (
        await deliveries.delivery(found[1], int(found[2]), int(found[3])) if found is not None else None
    )
    if delivery is None:
        raise not_found("delivery of that id")
    return delivery


async def _page(request: web.Request, query: Query, endpoint: str) -> web.Response:
    page = await request.app[DEPS].deliveries.deliveries(
        after=query.text("after"),
        limit=query.limit(),
        endpoint=endpoint,
        state=query.choice("state", *DeliveryState),
        event_id=query.text("event"),
        since=query.moment("since") or 0,
    )
    return answer({"items": [delivery_json(delivery) for delivery in page.items], "next": page.next})


ROUTES = (
    Route(
        "GET",
        "/v1/deliveries",
        list_deliveries,
        Scope.READ,
        "List deliveries, the newest first",
        "deliveries",
        parameters=(*PAGED, "endpoint", "state", "event", "since"),
    ),
    Route(
        "GET",
        "/v1/endpoints/{id}/deliveries",
        list_of_endpoint,
        Scope.READ,
        "List an endpoint's deliveries, the newest first",
        "deliveries",
        parameters=(*PAGED, "state", "event", "since"),
        answers={200: "A page of deliveries.", 404: "There is no such endpoint."},
    ),
    Route(
        "GET",
        "/v1/deliveries/{id}",
        get_delivery,
        Scope.READ,
        "Read how one delivery stands",
        "deliveries",
        answers={200: "The delivery.", 404: "There is no such delivery."},
    ),
    Route(
        "GET",
        "/v1/deliveries/{id}/attempts",
        list_attempts,
        Scope.READ,
        "Read what was tried for one delivery",
        "deliveries",
        answers={
            200: "Every attempt, in order, with what is on record about it.",
            404: "There is no such delivery.",
        },
    ),
)
