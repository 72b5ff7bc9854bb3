"""Builders of facts: a test states what matters to it and the rest is plausible."""

import itertools
from datetime import UTC, datetime
from typing import Any

from hub.clock import to_us
from hub.events.base import AccountRef
from hub.events.catalogue import event_type
from hub.events.facts import Entity, Fact, make_fact

MORNING = datetime(2026, 6, 23, 9, tzinfo=UTC)
_numbers = itertools.count(100_001)


def next_number() -> int:
    """Return a deal, ticket or order number nobody had before; the next one follows it."""
    return next(_numbers)


def an_account(
    server: str = "live-1", login: int = 7001, *, group: str | None = None, currency: str = "USD"
) -> AccountRef:
    return AccountRef(server=server, login=login, group=group, currency=currency)


def a_trade_opened(
    account: AccountRef | None = None, *, timestamp: datetime = MORNING, **fields: Any
) -> Fact:
    return an_event("trade.opened", account or an_account(), timestamp=timestamp, **_trade(fields))


def a_trade_closed(
    account: AccountRef | None = None, *, timestamp: datetime = MORNING, **fields: Any
) -> Fact:
    """Return a close of one lot at a profit of 10, with a deal number of its own unless one is given."""
    plausible = {"profit": "10", "net_profit": "10", "close_price": "1.0860", "open_price": "1.0850"}
    trade = _trade(fields)
    del trade["price"]
    return an_event("trade.closed", account or an_account(), timestamp=timestamp, **{**plausible, **trade})


def a_deposit(account: AccountRef | None = None, *, timestamp: datetime = MORNING, **fields: Any) -> Fact:
    plausible: dict[str, Any] = {"ticket": next_number(), "amount": "1000"}
    return an_event(
        "balance.deposited", account or an_account(), timestamp=timestamp, **{**plausible, **fields}
    )


def an_account_state(
    state: str, account: AccountRef | None = None, *, name: str = "account.group_changed", what: str = "group"
) -> Fact:
    """Return a change that has no number: the log tells two changes to one state apart by counting them."""
    who = account or an_account()
    entity = Entity(f"{who.server}:{who.login}:{what}", state)
    return an_event(name, who, entity=entity, after=state)


def an_event(
    name: str,
    account: AccountRef | None = None,
    /,
    *,
    timestamp: datetime = MORNING,
    source: str = "test",
    dedupe_key: str | None = None,
    entity: Entity | None = None,
    **fields: Any,
) -> Fact:
    """Return an event of any type in the catalogue; its data is validated as it would be at the edge."""
    kind = event_type(name)
    if kind is None:
        raise ValueError(f"{name} is not in the catalogue of events, and custom events begin with custom.")
    return make_fact(
        kind,
        name,
        kind.model.model_validate(fields),
        timestamp=timestamp,
        received_us=to_us(timestamp),
        source=source,
        account=account,
        dedupe_key=dedupe_key,
        entity=entity,
    )


def _trade(fields: dict[str, Any]) -> dict[str, Any]:
    number = fields.get("deal") or next_number()
    plausible = {
        "deal": number,
        "position": number,
        "symbol": "EURUSD",
        "side": "buy",
        "lots": "1",
        "price": "1.0850",
    }
    return {**plausible, **fields}
