"""What is known of an account, and what the broker says about it beside its platform."""

from typing import Any

import msgspec
from aiohttp import web
from pydantic import ValidationError

from hub.api.account_page import account_page
from hub.api.bodies import answer, read_model
from hub.api.problems import Problem, not_found
from hub.api.routing import DEPS, PRINCIPAL, Route
from hub.api.seen import must_see
from hub.api.viewer import VIEWER
from hub.clock import iso
from hub.control.keys import Scope
from hub.ids import account_key
from hub.ingest.clients import LinkedAccount
from hub.ingest.profiles import AccountProfile

_encode = msgspec.json.Encoder().encode


async def get_account(request: web.Request) -> web.Response:
    """Answer with the folded fields, and beside them what was last sampled: the two are never mixed."""
    app = request.app[DEPS]
    login = request.match_info["login"]
    if len(login) > 19:
        raise not_found("account of that server and login")
    key = account_key(request.match_info["server"], int(login))
    viewer = request[VIEWER]
    await must_see(app.feeds, viewer, key)
    is_clients = viewer.token is not None
    view = await app.accounts.account(key)
    seen = app.watcher.last_seen(key)
    if view is None and seen is None:
        raise not_found("account of that server and login")
    return answer(msgspec.Raw(account_page(key, view, seen, is_clients=is_clients)))


async def put_account(request: web.Request) -> web.Response:
    """Change what the body names, and answer with all that was ever said this way."""
    account = _account(request)
    servers = request[PRINCIPAL].servers
    if servers is not None and account.server not in servers:
        raise Problem(403, "server-not-yours", f"this key may not tell of server {account.server}")
    kept = await request.app[DEPS].profiles.change(account, await read_model(request, AccountProfile))
    head: dict[str, Any] = {
        "account": kept.stored.account,
        "version": kept.stored.version,
        "created_at": iso(kept.stored.created_at),
        "updated_at": iso(kept.stored.updated_at),
    }
    rest = kept.stored.body[1:]
    body = msgspec.Raw(_encode(head)[:-1] + (b"," if rest != b"}" else b"") + rest)
    return answer(body, 201 if kept.created else 200)


def _account(request: web.Request) -> LinkedAccount:
    server, login = request.match_info["server"], request.match_info["login"]
    try:
        return LinkedAccount(server=server, login=int(login) if len(login) < 20 else 0)
    except ValidationError:
        raise Problem(400, "bad-account", "no server has such a name, or no account such a login") from None


ROUTES = (
    Route(
        "PUT",
        "/v1/accounts/{server}/{login:[0-9]+}",
        put_account,
        Scope.CLIENTS_WRITE,
        "Change an account's programme, phase, type, tags or attributes",
        "accounts",
        body=AccountProfile,
        answers={
            200: "The profile as it stands now.",
            201: "The profile, new.",
            403: "The key may not tell of that server.",
            422: "Some fields are not right.",
        },
    ),
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
        tokens=True,
    ),
)
