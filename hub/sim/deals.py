"""MT5 deals, built from the trade they belong to."""

from decimal import Decimal

from hub.sim.model import ZERO, Command, Deal, Entry, Reason, Trade


def deal_in(trade: Trade, number: int, commission: Decimal) -> Deal:
    return Deal(
        number=number,
        order=trade.ticket,
        position=trade.ticket,
        at=trade.open_at,
        entry=Entry.IN,
        command=trade.command,
        symbol=trade.symbol,
        lots=trade.lots,
        price=trade.open_price,
        profit=ZERO,
        commission=commission,
        swap=ZERO,
        magic=trade.magic,
        comment=trade.comment,
        reason=trade.reason,
    )


def deal_out(part: Trade, number: int, order: int, commission: Decimal, reason: Reason) -> Deal:
    """Return the deal that closed part or all of a position: it names neither the magic nor the comment it closes."""
    return Deal(
        number=number,
        order=order,
        position=part.ticket,
        at=part.close_at,
        entry=Entry.OUT,
        command=Command.SELL if part.command is Command.BUY else Command.BUY,
        symbol=part.symbol,
        lots=part.lots,
        price=part.close_price,
        profit=part.profit,
        commission=commission,
        swap=part.swap,
        magic=0,
        comment="",
        reason=reason,
    )


def deal_of_cash(row: Trade) -> Deal:
    return Deal(
        number=row.ticket,
        order=0,
        position=0,
        at=row.open_at,
        entry=Entry.IN,
        command=row.command,
        symbol="",
        lots=ZERO,
        price=ZERO,
        profit=row.profit,
        commission=ZERO,
        swap=ZERO,
        magic=0,
        comment=row.comment,
        reason=row.reason,
    )
