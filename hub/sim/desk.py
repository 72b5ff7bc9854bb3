"""The dealing desk: opens, changes and closes trades, books cash, and tells each fact as it happens."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from hub.sim.deals import deal_in, deal_of_cash, deal_out
from hub.sim.market import Market
from hub.sim.model import (
    ZERO,
    Account,
    Command,
    Fact,
    FactKind,
    Group,
    Platform,
    Reason,
    Refused,
    Trade,
)
from hub.sim.money import cents, closing_price, opening_price, profit, share
from hub.sim.rules import check_cash, check_margin, check_may_trade, check_order, check_price, check_stops

CASH_ROW_LOTS = Decimal("0.01")
COMMENT_LENGTH = 31


class Desk:
    """Every method either does all it says and tells it, or raises ``Refused`` and changes nothing."""

    def __init__(
        self, market: Market, groups: dict[str, Group], now: Callable[[], int], tell: Callable[[Fact], None]
    ) -> None:
        self._market = market
        self._groups = groups
        self._now = now
        self._tell = tell
        self._facts = 0
        self._tickets = {Platform.MT4: 7_000_000, Platform.MT5: 20_000_000}
        self._deals = 90_000_000

    # --- trades

    def open(
        self,
        account: Account,
        symbol: str,
        command: Command,
        lots: Decimal,
        *,
        price: Decimal | None = None,
        sl: Decimal = ZERO,
        tp: Decimal = ZERO,
        magic: int = 0,
        comment: str = "",
        reason: Reason = Reason.CLIENT,
    ) -> Trade:
        spec = self._market.symbol(symbol)
        check_order(account, spec, lots, reason)
        price = (price or opening_price(command, self._market.quote(symbol))).quantize(spec.point)
        check_stops(command, price, sl, tp)
        check_margin(self._market, account, spec, lots, price)
        trade = Trade(
            ticket=self._next_ticket(account.platform),
            login=account.login,
            command=command.side,
            symbol=symbol,
            lots=lots,
            open_at=self._now(),
            open_price=price,
            changed_at=self._now(),
            sl=sl,
            tp=tp,
            magic=magic,
            comment=comment[:COMMENT_LENGTH],
            reason=reason,
        )
        return self._enter(account, trade, FactKind.OPENED)

    def close(
        self,
        account: Account,
        ticket: int,
        lots: Decimal | None = None,
        *,
        price: Decimal | None = None,
        reason: Reason = Reason.CLIENT,
        note: str = "",
    ) -> Trade:
        """Close all or part of a position; return the row that goes to history."""
        trade = self.position(account, ticket)
        check_may_trade(account, reason)
        lots = lots or trade.lots
        spec = self._market.symbol(trade.symbol)
        if not 0 < lots <= trade.lots or lots % spec.lot_step:
            raise Refused("Invalid volume", "INVALID_VOLUME")
        price = (price or closing_price(trade.command, self._market.quote(trade.symbol))).quantize(spec.point)
        check_price(price)

        part = replace(
            trade,
            lots=lots,
            close_at=self._now(),
            changed_at=self._now(),
            close_price=price,
            profit=profit(spec, trade.command, lots, trade.open_price, price),
            commission=share(trade.commission, lots, trade.lots),
            swap=share(trade.swap, lots, trade.lots),
            close_reason=reason,
        )
        rest = replace(
            trade,
            lots=trade.lots - lots,
            commission=trade.commission - part.commission,
            swap=trade.swap - part.swap,
            changed_at=self._now(),
        )
        if account.platform is Platform.MT5:
            per_side = self._groups[account.group].commission_per_lot / 2
            order = self._next_ticket(Platform.MT5)
            out = deal_out(part, self._next_deal(), order, -cents(per_side * lots), reason)
            closed = replace(part, commission=part.commission + out.commission, dealt_out=out)
            account.balance += out.profit + out.swap + out.commission
        else:
            account.balance += part.net
            closed, rest = self._split_mt4(part, rest, note)
        del account.positions[ticket]
        if rest.lots:
            account.positions[rest.ticket] = rest
        account.history.append(closed)
        kind = FactKind.PARTLY_CLOSED if rest.lots else FactKind.CLOSED
        self._fact(kind, account, closed, rest if rest.lots else None)
        return closed

    def modify(
        self,
        account: Account,
        ticket: int,
        sl: Decimal | None,
        tp: Decimal | None,
        reason: Reason = Reason.CLIENT,
    ) -> Trade:
        """Move the stops of a position: None keeps one, 0 removes it."""
        trade = self.position(account, ticket)
        check_may_trade(account, reason)
        sl, tp = trade.sl if sl is None else sl, trade.tp if tp is None else tp
        if (sl, tp) == (trade.sl, trade.tp):
            raise Refused("No changes", "NO_CHANGES")
        check_stops(trade.command, closing_price(trade.command, self._market.quote(trade.symbol)), sl, tp)
        changed = replace(trade, sl=sl, tp=tp, changed_at=self._now())
        account.positions[ticket] = changed
        self._fact(FactKind.MODIFIED, account, changed)
        return changed

    # --- pending orders

    def place(
        self,
        account: Account,
        symbol: str,
        command: Command,
        lots: Decimal,
        price: Decimal,
        *,
        sl: Decimal = ZERO,
        tp: Decimal = ZERO,
        magic: int = 0,
        comment: str = "",
        expires_at: int = 0,
        reason: Reason = Reason.CLIENT,
    ) -> Trade:
        spec = self._market.symbol(symbol)
        check_order(account, spec, lots, reason)
        price = price.quantize(spec.point)
        check_stops(command, price, sl, tp)
        order = Trade(
            ticket=self._next_ticket(account.platform),
            login=account.login,
            command=command,
            symbol=symbol,
            lots=lots,
            open_at=self._now(),
            open_price=price,
            changed_at=self._now(),
            sl=sl,
            tp=tp,
            magic=magic,
            comment=comment[:COMMENT_LENGTH],
            reason=reason,
            expires_at=expires_at,
        )
        account.pending[order.ticket] = order
        self._fact(FactKind.PLACED, account, order)
        return order

    def change_pending(
        self,
        account: Account,
        ticket: int,
        *,
        price: Decimal | None = None,
        sl: Decimal | None = None,
        tp: Decimal | None = None,
        expires_at: int | None = None,
        comment: str | None = None,
        reason: Reason = Reason.CLIENT,
    ) -> Trade:
        order = self.pending(account, ticket)
        check_may_trade(account, reason)
        changed = replace(
            order,
            open_price=(price or order.open_price).quantize(self._market.symbol(order.symbol).point),
            sl=order.sl if sl is None else sl,
            tp=order.tp if tp is None else tp,
            expires_at=order.expires_at if expires_at is None else expires_at,
            comment=order.comment if comment is None else comment[:COMMENT_LENGTH],
        )
        if changed == order:
            raise Refused("No changes", "NO_CHANGES")
        check_stops(changed.command, changed.open_price, changed.sl, changed.tp)
        changed = replace(changed, changed_at=self._now())
        account.pending[ticket] = changed
        self._fact(FactKind.PENDING_MODIFIED, account, changed)
        return changed

    def cancel(self, account: Account, ticket: int, reason: Reason = Reason.CLIENT) -> Trade:
        order = self.pending(account, ticket)
        check_may_trade(account, reason)
        quote = self._market.quote(order.symbol)
        cancelled = replace(
            order,
            close_at=self._now(),
            changed_at=self._now(),
            close_price=closing_price(order.command, quote),
            close_reason=reason,
        )
        del account.pending[ticket]
        account.history.append(cancelled)
        kind = FactKind.EXPIRED if reason is Reason.EXPIRED else FactKind.CANCELLED
        self._fact(kind, account, cancelled)
        return cancelled

    def fill(self, account: Account, ticket: int, price: Decimal | None = None) -> Trade:
        """Turn a pending order into a position under the same ticket, at its own price unless told otherwise."""
        order = self.pending(account, ticket)
        spec = self._market.symbol(order.symbol)
        price = (price or order.open_price).quantize(spec.point)
        check_price(price)
        check_margin(self._market, account, spec, order.lots, price)
        del account.pending[ticket]
        filled = replace(
            order,
            command=order.command.side,
            open_at=self._now(),
            changed_at=self._now(),
            open_price=price,
            expires_at=0,
        )
        return self._enter(account, filled, FactKind.FILLED)

    # --- cash

    def cash(
        self,
        account: Account,
        command: Command,
        amount: Decimal,
        comment: str,
        *,
        comment_length: int = COMMENT_LENGTH,
        expires_at: int = 0,
        reason: Reason = Reason.DEALER,
    ) -> Trade:
        """Book a signed amount to balance or credit; what would leave the account short is refused."""
        amount = check_cash(self._market, account, command, amount)
        if command is Command.CREDIT:
            account.credit += amount
        else:
            account.balance += amount
        now = self._now()
        mt5 = account.platform is Platform.MT5
        ticket = self._next_deal() if mt5 else self._next_ticket(account.platform)
        row = Trade(
            ticket=ticket,
            login=account.login,
            command=command,
            symbol="",
            lots=CASH_ROW_LOTS,
            open_at=now,
            open_price=ZERO,
            changed_at=now,
            close_at=now,
            profit=amount,
            comment=comment[:comment_length],
            reason=reason,
            expires_at=expires_at,
        )
        if mt5:
            row = replace(row, dealt_in=deal_of_cash(row))
        account.history.append(row)
        self._fact(FactKind.CASH, account, row)
        return row

    def charge_swap(self, account: Account, ticket: int, amount: Decimal) -> None:
        """Add a night's swap to a position; the platforms announce nothing for it."""
        trade = self.position(account, ticket)
        account.positions[ticket] = replace(trade, swap=trade.swap + amount)

    # --- accounts and groups

    def user_changed(self, account: Account) -> None:
        account.changed_at = self._now()
        self._fact(FactKind.USER, account)

    def group_changed(self, name: str, platform: Platform) -> None:
        self._facts += 1
        self._tell(Fact(self._facts, FactKind.GROUP, self._now(), platform, group=name))

    # --- looking things up

    @staticmethod
    def position(account: Account, ticket: int) -> Trade:
        try:
            return account.positions[ticket]
        except KeyError:
            raise Refused(f"Cannot find order '{ticket}'", "INVALID_TICKET") from None

    @staticmethod
    def pending(account: Account, ticket: int) -> Trade:
        try:
            return account.pending[ticket]
        except KeyError:
            raise Refused(f"Cannot find pending order '{ticket}'", "INVALID_TICKET") from None

    # --- inside

    def _enter(self, account: Account, trade: Trade, kind: FactKind) -> Trade:
        per_lot = self._groups[account.group].commission_per_lot
        if account.platform is Platform.MT5:
            # MT5 charges each side with its deal, at once; MT4 charges both when the trade closes.
            commission = -cents(per_lot / 2 * trade.lots)
            trade = replace(
                trade, commission=commission, dealt_in=deal_in(trade, self._next_deal(), commission)
            )
            account.balance += commission
        else:
            trade = replace(trade, commission=-cents(per_lot * trade.lots))
        account.positions[trade.ticket] = trade
        self._fact(kind, account, trade)
        return trade

    def _split_mt4(self, part: Trade, rest: Trade, note: str) -> tuple[Trade, Trade]:
        if not rest.lots:
            return replace(part, comment=(part.comment + note)[:COMMENT_LENGTH]), rest
        ticket = self._next_ticket(Platform.MT4)
        return (
            replace(part, comment=f"to #{ticket}"),
            replace(rest, ticket=ticket, comment=f"from #{part.ticket}"),
        )

    def _fact(
        self, kind: FactKind, account: Account, trade: Trade | None = None, rest: Trade | None = None
    ) -> None:
        self._facts += 1
        self._tell(Fact(self._facts, kind, self._now(), account.platform, account.login, trade, rest))

    def _next_ticket(self, platform: Platform) -> int:
        self._tickets[platform] += 1
        return self._tickets[platform]

    def _next_deal(self) -> int:
        self._deals += 1
        return self._deals
