"""What was written to a client, and how each message ended."""

from typing import Any

from aiohttp import web

from hub.api.bodies import answer
from hub.api.clients import client_id
from hub.api.queries import Query
from hub.api.routing import DEPS, PAGED, Route
from hub.clock import iso
from hub.control.keys import Scope
from hub.dispatch.messages import BOUNCED, Listed


def message_json(listed: Listed) -> dict[str, Any]:
    """`outcome` is how the hub left it, `status` what the channel told later."""
    message = listed.message
    found = {
        "id": message.id,
        "channel": message.channel,
        "address": message.address,
        "account": message.account or None,
        "category": message.category,
        "template": message.template,
        "version": message.version or None,
        "at": iso(message.at),
        "expires": iso(message.expires) if message.expires is not None else None,
        "outcome": _outcome(listed),
        "reason": listed.reason or None,
        "attempts": listed.attempts,
        "ref": message.ref or None,
        "status": message.status or None,
        "error": message.error or None,
        "status_at": iso(message.status_at) if message.status_at is not None else None,
        "action": message.intent,
    }
    return {name: value for name, value in found.items() if value is not None}


def _outcome(listed: Listed) -> str | None:
    """Return how it ended: a mail that came back did not get there, whatever was said when it was handed over."""
    if listed.message.status == BOUNCED:
        return BOUNCED
    return listed.state.value if listed.state is not None else None


async def list_messages(request: web.Request) -> web.Response:
    query = Query(request, *PAGED)
    page = await request.app[DEPS].messages.of_client(
        client_id(request), after=query.text("after"), limit=query.limit()
    )
    return answer({"items": [message_json(each) for each in page.items], "next": page.next})


ROUTES = (
    Route(
        "GET",
        "/v1/clients/{id}/messages",
        list_messages,
        Scope.READ,
        "List what was written to a client, the newest first",
        "clients",
        parameters=PAGED,
    ),
)
