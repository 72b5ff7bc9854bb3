"""Who it is about: rows of an account and of the client behind it, as events told them."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec


# Rows hold JSON's values and never each other, so no cycle can run through them: `gc=False` spares the collector
# from looking at each one that an event replaces.
class AccountRow(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """An account as its events told it. A field nobody has told yet is None: unknown, never a guess."""

    server: str
    login: int
    v: int = 1
    platform: str | None = None
    group: str | None = None
    currency: str | None = None
    digits: int | None = None
    leverage: int | None = None
    type: str | None = None
    program: str | None = None
    phase: str | None = None
    status: str | None = None
    enabled: bool | None = None
    trading_enabled: bool | None = None
    country: str | None = None
    balance: Decimal | None = None
    credit: Decimal | None = None
    initial_balance: Decimal | None = None
    open_positions: int | None = None
    open_lots: Decimal | None = None
    registered_at: datetime | None = None
    last_trade_at: datetime | None = None
    tags: list[str] | None = None
    attributes: dict[str, Any] = {}


class ClientRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """The client behind an account, as `client.*` events naming that account told it."""

    v: int = 1
    id: str | None = None
    email: str | None = None
    phone: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    language: str | None = None
    country: str | None = None
    timezone: str | None = None
    consent_marketing: bool | None = None
    kyc: str | None = None
    ib: str | None = None
    tags: list[str] | None = None
    attributes: dict[str, Any] = {}
    accounts: list[str] | None = None


NOBODY = ClientRow()
NO_ACCOUNT = AccountRow("", 0)
