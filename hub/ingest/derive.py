"""What happened, told from how a thing stood before and how it stands now. Pure: the same two rows tell the same facts.

Prices of 0 mean none on both platforms and are left out: an event without `sl` says there is no stop.
"""

from dataclasses import dataclass
from decimal import Decimal

import msgspec
from pydantic import ValidationError

from hub.errors import RecordMalformed
from hub.events.base import Data
from hub.events.cash import BalanceAdjusted, BalanceMoved, CreditMoved
from hub.events.facts import Entity
from hub.events.trade import OrderChanged, PositionModified, PositionResized, TradeClosed, TradeOpened
from hub.ingest.feed import ZERO, Command, TradeRow
from hub.ingest.fields import clean_decimal
from hub.ingest.normalize_mt4 import closing_mark
from hub.ingest.server_clock import ServerClock

_ADJUSTMENTS = {
    Command.CHARGE: "charge",
    Command.CORRECTION: "correction",
    Command.COMMISSION: "commission",
    Command.INTEREST: "interest",
    Command.DIVIDEND: "dividend",
    Command.TAX: "tax",
    Command.AGENT: "agent",
    Command.SO_COMPENSATION: "so_compensation",
}


_ENDINGS = ("trade.closed", "order.cancelled", "order.expired", "balance.", "credit.", "bonus.")


@dataclass(frozen=True, slots=True)
class Telling:
    """One event about an account before it has an envelope; `at` None means now, the source gave no time."""

    type: str
    login: int
    data: Data
    at: int | None = None
    entity: Entity | None = None
    degraded: bool = False


class Deriving:
    """Knows the server's name and clock, and nothing of what happened before: that is in the rows it is given."""

    def __init__(self, server: str, clock: ServerClock) -> None:
        self._server = server
        self._clock = clock

    def tell(self, before: TradeRow | None, row: TradeRow, *, since: int = 0) -> list[Telling]:
        """Return what brought a row from `before` to now.

        `since` is when the hub first saw the account: what was opened earlier and is not known is not told again.
        Raises RecordMalformed when a value does not fit the event it belongs to.
        """
        try:
            if row.command.is_cash:
                return self._cash(row)
            if row.command.is_pending:
                return self._pending(before, row, since)
            return [*self._opening(before, row, since), *self._what_became(before, row)]
        except ValidationError as error:
            wrong = error.errors(include_input=False, include_url=False)[0]
            field = ".".join(str(part) for part in wrong["loc"])
            raise RecordMalformed(f"ticket {row.ticket} of {row.login}: {field}: {wrong['msg']}") from error

    # --- cash

    def _cash(self, row: TradeRow) -> list[Telling]:
        if not row.profit:
            return []
        amount, comment = abs(row.profit), row.comment or None
        gained = row.profit > 0
        match row.command:
            case Command.BALANCE:
                kind = "balance.deposited" if gained else "balance.withdrawn"
                data: Data = BalanceMoved(ticket=row.ticket, amount=amount, comment=comment)
            case Command.CREDIT | Command.BONUS:
                kind = f"{row.command.value}.{'granted' if gained else 'removed'}"
                expires = self._clock.to_utc(row.expires_at) if row.expires_at else None
                data = CreditMoved(ticket=row.ticket, amount=amount, comment=comment, expires_at=expires)
            case _:
                kind = "balance.adjusted"
                data = BalanceAdjusted.model_validate(
                    {
                        "ticket": row.ticket,
                        "kind": _ADJUSTMENTS[row.command],
                        "amount": row.profit,
                        "comment": comment,
                    }
                )
        return [Telling(kind, row.login, data, row.closed_at or row.opened_at)]

    # --- pending orders

    def _pending(self, before: TradeRow | None, row: TradeRow, since: int) -> list[Telling]:
        told: list[Telling] = []
        if before is None and (row.is_open or row.opened_at >= since):
            told.append(Telling("order.placed", row.login, self._order(row), row.opened_at))
        if row.closed_at:
            ran_out = row.close_reason == "expired" or 0 < row.expires_at <= row.closed_at
            kind = "order.expired" if ran_out else "order.cancelled"
            told.append(Telling(kind, row.login, self._order(row), row.closed_at))
        elif before is not None and _terms(before) != _terms(row):
            state = ";".join(str(term) for term in _terms(row))
            entity = Entity(f"{self._server}:order:{row.ticket}", state)
            told.append(
                Telling("order.modified", row.login, self._order(row), row.changed_at or None, entity)
            )
        return told

    def _order(self, row: TradeRow, order_type: str | None = None) -> OrderChanged:
        return OrderChanged.model_validate(
            {
                "order": row.order or row.ticket,
                "symbol": row.symbol,
                "side": row.command.side,
                "order_type": order_type or row.command.order_type,
                "lots": row.lots,
                "price": row.open_price or None,
                "sl": row.sl or None,
                "tp": row.tp or None,
                "expires_at": self._clock.to_utc(row.expires_at) if row.expires_at else None,
                "reason": row.reason or None,
            }
        )

    # --- positions

    def _opening(self, before: TradeRow | None, row: TradeRow, since: int) -> list[Telling]:
        if before is not None and before.command.is_market:
            return []
        if before is None and row.closed_at and row.opened_at < since:
            return []
        told: list[Telling] = []
        if before is not None:
            filled = msgspec.structs.replace(row, lots=row.opened_lots or row.lots)
            order = self._order(filled, before.command.order_type)
            told.append(Telling("order.filled", row.login, order, row.opened_at))
        is_written_over = row.closed_at != 0 and row.deal_in is None  # MT4 marks the comment when it closes
        comment = closing_mark(row.comment)[1] if is_written_over else row.comment
        opened = TradeOpened(
            deal=row.deal_in,
            position=row.ticket,
            order=row.order,
            symbol=row.symbol,
            side=row.command.side,
            lots=row.opened_lots or row.lots,
            price=row.open_price,
            sl=row.sl or None,
            tp=row.tp or None,
            reason=row.reason or None,
            magic=row.magic or None,
            comment=comment or None,
            commission=row.opening_commission,
        )
        told.append(Telling("trade.opened", row.login, opened, row.opened_at))
        return told

    def _what_became(self, before: TradeRow | None, row: TradeRow) -> list[Telling]:
        if row.closed_at:
            return self._closing(before, row)
        if before is None or before.command.is_pending:
            return []
        told: list[Telling] = []
        if (before.sl, before.tp) != (row.sl, row.tp):
            data = PositionModified(
                position=row.ticket,
                symbol=row.symbol,
                sl_before=before.sl or None,
                sl=row.sl or None,
                tp_before=before.tp or None,
                tp=row.tp or None,
            )
            entity = Entity(f"{self._server}:position:{row.ticket}", f"sl={row.sl};tp={row.tp}")
            told.append(Telling("position.modified", row.login, data, row.changed_at or None, entity))
        if before.lots != row.lots:
            told.append(self._resized(before, row))
        return told

    def _resized(self, before: TradeRow, row: TradeRow) -> Telling:
        """Tell a change of lots for which the source shows no closed part and no deal."""
        kind = "position.decreased" if row.lots < before.lots else "position.increased"
        data = PositionResized(
            position=row.ticket,
            deal=row.deal_in or row.ticket,
            symbol=row.symbol,
            lots_before=before.lots,
            lots_after=row.lots,
        )
        entity = Entity(f"{self._server}:lots:{row.ticket}", str(row.lots))
        return Telling(kind, row.login, data, row.changed_at or None, entity)

    def _closing(self, before: TradeRow | None, row: TradeRow) -> list[Telling]:
        held = lots_held(before, row)
        remaining = clean_decimal(max(held - row.lots, ZERO))
        reason, comment, magic = _joined(before, row)
        parts = (row.profit, row.swap, row.commission, row.fee, row.taxes)
        closed = TradeClosed(
            deal=row.deal_out,
            position=row.ticket,
            order=row.order,
            symbol=row.symbol,
            side=row.command.side,
            lots=row.lots,
            remaining_lots=remaining,
            partial=remaining > 0,
            open_price=row.open_price or None,
            close_price=row.close_price or None,
            opened_at=self._clock.to_utc(row.opened_at) if row.opened_at else None,
            closed_at=self._clock.to_utc(row.closed_at),
            profit=row.profit,
            swap=row.swap,
            commission=row.commission,
            fee=row.fee,
            taxes=row.taxes,
            net_profit=clean_decimal(sum((part for part in parts if part is not None), ZERO)),
            reason=reason or None,
            close_by=row.close_by,
            magic=magic or None,
            comment=comment or None,
        )
        told = [Telling("trade.closed", row.login, closed, row.closed_at)]
        if remaining:
            # MT4 numbers no deals: there the closed ticket is the number of this change.
            data = PositionResized(
                position=row.ticket,
                deal=row.deal_out or row.ticket,
                symbol=row.symbol,
                lots_before=held,
                lots_after=remaining,
            )
            told.append(Telling("position.decreased", row.login, data, row.closed_at))
        return told


