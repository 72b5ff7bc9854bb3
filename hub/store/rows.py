"""Endpoints, API keys, tokens and messages as rows, the same in both stores: what is a list stands there as JSON."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from hub.bus.log import Input
from hub.bus.pages import Page
from hub.control.keys import ApiKey, Scope
from hub.control.tokens import Token
from hub.dispatch.messages import Listed, Message
from hub.dispatch.options import options_of, options_text
from hub.dispatch.outbox import Delivery, Endpoint
from hub.intents.intent import State

ENDPOINT: Final = "id, url, events, secret, state, description, created_at, schedule, reason, options"
HEALTH: Final = "endpoint, failing_since, failures, failed_at, last_error, stage, told_at, paused_until"
API_KEY: Final = "id, hash, name, scopes, servers, created_at, expires_at, last_used, permissions"
CLIENT_TOKEN: Final = "id, hash, client, accounts, events, issued_by, created_at, expires_at"  # noqa: S105 (columns)


def endpoint_row(e: Endpoint) -> tuple[Any, ...]:
    schedule = None if e.schedule is None else json.dumps(e.schedule)
    return (
        e.id,
        e.url,
        json.dumps(e.events),
        e.secret,
        e.state,
        e.description,
        e.created_at,
        schedule,
        e.reason,
        options_text(e.options),
    )


def without_secret(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return an endpoint's row as an update writes it: only who changes the secret writes that."""
    return (*row[:3], *row[4:])


def endpoint_of(*row: Any) -> Endpoint:
    schedule = None if row[7] is None else tuple(json.loads(row[7]))
    return Endpoint._make(
        (row[0], row[1], tuple(json.loads(row[2])), *row[3:7], schedule, row[8], options_of(row[9]))
    )


def places_of(deliveries: Iterable[Delivery]) -> set[tuple[int, int]]:
    """Return where in the log the events of deliveries stand, by partition and n."""
    return {(delivery.partition, delivery.n) for delivery in deliveries}


def by_place(rows: Iterable[Input]) -> dict[tuple[int, int], Input]:
    return {(row.partition, row.n): row for row in rows}


def key_row(key: ApiKey) -> tuple[Any, ...]:
    return (
        *key[:3],
        json.dumps(key.scopes),
        json.dumps(key.servers),
        *key[5:8],
        json.dumps(key.permissions),
    )


def key_of(*row: Any) -> ApiKey:
    return ApiKey._make(
        (
            *row[:3],
            tuple(map(Scope, json.loads(row[3]))),
            tuple(json.loads(row[4])),
            *row[5:8],
            tuple(json.loads(row[8])),
        )
    )


def listed_page(rows: Sequence[Sequence[Any]], limit: int) -> Page[Listed]:
    """Return a page of messages of one row more than it may have, so that it is known whether there are more."""
    found = [_listed(row) for row in rows[:limit]]
    more = len(rows) > limit
    return Page(found, f"{found[-1].message.at},{found[-1].message.id}" if more else None)


def _listed(row: Sequence[Any]) -> Listed:
    width = len(Message._fields)
    state, reason, attempts = row[width:]
    return Listed(
        Message._make(row[:width]), State(state) if state is not None else None, reason or "", attempts or 0
    )


def token_row(token: Token) -> tuple[Any, ...]:
    return (*token[:3], json.dumps(token.accounts), json.dumps(token.events), *token[5:])


def token_of(*row: Any) -> Token:
    return Token._make((*row[:3], tuple(json.loads(row[3])), tuple(json.loads(row[4])), *row[5:]))
