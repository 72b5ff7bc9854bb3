"""One plausible event of every type: shown on the pages of the documentation and in the schemas, and held by tests to be valid."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from hub.clock import to_us
from hub.events.base import AccountRef
from hub.events.catalogue import BY_NAME, CUSTOM, EventType
from hub.events.facts import make_fact
from hub.events.records import Envelope, Wire

MOMENT: Final = datetime(2026, 6, 23, 9, 0, 0, 123_000, tzinfo=UTC)
_AT: Final = "2026-06-23T09:00:00.123Z"
_ACCOUNT: Final = AccountRef(server="live-1", login=7001, group="real\\standard", currency="USD")
_CUSTOM_NAME: Final = "custom.client_promoted"
# What concerns no account.
_ALONE: Final = frozenset(
    {"group", "symbol", "lead", "connector", "delivery", "endpoint", "notification", "workflow", "manager", "custom"}
)  # fmt: skip

Example = dict[str, Any]

_OPENED: Final[Example] = {
    "deal": 88123, "position": 55001, "order": 55001, "symbol": "EURUSD", "symbol_class": "fx", "side": "buy",
    "lots": "1.00", "price": "1.08500", "sl": "1.08000", "commission": "-3.50",
}  # fmt: skip
_CLOSED: Final[Example] = {
    "deal": 88140, "position": 55001, "symbol": "EURUSD", "symbol_class": "fx", "side": "buy", "lots": "1.00",
    "open_price": "1.08500", "close_price": "1.08620", "opened_at": "2026-06-23T07:12:40Z", "closed_at": _AT,
    "profit": "120.00", "swap": "0.00", "commission": "-3.50", "net_profit": "116.50",
}  # fmt: skip
_ORDER: Final[Example] = {
    "order": 55010, "symbol": "EURUSD", "side": "buy", "order_type": "limit", "lots": "0.50", "price": "1.08000",
}  # fmt: skip
_LEVEL: Final[Example] = {
    "level_id": "daily-loss:live-1:7001", "generation": 3, "edge": "crossed", "side": "below", "sampled_at": _AT,
    "sample_age_ms": 180,
}  # fmt: skip
_MARGIN: Final[Example] = {
    "margin_level": "78.4", "equity": "784.00", "margin": "1000.00", "level": "80", "mode": "percent",
}  # fmt: skip
_PAYMENT: Final[Example] = {
    "request": "pay-20417", "amount": "250.00", "currency": "USD", "method": "card", "requested_by": "c-1027",
}  # fmt: skip
_CHALLENGE: Final[Example] = {"program": "two-step-100k", "phase": "phase-1"}
_ACTION: Final[Example] = {
    "action": "deposit-bonus/live-1:7001/paid/evt_x#grant", "verb": "credit.grant", "params": {"amount": "50.00"},
}  # fmt: skip
_LATE: Final[Example] = {"endpoint": "ep_354bc91f84d8309ba34c", "reason": "the last attempt: timeout"}
_CLOSED_ADDRESS: Final[Example] = {
    "message": "msg_7d1f", "channel": "email", "address": "ann@example.com", "client": "c-1027",
}  # fmt: skip

_DATA: Final[dict[str, Example]] = {
    "trade.opened": _OPENED,
    "trade.closed": _CLOSED,
    "trade.cancelled": {"deal": 88140, "position": 55001, "lots": "1.00", "net_profit": "116.50"},
    "position.increased": {
        "position": 55001, "deal": 88130, "symbol": "EURUSD", "lots_before": "1.00", "lots_after": "1.50",
    },
    "position.decreased": {
        "position": 55001, "deal": 88131, "symbol": "EURUSD", "lots_before": "1.50", "lots_after": "0.50",
    },
    "position.reversed": {
        "position": 55001, "deal": 88132, "symbol": "EURUSD", "lots_before": "0.50", "lots_after": "0.20",
    },
    "position.modified": {"position": 55001, "symbol": "EURUSD", "sl_before": "1.08000", "sl": "1.08500"},
    "position.crossed": {
        **_LEVEL, "position": 55001, "side": "above", "field": "profit", "value": "151.20", "limit": "150.00",
    },
    "symbol.crossed": {
        **_LEVEL, "server": "live-1", "symbol": "EURUSD", "side": "above", "field": "spread", "value": "0.00031",
        "limit": "0.00030", "bid": "1.08214", "ask": "1.08245",
    },
    "order.placed": _ORDER,
    "order.modified": {**_ORDER, "price": "1.07900"},
    "order.activated": {**_ORDER, "order_type": "stop_limit"},
    "order.filled": _ORDER,
    "order.partially_filled": {**_ORDER, "lots": "0.20"},
    "order.cancelled": {**_ORDER, "reason": "by the client"},
    "order.expired": {**_ORDER, "expires_at": "2026-06-23T09:00:00Z"},
    "order.rejected": {**_ORDER, "reason": "no money", "retcode": 10019},
    "balance.deposited": {"ticket": 90211, "amount": "250.00", "is_first": True, "method": "card"},
    "balance.withdrawn": {"ticket": 90212, "amount": "100.00", "method": "bank"},
    "balance.adjusted": {"ticket": 90213, "kind": "correction", "amount": "-12.40"},
    "credit.granted": {"ticket": 90214, "amount": "50.00", "comment": "welcome"},
    "credit.removed": {"ticket": 90215, "amount": "50.00"},
    "bonus.granted": {"ticket": 90216, "amount": "25.00", "expires_at": "2026-07-23T00:00:00Z"},
    "bonus.removed": {"ticket": 90217, "amount": "25.00"},
    "equity.crossed": {**_LEVEL, "field": "equity", "value": "94880.00", "limit": "95000.00"},
    "margin.crossed": {**_LEVEL, "field": "margin_level", "value": "99.1", "limit": "100"},
    "margin_call.entered": _MARGIN,
    "margin_call.left": {**_MARGIN, "margin_level": "120.0", "equity": "1200.00"},
    "stop_out.entered": {**_MARGIN, "margin_level": "48.9", "equity": "489.00", "level": "50"},
    "stop_out.left": {**_MARGIN, "level": "50"},
    "day.rolled": {
        "day": "2026-06-22", "zone": "Europe/Nicosia", "balance": "100000.00", "equity": "99310.00", "sampled_at": _AT,
        "sample_age_ms": 450,
    },
    "account.created": {"changed": {"leverage": {"before": None, "after": 100}}},
    "account.updated": {"changed": {"leverage": {"before": 100, "after": 200}}},
    "account.archived": {},
    "account.restored": {},
    "account.deleted": {},
    "account.enabled": {"changed": {"enabled": {"before": False, "after": True}}},
    "account.disabled": {"changed": {"enabled": {"before": True, "after": False}}},
    "account.trading_enabled": {"changed": {"trading_enabled": {"before": False, "after": True}}},
    "account.trading_disabled": {"changed": {"trading_enabled": {"before": True, "after": False}}},
    "account.group_changed": {"before": "real\\standard", "after": "real\\vip"},
    "account.leverage_changed": {"before": 100, "after": 200},
    "account.password_changed": {},
    "account.logged_in": {},
    "account.logged_out": {},
    "client.created": {"client": "c-1027"},
    "client.updated": {"client": "c-1027", "changed": {"country": {"before": "CY", "after": "DE"}}},
    "client.linked": {"client": "c-1027"},
    "client.merged": {"client": "c-1027", "changed": {"merged_into": {"before": None, "after": "c-1001"}}},
    "client.erased": {"client": "c-1027"},
    "deposit.requested": _PAYMENT,
    "deposit.approved": _PAYMENT,
    "deposit.rejected": {**_PAYMENT, "reason": "the card's holder is somebody else"},
    "deposit.completed": {**_PAYMENT, "amount_base": "250.00"},
    "deposit.failed": {**_PAYMENT, "reason": "the bank refused"},
    "deposit.charged_back": {**_PAYMENT, "reason": "disputed"},
    "withdrawal.requested": {**_PAYMENT, "method": "bank"},
    "withdrawal.approved": {**_PAYMENT, "method": "bank"},
    "withdrawal.rejected": {**_PAYMENT, "method": "bank", "reason": "open positions"},
    "withdrawal.completed": {**_PAYMENT, "method": "bank"},
    "withdrawal.failed": {**_PAYMENT, "method": "bank", "reason": "the account is closed"},
    "kyc.started": {"client": "c-1027", "level": "full"},
    "kyc.confirmed": {"client": "c-1027", "level": "full"},
    "kyc.rejected": {"client": "c-1027", "level": "full", "reason": "the document has expired"},
    "lead.submitted": {"fields": {"email": "ann@example.com", "country": "CY"}},
    "challenge.started": _CHALLENGE,
    "challenge.warned": {**_CHALLENGE, "rule": "daily_loss", "values": {"used_percent": "82.5"}},
    "challenge.day_counted": {**_CHALLENGE, "values": {"days": 4}},
    "challenge.passed": _CHALLENGE,
    "challenge.failed": {**_CHALLENGE, "rule": "daily_loss", "values": {"equity": "94880.00"}},
    "group.updated": {"name": "real\\standard", "changed": {"margin_call": {"before": "100", "after": "80"}}},
    "symbol.updated": {"name": "EURUSD", "changed": {"swap_long": {"before": "-6.1", "after": "-6.4"}}},
    "connector.connected": {"connector": "live-1"},
    "connector.disconnected": {"connector": "live-1", "reason": "the connection was closed"},
    "connector.stale": {"connector": "live-1", "since": "2026-06-23T08:58:30Z"},
    "connector.gap": {"connector": "live-1", "since": "2026-06-23T08:58:30Z"},
    "connector.resynced": {"connector": "live-1", "missed": 12},
    "connector.mismatch": {"connector": "live-1", "reason": "deal 88140: profit 120.00 was told as 121.00"},
    "connector.clock_changed": {"connector": "live-1", "reason": "the offset went from 2:00 to 3:00"},
    "action.applied": {**_ACTION, "ticket": 90214},
    "action.rejected": {**_ACTION, "reason": "no such account"},
    "action.unknown": {**_ACTION, "reason": "the connection was lost before the answer"},
    "action.parked": {**_ACTION, "reason": "not found in two complete looks"},
    "action.approved": {**_ACTION, "actor": "dora"},
    "action.declined": {**_ACTION, "actor": "emil", "reason": "not this month"},
    "delivery.exhausted": {**_LATE, "delivery": "ep_354bc91f84d8309ba34c.15.4"},
    "endpoint.failing": {**_LATE, "since": "2026-06-21T21:00:00Z"},
    "endpoint.disabled": {**_LATE, "reason": "the receiver answered 410 Gone: it asks not to be called any more"},
    "endpoint.recovered": {"endpoint": "ep_354bc91f84d8309ba34c", "since": "2026-06-21T21:00:00Z"},
    "notification.token_invalidated": {"token": "dev_41aa", "client": "c-1027", "reason": "unregistered"},
    "notification.bounced": {**_CLOSED_ADDRESS, "reason": "550 no such user"},
    "notification.unsubscribed": {**_CLOSED_ADDRESS, "category": "marketing"},
    "notification.sender_refused": {
        "channel": "push",
        "sender": "broker-app",
        "reason": "answered 403, SENDER_ID_MISMATCH: look at push.project and the service account",
    },
    "workflow.tripped": {"workflow": "deposit-bonus", "by": "breaker", "because": "more than 100 actions an hour"},
    "workflow.reset": {"workflow": "deposit-bonus", "by": "dora", "because": "a campaign began"},
    "manager.halted": {"by": "dora", "because": "the price feed is wrong"},
    "manager.resumed": {"by": "dora", "because": "the feed is right again"},
    CUSTOM.name: {"client": "c-1027", "tier": "gold"},
}  # fmt: skip


def example_data(kind: EventType) -> Example:
    """Return what an event of the type might say."""
    return _DATA[kind.name]


def stored_example(kind: EventType) -> Envelope:
    """Return a whole event, as the log keeps it."""
    family = kind.name.partition(".")[0]
    data = kind.model.model_validate(_DATA[kind.name])
    account = None if family in _ALONE else _ACCOUNT
    name = _CUSTOM_NAME if kind is CUSTOM else kind.name
    return make_fact(
        kind,
        name,
        data,
        timestamp=MOMENT,
        received_us=to_us(MOMENT),
        source="live-1",
        account=account,
        dedupe_key=None if kind.numbers else f"example:{kind.name}",
    ).envelope


def sent_example(kind: EventType) -> Example:
    """Return the body of a webhook that tells of such an event."""
    found: Example = msgspec.json.decode(msgspec.json.encode(told_of(stored_example(kind))))
    return found


def told_of(event: Envelope) -> Wire:
    """Return what a receiver gets of an example."""
    sequence = 1044 if event.account is not None else None
    return Wire(event.id, event.type, event.timestamp, event.account, sequence, event.data)


def every_type() -> list[EventType]:
    """Return all types, the open one last."""
    return [*BY_NAME.values(), CUSTOM]
