"""Administrative writes: each is carried out on the books and written into the ledger, or refused and neither."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from hub.clock import MICROSECOND, SECOND_US
from hub.sim.broker import Broker
from hub.sim.faults import Faults
from hub.sim.ledger import Ledger
from hub.sim.model import ZERO, Account, Command, Group, Platform, Reason, Refused, Trade
from hub.sim.money import opening_price

LONGEST_TEXT = 128
DAY_SECONDS = 86_400
LARGEST_LEVERAGE = 2_000
SECRETS = frozenset({"password", "password_investor", "password_phone"})
# The platform's name of a field, where ours differs.
ATTRIBUTES = {"id": "client_id"}
MODELLED = frozenset(
    {
        *("group", "name", "email", "phone", "country", "city", "comment", "status", "client_id", "leverage"),
        *("enable", "read_only", "password", "password_investor"),
    }
)

Field = str | int | bool


@dataclass(slots=True)
class BackOffice:
    """One platform's desk for the gateways; ``via`` names the gateway in the ledger."""

    broker: Broker
    ledger: Ledger
    faults: Faults
    platform: Platform
    via: str
    late: bool = False

    # --- reading

    def account(self, login: int) -> Account:
        account = self.broker.accounts.get(login)
        if account is None or account.platform is not self.platform:
            raise Refused(f"Cannot find user '{login}'", "INVALID_ACCOUNT")
        return account

    def owner_of(self, ticket: int) -> Account:
        for account in self.broker.accounts_of(self.platform):
            if ticket in account.positions or ticket in account.pending:
                return account
        raise Refused(f"Cannot find order '{ticket}'", "INVALID_TICKET")

    def history(self, account: Account, since: int, until: int) -> list[Trade]:
        """Return rows closed between two readings of the server clock, both included.

        The history-lag fault hides what closed only just now; the duplicates fault tells every row twice.
        """
        zone = self.broker.zone
        lag = self.faults.history_lag // MICROSECOND
        # Newest first, to stop early: no server clock is a whole day away from UTC.
        oldest = (since - DAY_SECONDS) * SECOND_US
        rows: list[Trade] = []
        for row in reversed(account.history):
            if row.close_at < oldest:
                break
            hidden = lag and row.close_at > self.broker.now_us - lag
            if not hidden and since <= zone.seconds(row.close_at) <= until:
                rows += [row, row] if self.faults.duplicate_history_rows else [row]
        rows.reverse()
        return rows

    # --- money

    def cash(self, login: int, command: Command, amount: Decimal, comment: str, expires_at: int = 0) -> Trade:
        row = self.broker.desk.cash(
            self.account(login),
            command,
            amount,
            comment,
            comment_length=self.faults.comment_length,
            expires_at=expires_at,
        )
        self._record(command.value, login, amount=row.profit, comment=row.comment, ticket=row.ticket)
        return row

    # --- trades

    def open(
        self,
        login: int,
        symbol: str,
        command: Command,
        lots: Decimal,
        *,
        price: Decimal | None = None,
        sl: Decimal = ZERO,
        tp: Decimal = ZERO,
        expires_at: int = 0,
        magic: int = 0,
        comment: str = "",
        reason: Reason = Reason.DEALER,
    ) -> Trade:
        account = self.account(login)
        desk = self.broker.desk
        if command.is_market:
            trade = desk.open(
                account,
                symbol,
                command,
                lots,
                price=price,
                sl=sl,
                tp=tp,
                magic=magic,
                comment=comment,
                reason=reason,
            )
        elif command.is_pending:
            market_price = opening_price(command, self.broker.market.quote(symbol))
            trade = desk.place(
                account,
                symbol,
                command,
                lots,
                price or market_price,
                sl=sl,
                tp=tp,
                magic=magic,
                comment=comment,
                expires_at=expires_at,
                reason=reason,
            )
        else:
            raise Refused("Invalid command", "INVALID")
        self._record(
            "order.open",
            login,
            value=f"{command} {symbol} {lots}",
            comment=trade.comment,
            ticket=trade.ticket,
        )
        return trade

    def close(
        self,
        account: Account,
        ticket: int,
        lots: Decimal | None,
        price: Decimal | None,
        *,
        why: str = "",
        reason: Reason = Reason.DEALER,
    ) -> Trade:
        closed = self.broker.desk.close(account, ticket, lots, price=price, reason=reason)
        self._record("order.close", account.login, amount=closed.lots, value=why, ticket=ticket)
        return closed

    def close_all(self, login: int, symbol: str) -> list[Trade]:
        account = self.account(login)
        self.broker.market.symbol(symbol)
        tickets = [trade.ticket for trade in account.positions.values() if trade.symbol == symbol]
        return [self.close(account, ticket, None, None, why="close_all") for ticket in tickets]

    def close_by(self, ticket: int, ticket_by: int) -> None:
        """Close two opposite positions against one another, at the opening price of the second."""
        account = self.owner_of(ticket)
        desk = self.broker.desk
        one, other = desk.position(account, ticket), desk.position(account, ticket_by)
        if one.symbol != other.symbol or one.command is other.command:
            raise Refused("Invalid order to close by", "INVALID")
        lots = min(one.lots, other.lots)
        self.close(account, ticket, lots, other.open_price, why=f"close_by {ticket_by}")
        self.close(account, ticket_by, lots, other.open_price, why=f"close_by {ticket}")

    def cancel(self, account: Account, ticket: int, *, reason: Reason = Reason.DEALER) -> Trade:
        cancelled = self.broker.desk.cancel(account, ticket, reason)
        self._record("order.cancel", account.login, ticket=ticket)
        return cancelled

    def activate(self, ticket: int, price: Decimal) -> Trade:
        account = self.owner_of(ticket)
        filled = self.broker.desk.fill(account, ticket, price)
        self._record("order.activate", account.login, amount=price, ticket=ticket)
        return filled

    def modify(
        self,
        account: Account,
        ticket: int,
        *,
        price: Decimal | None = None,
        sl: Decimal | None = None,
        tp: Decimal | None = None,
        expires_at: int | None = None,
        comment: str | None = None,
        reason: Reason = Reason.DEALER,
    ) -> Trade:
        desk = self.broker.desk
        if ticket in account.pending:
            changed = desk.change_pending(
                account,
                ticket,
                price=price,
                sl=sl,
                tp=tp,
                expires_at=expires_at,
                comment=comment,
                reason=reason,
            )
        else:
            changed = desk.modify(account, ticket, sl, tp, reason)
        self._record("order.modify", account.login, value=f"sl={changed.sl} tp={changed.tp}", ticket=ticket)
        return changed

    # --- accounts, groups, prices

    def add_user(self, login: int, fields: Mapping[str, Field]) -> Account:
        group = self.broker.group(str(fields.get("group", "")))
        if login in self.broker.accounts:
            raise Refused(f"Login '{login}' already exists", "LOGIN_EXISTS")
        if not fields.get("name") or not fields.get("password"):
            raise Refused("Invalid parameters: name and password are required", "INVALID_PARAMETERS")
        login = login or 1 + max((a.login for a in self.broker.accounts_of(self.platform)), default=1000)
        account = Account(
            login=login,
            platform=self.platform,
            group=group.name,
            name="",
            password="",
            currency=group.currency,
            leverage=group.default_leverage,
            registered_at=self.broker.now_us,
        )
        self._apply(account, fields)
        self.broker.accounts[login] = account
        self._record("user.add", login, value=_described(fields), comment=account.comment)
        self.broker.desk.user_changed(account)
        return account

    def set_user(self, login: int, fields: Mapping[str, Field]) -> Account:
        account = self.account(login)
        self._apply(account, fields)
        self._record("user.set", login, value=_described(fields))
        self.broker.desk.user_changed(account)
        return account

    def set_group(self, name: str, fields: Mapping[str, int | bool]) -> Group:
        group = self.broker.group(name)
        changed = replace(
            group,
            margin_call=int(fields.get("margin_call", group.margin_call)),
            margin_stopout=int(fields.get("margin_stopout", group.margin_stopout)),
            default_leverage=int(fields.get("default_leverage", group.default_leverage)),
            enable=bool(fields.get("enable", group.enable)),
        )
        if changed.margin_stopout < 0 or changed.margin_call < 0 or changed.default_leverage < 1:
            raise Refused("Invalid parameters: levels must not be negative", "INVALID_PARAMETERS")
        self.broker.groups[name] = changed
        self._record("group.set", 0, value=f"{name}: {_described(fields)}")
        self.broker.desk.group_changed(name, self.platform)
        return changed

    def add_tick(self, symbol: str, bid: Decimal, ask: Decimal) -> None:
        # The native call sorts nothing out: a crossed pair comes in as the lower bid and the higher ask.
        quote = self.broker.move_price(symbol, min(bid, ask), max(bid, ask))
        self._record("tick.add", 0, value=f"{symbol} {quote.bid}/{quote.ask}")

    # --- inside

    def _apply(self, account: Account, fields: Mapping[str, Field]) -> None:
        self._check(fields)
        for name, value in fields.items():
            attribute = ATTRIBUTES.get(name, name)
            if attribute in MODELLED:
                setattr(account, attribute, value)
            else:
                account.details[name] = value

    def _check(self, fields: Mapping[str, Field]) -> None:
        if "group" in fields:
            self.broker.group(str(fields["group"]))
        leverage = fields.get("leverage", 1)
        if not isinstance(leverage, int) or not 1 <= leverage <= LARGEST_LEVERAGE:
            raise Refused("Invalid leverage", "INVALID_PARAMETERS")
        for name, value in fields.items():
            if isinstance(value, str) and len(value) > LONGEST_TEXT:
                raise Refused(f"Field '{name}' is too long", "INVALID_PARAMETERS")

    def _record(
        self,
        kind: str,
        login: int,
        *,
        amount: Decimal | None = None,
        value: str = "",
        comment: str = "",
        ticket: int = 0,
    ) -> None:
        self.ledger.record(
            kind,
            login,
            at=self.broker.now_us,
            via=self.via,
            amount=amount,
            value=value,
            comment=comment,
            ticket=ticket,
            late=self.late,
        )


def _described(fields: Mapping[str, Field]) -> str:
    return ", ".join(
        f"{name}={'***' if name in SECRETS else value}" for name, value in sorted(fields.items())
    )