def lots_held(before: TradeRow | None, row: TradeRow) -> Decimal:
    """Return the lots of the position a closed row was taken from."""
    if before is not None and before.command.is_market:
        return before.lots
    return row.opened_lots or row.lots


def ending_of(told: list[Telling]) -> Telling | None:
    """Return the telling that a finished row is known by: every look at it tells this one with the same key."""
    return next((each for each in told if each.type.startswith(_ENDINGS)), None)


def net_of(telling: Telling) -> tuple[Decimal, Decimal]:
    """Return what a telling did to balance and to credit."""
    data = telling.data
    match data:
        case BalanceMoved():
            return (data.amount if telling.type == "balance.deposited" else -data.amount), ZERO
        case BalanceAdjusted():
            return data.amount, ZERO
        case CreditMoved():
            return ZERO, (data.amount if telling.type.endswith("granted") else -data.amount)
        case TradeClosed():
            return data.net_profit or ZERO, ZERO
        case TradeOpened():
            return data.commission or ZERO, ZERO
        case _:
            return ZERO, ZERO


def _terms(row: TradeRow) -> tuple[Decimal, Decimal, Decimal, Decimal, int]:
    return row.open_price, row.lots, row.sl, row.tp, row.expires_at


def _joined(before: TradeRow | None, row: TradeRow) -> tuple[str, str, int]:
    """Return why a position was closed, and the comment and magic number of its opening."""
    if row.deal_out is not None:
        return row.close_reason, (before.comment if before else row.comment), row.magic
    # The server's mark counts only if the trader did not write it himself when he opened the position.
    if before is not None and before.comment == row.comment:
        return row.reason, row.comment, row.magic
    mark, comment = closing_mark(row.comment)
    return mark or row.reason, (before.comment if before else comment), row.magic
