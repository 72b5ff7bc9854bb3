"""How events fold into the rows of an account and its client: pure, and saying which fields changed."""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from msgspec.structs import replace

from hub.clock import every_zone_shows
from hub.engine.account_rows import AccountRow, ClientRow
from hub.events.records import Envelope

Changes = dict[str, Any]
ZERO = Decimal(0)


def fold_account(row: AccountRow, event: Envelope, data: Any) -> tuple[AccountRow, tuple[str, ...]]:
    """Return the account after an event, and the fields it set: a few too many do no harm, they are only asked about.

    A field nobody told stays unknown: money that comes in does not make an unknown balance known.
    """
    return fold_by(rule_of(event.type), row, None if event.flags.replayed else event.account, data)


def fold_by(rule: "Rule | None", row: AccountRow, who: Any, data: Any) -> tuple[AccountRow, tuple[str, ...]]:
    """As `fold_account`, by the rule of the event's type. `who` names the account's group and currency by now.

    It is None for a replayed event, which names those of its own day.
    """
    changes: Changes = {}
    if who is not None:
        group, currency = who.group, who.currency
        if group is not None and group != row.group:
            changes["group"] = group
        if currency is not None and currency != row.currency:
            changes["currency"] = currency
    if rule is not None:
        rule(row, data, changes)
    if not changes:
        return row, ()
    return replace(row, **changes), tuple(changes)


def rule_of(event_type: str) -> "Rule | None":
    rule = _ACCOUNT_RULES.get(event_type)
    return _changed if rule is None and event_type.startswith("account.") else rule


def fold_client(row: ClientRow, event: Envelope, data: Any) -> tuple[ClientRow, tuple[str, ...]]:
    """Return the client after an event that names both the client and one of its accounts."""
    changes: Changes = {}
    if event.type == "client.erased":
        row, changes = ClientRow(), {"id": data.client}
    elif event.type.startswith("client."):
        changes["id"] = data.client
        _apply(row, data.changed, changes, _CLIENT_FIELDS)
    elif event.type.startswith("kyc."):
        changes["kyc"] = event.type.partition(".")[2]
    if not changes:
        return row, ()
    return replace(row, **changes), tuple(changes)


# Trades and money


def _opened(row: AccountRow, data: Any, changes: Changes) -> None:
    changes["open_positions"] = (row.open_positions or 0) + 1
    changes["open_lots"] = (row.open_lots or ZERO) + data.lots
    if row.balance is not None and row.platform != "mt4":  # MT4 books the commission when the trade closes
        costs = (data.commission or ZERO) + (data.fee or ZERO)
        if costs:
            changes["balance"] = row.balance + costs
    _traded(row, data, changes)


def _closed(row: AccountRow, data: Any, changes: Changes) -> None:
    # Whoever says what remains need not say as well that it was a part.
    if not (data.partial or data.remaining_lots):
        positions = row.open_positions
        changes["open_positions"] = positions - 1 if positions and positions > 0 else 0
    lots = (row.open_lots or ZERO) - data.lots
    changes["open_lots"] = lots if lots > ZERO else ZERO  # noqa: FURB136 - the call costs more than the answer
    if row.balance is not None:
        net = data.net_profit
        if net is None and data.profit is not None:
            parts = (data.profit, data.swap, data.commission, data.fee, data.taxes)
            net = sum((part for part in parts if part is not None), ZERO)
        changes["balance"] = row.balance + net if net is not None else None
    _traded(row, data, changes)


def _cancelled(row: AccountRow, data: Any, changes: Changes) -> None:
    if row.balance is not None and data.net_profit is not None:
        changes["balance"] = row.balance - data.net_profit


def _increased(row: AccountRow, data: Any, changes: Changes) -> None:
    # The deal was told as trade.opened as well, but it opened no further position.
    changes["open_positions"] = max((row.open_positions or 0) - 1, 0)


def _traded(row: AccountRow, data: Any, changes: Changes) -> None:
    moment, last = data.timestamp, row.last_trade_at
    if moment is not None and (last is None or moment > last):
        changes["last_trade_at"] = moment


def _deposited(row: AccountRow, data: Any, changes: Changes) -> None:
    if row.balance is not None:
        changes["balance"] = row.balance + data.amount
    if row.initial_balance is None and data.is_first:
        changes["initial_balance"] = data.amount


def _withdrawn(row: AccountRow, data: Any, changes: Changes) -> None:
    if row.balance is not None:
        changes["balance"] = row.balance - data.amount


def _adjusted(row: AccountRow, data: Any, changes: Changes) -> None:
    if row.balance is not None:
        changes["balance"] = row.balance + data.amount


def _granted(row: AccountRow, data: Any, changes: Changes) -> None:
    if row.credit is not None:
        changes["credit"] = row.credit + data.amount


def _removed(row: AccountRow, data: Any, changes: Changes) -> None:
    if row.credit is not None:
        changes["credit"] = row.credit - data.amount


# The account itself


def _created(row: AccountRow, data: Any, changes: Changes) -> None:
    """Start at zero what a new account has nothing of, so that it is known from here on."""
    for name in ("balance", "credit", "open_lots"):
        if getattr(row, name) is None:
            changes[name] = ZERO
    if row.open_positions is None:
        changes["open_positions"] = 0
    if row.registered_at is None:
        changes["registered_at"] = data.timestamp
    _changed(row, data, changes)


