"""What is known of an account."""

import msgspec
from aiohttp import web

from hub.api.bodies import answer
from hub.api.problems import not_found
from hub.api.queries import Query
from hub.api.routing import DEPS, Route
from hub.clock import iso
from hub.control.keys import Scope
from hub.ids import account_key
from hub.ingest.reading import FIELDS


async def get_account(request: web.Request) -> web.Response:
    """Answer with the folded fields, and beside them what was last sampled: the two are never mixed."""
    app = request.app[DEPS]
    Query(request)
    login = request.match_info["login"]
    if len(login) > 19:
        raise not_found("account of that server and login")
    key = account_key(request.match_info["server"], int(login))
    view = await app.accounts.account(key)
    seen = app.watcher.last_seen(key)
    if view is None and seen is None:
        raise not_found("account of that server and login")
    sampled = (
        {
            **{
                name: str(value) for name, value in zip(FIELDS, seen.values, strict=True) if value is not None
            },
            "at": iso(seen.at),
        }
        if seen is not None
        else None
    )
    return answer(
        {
            "key": key,
            "sequence": view.sequence if view is not None else 0,
            "account": msgspec.Raw(view.account) if view is not None else None,
            "client": msgspec.Raw(view.client) if view is not None and view.client is not None else None,
            "sampled": sampled,
        }
    )


ROUTES = (
    Route(
        "GET",
        "/v1/accounts/{server}/{login:[0-9]+}",
        get_account,
        Scope.READ,
        "Read what is known of an account",
        "accounts",
        answers={
            200: "Its fields, its client's, and its last sample.",
            404: "Nobody has told of that account.",
        },
    ),
)
