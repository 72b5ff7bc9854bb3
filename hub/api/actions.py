"""Intents: what workflows asked for, and what became of it."""

from typing import Any

from aiohttp import web

from hub.api.bodies import answer
from hub.api.problems import not_found
from hub.api.queries import Query
from hub.api.routing import DEPS, PAGED, Route
from hub.api.stored import stored_json
from hub.clock import iso
from hub.control.keys import Scope
from hub.intents.intent import FINAL, Intent, State


def action_json(intent: Intent) -> dict[str, Any]:
    return {
        "key": intent.key,
        "verb": intent.verb,
        "account": intent.account or None,
        "state": intent.state.value,
        "reason": intent.reason or None,
        "params": stored_json(intent.params),
        "workflow": intent.workflow,
        "run": intent.run,
        "step": intent.step,
        "caused_by": intent.caused_by,
        "at": iso(intent.at),
        "next_at": iso(intent.due) if intent.state not in FINAL else None,
        "attempts": intent.attempts,
        "sends": intent.sends,
        "sent_at": iso(intent.sent_at) if intent.sent_at is not None else None,
        "ticket": intent.ticket,
    }


async def list_actions(request: web.Request) -> web.Response:
    query = Query(request, *PAGED, "state", "account", "workflow")
    state = query.choice("state", *State)
    page = await request.app[DEPS].actions.actions(
        after=query.text("after"),
        limit=query.limit(),
        state=State(state) if state else None,
        account=query.account(),
        workflow=query.text("workflow"),
    )
    return answer({"items": [action_json(intent) for intent in page.items], "next": page.next})


async def get_action(request: web.Request) -> web.Response:
    intent = await request.app[DEPS].actions.get(request.match_info["key"])
    if intent is None:
        raise not_found("action of that key")
    return answer(action_json(intent))


ROUTES = (
    Route(
        "GET",
        "/v1/actions",
        list_actions,
        Scope.READ,
        "List actions, the newest first",
        "actions",
        parameters=(*PAGED, "state", "account", "workflow"),
    ),
    Route(
        "GET",
        "/v1/actions/{key:.+}",
        get_action,
        Scope.READ,
        "Read one action",
        "actions",
        answers={200: "The action.", 404: "There is none of that key."},
    ),
)
