"""The one list of event types: number, name, data model, and what makes two of them the same fact.

Codes are written into ids and into the log: they are never renumbered and never reused.
"""

from dataclasses import dataclass
from datetime import date
from enum import IntEnum

from hub.events import account, cash, operations, risk, trade
from hub.events.base import Data


class Kind(IntEnum):
    """The kinds of numbers a platform gives its facts; part of a packed key, so never renumbered."""

    DEAL = 1
    TICKET = 2  # MT4: one number for a trade's open and its close
    MONEY = 3  # the ticket of a balance, credit or bonus operation
    ORDER = 4


@dataclass(frozen=True, slots=True)
class Deprecation:
    """From when on a type is on its way out, what to use `instead`, and the first day on which it may be told no more.

    Of types of the catalogue that day is always known.
    """

    since: date
    instead: str
    until: date | None = None

    @property
    def in_words(self) -> str:
        told = f" Told until {self.until} at least." if self.until is not None else ""
        return f"Deprecated since {self.since}: use {self.instead}.{told}"


@dataclass(frozen=True, slots=True)
class EventType:
    """`numbers`: data fields that make a numbered key, first present wins; empty: the key comes from elsewhere.

    `schema` is the version of its `data`: fields may be added under one number, and are never changed or removed.
    """

    code: int
    name: str
    model: type[Data]
    numbers: tuple[tuple[str, Kind], ...] = ()
    schema: int = 1
    about: str = ""
    deprecated: Deprecation | None = None


_DEAL = (("deal", Kind.DEAL), ("position", Kind.TICKET))
_ONLY_DEAL = (("deal", Kind.DEAL),)
_MONEY = (("ticket", Kind.MONEY),)
_ORDER = (("order", Kind.ORDER),)

