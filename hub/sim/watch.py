"""What a trading server does by itself when prices move or a day ends: stops, pending fills, stop-outs, swaps."""

from hub.sim.desk import Desk
from hub.sim.market import Market
from hub.sim.model import Account, Command, Group, Reason, Refused, Trade
from hub.sim.money import cents, closing_price, opening_price, profit_now, standing


class Watch:
    def __init__(self, market: Market, desk: Desk, groups: dict[str, Group]) -> None:
        self._market = market
        self._desk = desk
        self._groups = groups

    def prices_moved(self, account: Account, now: int) -> None:
        for order in list(account.pending.values()):
            self._check_pending(account, order, now)
        for trade in list(account.positions.values()):
            self._check_stops(account, trade)
        self._check_stop_out(account)

    def day_ended(self, account: Account) -> None:
        for trade in list(account.positions.values()):
            spec = self._market.symbol(trade.symbol)
            rate = spec.swap_long if trade.command is Command.BUY else spec.swap_short
            self._desk.charge_swap(account, trade.ticket, cents(rate * trade.lots))
        now = standing(self._market, account)
        account.previous_day_balance = now.balance
        account.previous_day_equity = now.equity

    def _check_pending(self, account: Account, order: Trade, now: int) -> None:
        if order.expires_at and order.expires_at <= now:
            self._desk.cancel(account, order.ticket, Reason.EXPIRED)
            return
        price = opening_price(order.command, self._market.quote(order.symbol))
        waits_for_lower = order.command in {Command.BUY_LIMIT, Command.SELL_STOP}
        if price <= order.open_price if waits_for_lower else price >= order.open_price:
            self._fill_or_drop(account, order)

    def _fill_or_drop(self, account: Account, order: Trade) -> None:
        try:
            self._desk.fill(account, order.ticket)
        except Refused:
            # A server deletes a pending order the account can no longer afford.
            self._desk.cancel(account, order.ticket, Reason.DEALER)

    def _check_stops(self, account: Account, trade: Trade) -> None:
        price = closing_price(trade.command, self._market.quote(trade.symbol))
        falling = trade.command is Command.BUY
        if trade.sl and (price <= trade.sl if falling else price >= trade.sl):
            self._desk.close(account, trade.ticket, reason=Reason.STOP_LOSS, note="[sl]")
        elif trade.tp and (price >= trade.tp if falling else price <= trade.tp):
            self._desk.close(account, trade.ticket, reason=Reason.TAKE_PROFIT, note="[tp]")

    def _check_stop_out(self, account: Account) -> None:
        limit = self._groups[account.group].margin_stopout
        while account.positions:
            stands = standing(self._market, account)
            if stands.margin == 0 or stands.margin_level > limit:
                return
            worst = min(
                account.positions.values(), key=lambda trade: (profit_now(self._market, trade), trade.ticket)
            )
            note = f"so: {stands.margin_level:.1f}%/{stands.equity}/{stands.margin}"
            self._desk.close(account, worst.ticket, reason=Reason.STOP_OUT, note=note)
