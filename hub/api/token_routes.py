"""Client tokens, and the tickets that open streams."""

from datetime import timedelta
from typing import Annotated, Any

from aiohttp import web
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from hub.api.bodies import answer, read_model
from hub.api.endpoint_models import Pattern
from hub.api.problems import Problem, not_found
from hub.api.queries import Query
from hub.api.routing import DEPS, PAGED, PRINCIPAL, Route
from hub.api.viewer import VIEWER
from hub.clock import iso
from hub.control.keys import Scope
from hub.control.tickets import VALID_FOR, TooManyTickets
from hub.control.tokens import LONGEST, SHORTEST, USUAL, Token, TooManyTokens
from hub.durations import duration
from hub.ingest.clients import MAX_ACCOUNTS, ClientId, Linked
from hub.ingest.refusals import FieldError

# What happens on an account as its owner sees it too. What the broker thinks of him is not among them: flags, limits,
# what workflows did, and the record of the client.
FOR_CLIENTS = (
    "trade.*", "position.*", "order.*", "balance.*", "credit.*", "bonus.*", "margin_call.*", "stop_out.*",
    "deposit.*", "withdrawal.*", "challenge.*",
)  # fmt: skip


def _lifetime(value: object) -> timedelta:
    if not isinstance(value, str):
        raise ValueError('a duration is a text such as "15m"')  # noqa: TRY004 (pydantic tells it as a field's error)
    return duration(value)


def _in_range(lifetime: timedelta) -> timedelta:
    if not SHORTEST <= lifetime <= LONGEST:
        raise ValueError("a token is valid from 1m to 24h: 15m suits most")
    return lifetime


Lifetime = Annotated[
    timedelta, BeforeValidator(_lifetime, json_schema_input_type=str), AfterValidator(_in_range)
]


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


class NewToken(BaseModel):
    """`accounts` left out: all the client has. `events` left out: what happens on an account as its owner sees it too.

    Neither may be empty: a list somebody filtered until nothing was left must not open everything.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    client: Annotated[ClientId, Field(description="Whose accounts it may read.")]
    accounts: Annotated[
        tuple[Linked, ...],
        Field(
            min_length=1,
            max_length=MAX_ACCOUNTS,
            description='Of the client\'s accounts only these: "live-1:7001".',
            json_schema_extra=_without_default,  # an empty list is what may not be given
        ),
    ] = ()
    events: Annotated[
        tuple[Pattern, ...],
        Field(min_length=1, max_length=32, description="Patterns of the event types it may read."),
    ] = FOR_CLIENTS
    expires_in: Annotated[Lifetime, Field(description="From 1m to 24h; 15m when left out.")] = USUAL


def token_json(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "client": token.client,
        "accounts": token.accounts,
        "events": token.events,
        "issued_by": token.issued_by,
        "created_at": iso(token.created_at),
        "expires_at": iso(token.expires_at),
    }


async def create_token(request: web.Request) -> web.Response:
    tokens, who = request.app[DEPS].feeds.tokens, request[PRINCIPAL]
    wanted = await read_model(request, NewToken)
    have = await tokens.fresh_accounts_of(wanted.client)
    if not have:
        raise not_found("client of that id that has accounts")
    accounts = [account.key for account in wanted.accounts]
    if foreign := sorted(set(accounts) - have):
        reason = f"{foreign[0]} is not linked to client {wanted.client}"
        raise Problem(422, "invalid", f"accounts: {reason}", errors=[FieldError("accounts", reason)])
    if who.servers is not None:
        mine = [key for key in accounts or sorted(have) if key.rpartition(":")[0] in who.servers]
        if accounts and len(mine) < len(accounts):
            raise Problem(403, "server-not-yours", "this key may not tell of a server of these accounts")
        if not mine:
            raise Problem(403, "server-not-yours", "this key may not tell of any server this client is on")
        accounts = mine
    try:
        secret, token = await tokens.issue(
            wanted.client, accounts=accounts, events=wanted.events, lifetime=wanted.expires_in, by=who.name
        )
    except TooManyTokens as error:
        raise Problem(409, "too-many-tokens", str(error)) from None
    return answer({**token_json(token), "token": secret}, 201)


async def list_tokens(request: web.Request) -> web.Response:
    query = Query(request, *PAGED, "client")
    limit = query.limit()
    found = await request.app[DEPS].feeds.tokens.listed(
        query.text("client"), after=query.text("after"), limit=limit + 1
    )
    shown = found[:limit]
    return answer(
        {
            "items": [token_json(token) for token in shown],
            "next": shown[-1].id if len(found) > limit else None,
        }
    )


async def revoke_token(request: web.Request) -> web.Response:
    if not await request.app[DEPS].feeds.tokens.revoke(request.match_info["id"]):
        raise not_found("token of that id")
    return web.Response(status=204)


async def revoke_tokens(request: web.Request) -> web.Response:
    client = Query(request, "client").text("client")
    if not client:
        raise Problem(400, "bad-query", "client: say whose tokens to revoke")
    return answer({"revoked": await request.app[DEPS].feeds.tokens.revoke_all(client)})


async def create_ticket(request: web.Request) -> web.Response:
    """Answer with what opens one stream, once, as whoever asks."""
    try:
        ticket = await request.app[DEPS].feeds.tickets.issue(request[VIEWER].id)
    except TooManyTickets as error:
        raise Problem(429, "too-many-tickets", str(error), headers={"Retry-After": "10"}) from None
    response = answer({"ticket": ticket, "expires_in": int(VALID_FOR.total_seconds())}, 201)
    response.headers["Cache-Control"] = "no-store"
    return response


ROUTES = (
    Route(
        "POST",
        "/v1/tokens",
        create_token,
        Scope.TOKENS_ISSUE,
        "Issue a client's token for a phone or a browser; the answer holds it, this once",
        "tokens",
        body=NewToken,
        answers={
            201: "The token.",
            403: "The key may not tell of those servers.",
            404: "There is no client of that id with accounts.",
            409: "The client has enough tokens that are valid.",
            422: "Some fields are not right.",
        },
    ),
    Route(
        "GET",
        "/v1/tokens",
        list_tokens,
        Scope.TOKENS_ISSUE,
        "List client tokens, without their secrets",
        "tokens",
        parameters=(*PAGED, "client"),
    ),
    Route(
        "DELETE",
        "/v1/tokens",
        revoke_tokens,
        Scope.TOKENS_ISSUE,
        "Revoke all tokens of a client",
        "tokens",
        parameters=("client",),
    ),
    Route(
        "DELETE",
        "/v1/tokens/{id}",
        revoke_token,
        Scope.TOKENS_ISSUE,
        "Revoke a client token",
        "tokens",
        answers={204: "Gone.", 404: "There is none of that id."},
    ),
    Route(
        "POST",
        "/v1/streams/tickets",
        create_ticket,
        Scope.EVENTS_READ,
        "Ask for a ticket: it opens one stream in a browser, once, within a minute",
        "streams",
        answers={201: "The ticket.", 429: "Too many wait to be used."},
        tokens=True,
    ),
)