_TYPES = (
    EventType(1, "trade.opened", trade.TradeOpened, _DEAL, about="A position was opened."),
    EventType(2, "trade.closed", trade.TradeClosed, _DEAL, about="A position was closed, whole or in part."),
    EventType(
        3,
        "trade.cancelled",
        trade.TradeCancelled,
        _ONLY_DEAL,
        about="The named deal was taken back by the dealer.",
    ),
    EventType(4, "position.increased", trade.PositionResized, _ONLY_DEAL, about="A netting position grew."),
    EventType(
        5, "position.decreased", trade.PositionResized, _ONLY_DEAL, about="A position was partly closed."
    ),
    EventType(
        6,
        "position.reversed",
        trade.PositionResized,
        _ONLY_DEAL,
        about="A netting position changed its side.",
    ),
    EventType(7, "position.modified", trade.PositionModified, about="Stop loss or take profit changed."),
    EventType(
        8,
        "position.crossed",
        risk.PositionCrossed,
        about="The profit or the price of a position passed a watched level.",
    ),
    EventType(10, "order.placed", trade.OrderChanged, _ORDER, about="A pending order was placed."),
    EventType(11, "order.modified", trade.OrderChanged, about="A pending order was changed."),
    EventType(
        12, "order.activated", trade.OrderChanged, _ORDER, about="A stop-limit order became a limit order."
    ),
    EventType(13, "order.filled", trade.OrderChanged, _ORDER, about="An order was filled."),
    EventType(14, "order.partially_filled", trade.OrderChanged, about="An order was filled in part."),
    EventType(15, "order.cancelled", trade.OrderChanged, _ORDER, about="A pending order was cancelled."),
    EventType(16, "order.expired", trade.OrderChanged, _ORDER, about="A pending order ran out."),
    EventType(17, "order.rejected", trade.OrderChanged, _ORDER, about="An order was refused."),
    EventType(20, "balance.deposited", cash.BalanceMoved, _MONEY, about="Money came in."),
    EventType(21, "balance.withdrawn", cash.BalanceMoved, _MONEY, about="Money went out."),
    EventType(
        22,
        "balance.adjusted",
        cash.BalanceAdjusted,
        _MONEY,
        about="A charge, correction, commission or the like.",
    ),
    EventType(23, "credit.granted", cash.CreditMoved, _MONEY, about="Credit was given."),
    EventType(24, "credit.removed", cash.CreditMoved, _MONEY, about="Credit was taken back."),
    EventType(25, "bonus.granted", cash.CreditMoved, _MONEY, about="A bonus was given."),
    EventType(26, "bonus.removed", cash.CreditMoved, _MONEY, about="A bonus was taken back."),
    EventType(
        30,
        "equity.crossed",
        risk.LevelCrossed,
        about="Equity, floating profit or free margin passed a watched level.",
    ),
    EventType(31, "margin.crossed", risk.LevelCrossed, about="The margin level passed a watched level."),
    EventType(32, "margin_call.entered", risk.MarginState, about="The account is in margin call."),
    EventType(33, "margin_call.left", risk.MarginState, about="The account left margin call."),
    EventType(34, "stop_out.entered", risk.MarginState, about="The account is in stop-out."),
    EventType(35, "stop_out.left", risk.MarginState, about="The account left stop-out."),
    EventType(36, "day.rolled", risk.DayRolled, about="The account's trading day ended."),
    EventType(40, "account.created", account.AccountChanged, about="An account was opened."),
    EventType(
        41,
        "account.updated",
        account.AccountChanged,
        about="Fields of an account changed, or were seen for the first time.",
    ),
    EventType(42, "account.archived", account.AccountChanged, about="An account was archived."),
    EventType(43, "account.restored", account.AccountChanged, about="An account came back from the archive."),
    EventType(44, "account.deleted", account.AccountChanged, about="An account was deleted."),
    EventType(45, "account.enabled", account.AccountChanged, about="An account was enabled."),
    EventType(46, "account.disabled", account.AccountChanged, about="An account was disabled."),
    EventType(47, "account.trading_enabled", account.AccountChanged, about="An account may trade again."),
    EventType(
        48, "account.trading_disabled", account.AccountChanged, about="An account may no longer trade."
    ),
    EventType(
        49, "account.group_changed", account.AccountFieldChanged, about="An account moved to another group."
    ),
    EventType(
        50, "account.leverage_changed", account.AccountFieldChanged, about="An account's leverage changed."
    ),
    EventType(
        51, "account.password_changed", account.AccountFieldChanged, about="A password changed; never which."
    ),
    EventType(52, "account.logged_in", account.AccountChanged, about="A terminal connected."),
    EventType(53, "account.logged_out", account.AccountChanged, about="A terminal disconnected."),
    EventType(60, "client.created", account.ClientChanged, about="A client was added to the directory."),
    EventType(61, "client.updated", account.ClientChanged, about="A client's record changed."),
    EventType(62, "client.linked", account.ClientChanged, about="An account was linked to a client."),
    EventType(63, "client.merged", account.ClientChanged, about="Two client records became one."),
    EventType(64, "client.erased", account.ClientChanged, about="A client's personal data was erased."),
    EventType(70, "deposit.requested", cash.PaymentMoved, about="A client asked to pay in."),
    EventType(71, "deposit.approved", cash.PaymentMoved, about="A deposit was approved."),
    EventType(72, "deposit.rejected", cash.PaymentMoved, about="A deposit was refused."),
    EventType(73, "deposit.completed", cash.PaymentMoved, about="A deposit arrived."),
    EventType(74, "deposit.failed", cash.PaymentMoved, about="A deposit failed."),
    EventType(75, "deposit.charged_back", cash.PaymentMoved, about="A deposit was charged back."),
    EventType(76, "withdrawal.requested", cash.PaymentMoved, about="A client asked to be paid."),
    EventType(77, "withdrawal.approved", cash.PaymentMoved, about="A withdrawal was approved."),
    EventType(78, "withdrawal.rejected", cash.PaymentMoved, about="A withdrawal was refused."),
    EventType(79, "withdrawal.completed", cash.PaymentMoved, about="A withdrawal was paid."),
    EventType(80, "withdrawal.failed", cash.PaymentMoved, about="A withdrawal failed."),
    EventType(90, "kyc.started", account.KycMoved, about="An identity check began."),
    EventType(91, "kyc.confirmed", account.KycMoved, about="A client's identity was confirmed."),
    EventType(92, "kyc.rejected", account.KycMoved, about="A client's identity was refused."),
    EventType(93, "lead.submitted", account.LeadSubmitted, about="A form came in."),
    EventType(100, "challenge.started", account.ChallengeMoved, about="A challenge began."),
    EventType(101, "challenge.warned", account.ChallengeMoved, about="A challenge is near a limit."),
    EventType(102, "challenge.day_counted", account.ChallengeMoved, about="A trading day counted."),
    EventType(103, "challenge.passed", account.ChallengeMoved, about="A challenge was passed."),
    EventType(104, "challenge.failed", account.ChallengeMoved, about="A challenge was failed."),
    EventType(110, "group.updated", account.NamedChanged, about="A group's configuration changed."),
    EventType(111, "symbol.updated", account.NamedChanged, about="A symbol's configuration changed."),
    EventType(
        112,
        "symbol.crossed",
        risk.SymbolCrossed,
        about="The bid, the ask or the spread of a symbol passed a watched level.",
    ),
    EventType(120, "connector.connected", operations.ConnectorMoved, about="A connector reached its source."),
    EventType(121, "connector.disconnected", operations.ConnectorMoved, about="A connector lost its source."),
    EventType(122, "connector.stale", operations.ConnectorMoved, about="A source is connected and silent."),
    EventType(123, "connector.gap", operations.ConnectorMoved, about="Facts may have been missed."),
    EventType(124, "connector.resynced", operations.ConnectorMoved, about="Missed facts were read again."),
    EventType(
        125,
        "connector.mismatch",
        operations.ConnectorMoved,
        about="Two tellings of one fact differ; the first stands.",
    ),
    EventType(
        126, "connector.clock_changed", operations.ConnectorMoved, about="A server's clock offset changed."
    ),
    EventType(130, "action.applied", operations.ActionMoved, about="A manager action took effect."),
    EventType(131, "action.rejected", operations.ActionMoved, about="A manager action was refused."),
    EventType(
        132, "action.unknown", operations.ActionMoved, about="A manager action's outcome is not known yet."
    ),
    EventType(133, "action.parked", operations.ActionMoved, about="A manager action waits for a person."),
    EventType(134, "action.approved", operations.ActionMoved, about="A person approved a manager action."),
    EventType(135, "action.declined", operations.ActionMoved, about="A person declined a manager action."),
    EventType(
        140, "delivery.exhausted", operations.DeliveryMoved, about="All attempts of a delivery failed."
    ),
    EventType(141, "endpoint.failing", operations.DeliveryMoved, about="An endpoint keeps failing."),
    EventType(142, "endpoint.disabled", operations.DeliveryMoved, about="An endpoint was switched off."),
    EventType(143, "endpoint.recovered", operations.DeliveryMoved, about="An endpoint answers again."),
    EventType(
        144,
        "notification.token_invalidated",
        operations.TokenInvalidated,
        about="A device token no longer works.",
    ),
    EventType(
        145,
        "notification.bounced",
        operations.AddressClosed,
        about="A message came back: there is nobody at its address, and nothing more is sent there.",
    ),
    EventType(
        146,
        "notification.unsubscribed",
        operations.AddressClosed,
        about="Whoever is at an address wants no more messages, or none of a category.",
    ),
    EventType(
        147,
        "notification.sender_refused",
        operations.ChannelRefused,
        about="A channel takes no message from us until somebody has looked at its settings.",
    ),
    EventType(150, "workflow.tripped", operations.WorkflowSwitched, about="A workflow's breaker stopped it."),
    EventType(151, "workflow.reset", operations.WorkflowSwitched, about="A person let a workflow go on."),
    EventType(152, "manager.halted", operations.ActionsSwitched, about="All manager actions were halted."),
    EventType(153, "manager.resumed", operations.ActionsSwitched, about="Manager actions may go again."),
)

CUSTOM = EventType(
    200, "custom.*", operations.Custom, about="What a workflow or an integrator publishes under its own name."
)

BY_NAME = {kind.name: kind for kind in _TYPES}
BY_CODE = {kind.code: kind for kind in (*_TYPES, CUSTOM)}


def event_type(name: str) -> EventType | None:
    """Return the type of that name; every ``custom.something`` is one type."""
    found = BY_NAME.get(name)
    if found is None and name.startswith("custom.") and is_custom(name):
        return CUSTOM
    return found


def is_custom(name: str) -> bool:
    parts = name.split(".")
    return (
        len(name) <= 128
        and len(parts) >= 2
        and all(p and p.isascii() and p.replace("_", "a").isalnum() for p in parts[1:])
    )
