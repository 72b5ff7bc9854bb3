"""An account's open positions and its deals, page by page."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from aiohttp import web

from hub.api.bodies import answer
from hub.api.events import event_json
from hub.api.ports import TooManyLooks
from hub.api.position_feed import TooManyAccounts, too_many
from hub.api.problems import Problem, not_found, unavailable
from hub.api.queries import Query
from hub.api.routing import DEPS, PAGED, Route
from hub.api.seen import must_see
from hub.api.viewer import VIEWER
from hub.bus.looked import Looked
from hub.control.keys import Scope
from hub.dispatch.patterns import matches
from hub.ids import account_key

# What a platform's history of an account lists: trades, and money that came and went.
DEALS: Final = ("trade.*", "balance.*", "credit.*", "bonus.*")
_KINDS: Final = tuple(pattern.removesuffix(".*") for pattern in DEALS)
_READ_WITHIN_S: Final = 5.0
_MOST_SYMBOLS: Final = 32


async def list_positions(request: web.Request) -> web.Response:
    """Answer with the open positions in order of their tickets."""
    app = request.app[DEPS]
    query = Query(request, *PAGED, "symbol")
    symbols, limit, after = frozenset(query.words("symbol")), query.limit(), _ticket(query.text("after"))
    if len(symbols) > _MOST_SYMBOLS:
        raise Problem(400, "bad-query", f"symbol: name at most {_MOST_SYMBOLS}")
    key = await _known(request)
    try:
        async with asyncio.timeout(_READ_WITHIN_S):
            await app.feeds.positions.ready(key)
    except TimeoutError:
        raise unavailable("its positions are still being read: ask again", 2) from None
    except TooManyAccounts as error:
        raise too_many(error) from None
    board = app.feeds.board.positions
    found = []
    for each in board.positions(key, symbols, after):
        found.append(each.fields())
        if len(found) > limit:
            break
    return answer(
        {
            "items": found[:limit],
            "next": str(found[limit - 1]["ticket"]) if len(found) > limit else None,
            "complete": board.is_complete(key),
        }
    )


async def list_deals(request: web.Request) -> web.Response:
    """Answer with an account's trades and movements of money, the newest first."""
    query = Query(request, *PAGED, "kind")
    kind = query.choice("kind", *_KINDS)
    patterns: Sequence[str] = (f"{kind}.*",) if kind else DEALS
    key = await _known(request)
    token = request[VIEWER].token
    try:
        page = await request.app[DEPS].deals.deals(
            key, patterns, after=query.text("after"), limit=query.limit()
        )
    except TooManyLooks as error:
        raise unavailable(str(error), 2) from None
    items: list[Any] = []
    for row in page.rows:
        looked = Looked(row)
        if token is None:
            items.append(event_json(row))
        elif any(matches(pattern, looked.envelope.type) for pattern in token.events):
            items.append(msgspec.Raw(looked.wire))
    return answer({"items": items, "next": page.next, "complete": page.complete})


async def _known(request: web.Request) -> str:
    """Return the key of the account that is asked for. Raises Problem where nobody may see it, or knows it."""
    app = request.app[DEPS]
    login = request.match_info["login"]
    if len(login) > 19:
        raise not_found("account of that server and login")
    key = account_key(request.match_info["server"], int(login))
    await must_see(app.feeds, request[VIEWER], key)
    if await app.accounts.account(key) is None and app.watcher.last_seen(key) is None:
        raise not_found("account of that server and login")
    return key


def _ticket(cursor: str) -> int:
    if cursor and not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 20):
        raise Problem(400, "bad-cursor", "after: use the cursor a page ended with")
    return int(cursor or 0)


ROUTES = (
    Route(
        "GET",
        "/v1/accounts/{server}/{login:[0-9]+}/positions",
        list_positions,
        Scope.READ,
        "List an account's open positions, with what was last sampled of each",
        "accounts",
        parameters=(*PAGED, "symbol"),
        answers={
            200: "A page of positions, and the cursor behind it.",
            404: "Nobody has told of that account.",
            503: "They are still being read: ask again after Retry-After.",
        },
        tokens=True,
    ),
    Route(
        "GET",
        "/v1/accounts/{server}/{login:[0-9]+}/deals",
        list_deals,
        Scope.READ,
        "List an account's trades and movements of money, the newest first",
        "accounts",
        parameters=(*PAGED, "kind"),
        answers={
            200: "A page of events, and the cursor behind it.",
            404: "Nobody has told of that account.",
            503: "Many look for deals just now: ask again after Retry-After.",
        },
        tokens=True,
    ),
)