def _changed(row: AccountRow, data: Any, changes: Changes) -> None:
    changed = getattr(data, "changed", None)
    if changed:
        _apply(row, changed, changes, _ACCOUNT_FIELDS)


def _sets(field: str, value: object) -> "Rule":
    def rule(row: AccountRow, data: Any, changes: Changes) -> None:
        changes[field] = value
        _changed(row, data, changes)

    return rule


def _group(row: AccountRow, data: Any, changes: Changes) -> None:
    changes["group"] = _text(data.after)


def _leverage(row: AccountRow, data: Any, changes: Changes) -> None:
    changes["leverage"] = _integer(data.after)


def _challenge(status: str) -> "Rule":
    def rule(row: AccountRow, data: Any, changes: Changes) -> None:
        changes["status"] = status
        if data.program is not None:
            changes["program"] = data.program
        if data.phase is not None:
            changes["phase"] = data.phase

    return rule


Rule = Callable[[AccountRow, Any, Changes], None]

_ACCOUNT_RULES: Mapping[str, Rule] = {
    "trade.opened": _opened,
    "trade.closed": _closed,
    "trade.cancelled": _cancelled,
    "position.increased": _increased,
    "balance.deposited": _deposited,
    "balance.withdrawn": _withdrawn,
    "balance.adjusted": _adjusted,
    "credit.granted": _granted,
    "credit.removed": _removed,
    "bonus.granted": _granted,
    "bonus.removed": _removed,
    "account.created": _created,
    "account.archived": _sets("status", "archived"),
    "account.restored": _sets("status", "active"),
    "account.deleted": _sets("status", "deleted"),
    "account.enabled": _sets("enabled", True),
    "account.disabled": _sets("enabled", False),
    "account.trading_enabled": _sets("trading_enabled", True),
    "account.trading_disabled": _sets("trading_enabled", False),
    "account.group_changed": _group,
    "account.leverage_changed": _leverage,
    "challenge.started": _challenge("active"),
    "challenge.passed": _challenge("passed"),
    "challenge.failed": _challenge("failed"),
}

# What the rules read of an event's data, all of them together.
FOLDED = frozenset(
    {"after", "amount", "changed", "commission", "fee", "is_first", "lots", "net_profit", "partial", "phase"}
    | {"profit", "program", "remaining_lots", "swap", "taxes", "timestamp"}
)
# What the net profit of a closed trade is made of: read only where nobody has added it up.
_PARTS = frozenset({"profit", "swap", "commission", "fee", "taxes"})


def folded(event_type: str) -> frozenset[str]:
    """Return what the rule of a type reads of nearly every event; where it reads more, a record without that raises."""
    return FOLDED - _PARTS if event_type == "trade.closed" else FOLDED


# Fields told as {field: {before, after}}: the value was checked to be a scalar, not to be of the field's kind. One
# that is not becomes unknown, because we know that it changed and not to what.


def _text(value: object) -> str | None:
    return (
        value if isinstance(value, str) else None if value is None or isinstance(value, bool) else str(value)
    )


def _decimal(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _integer(value: object) -> int | None:
    number = _decimal(value)
    return int(number) if number is not None and number == number.to_integral_value() else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if moment is None or moment.tzinfo is None or not every_zone_shows(moment):
        return None
    return moment


def _words(value: object) -> list[str] | None:
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else None


Reader = Callable[[object], object]

_ACCOUNT_FIELDS: Mapping[str, Reader] = {
    "platform": _text,
    "group": _text,
    "currency": _text,
    "digits": _integer,
    "leverage": _integer,
    "type": _text,
    "program": _text,
    "phase": _text,
    "status": _text,
    "enabled": _flag,
    "trading_enabled": _flag,
    "country": _text,
    "balance": _decimal,
    "credit": _decimal,
    "initial_balance": _decimal,
    "open_positions": _integer,
    "open_lots": _decimal,
    "registered_at": _moment,
    "last_trade_at": _moment,
    "tags": _words,
}
_CLIENT_FIELDS: Mapping[str, Reader] = {
    "email": _text,
    "phone": _text,
    "first_name": _text,
    "last_name": _text,
    "language": _text,
    "country": _text,
    "timezone": _text,
    "consent_marketing": _flag,
    "kyc": _text,
    "ib": _text,
    "tags": _words,
    "accounts": _words,
}


_THING_FIELDS: Mapping[str, Reader] = {
    "class": _text,
    "digits": _integer,
    "contract_size": _decimal,
    "currency": _text,
    "margin_call": _decimal,
    "stop_out": _decimal,
}


def fold_thing(changed: Mapping[str, Any]) -> Changes:
    """Return what an event says of a symbol or a group."""
    changes: Changes = {}
    _apply(None, changed, changes, _THING_FIELDS)
    return changes


def _apply(row: Any, changed: Mapping[str, Any], changes: Changes, fields: Mapping[str, Reader]) -> None:
    for name, change in changed.items():
        after = change.get("after") if isinstance(change, dict) else None
        if name.startswith("attributes.") and row is not None:
            attributes: dict[str, Any] = changes.setdefault("attributes", dict(row.attributes))
            attributes[name.partition(".")[2]] = after
        elif name in fields:
            changes[name] = fields[name](after)
