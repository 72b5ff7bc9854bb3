"""Two sights of an account, and the events between them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from hub.clock import ManualClock
from hub.ingest.derive_account import DerivingAccounts
from hub.ingest.feed import AccountRow, Platform
from hub.ingest.server_clock import ServerClock

ACCOUNT = AccountRow(
    login=7,
    group="real/std",
    currency="USD",
    leverage=100,
    name="Ann",
    email="ann@example.com",
    country="Cyprus",
    enabled=True,
    trading_enabled=True,
    balance=Decimal(100),
    credit=Decimal(0),
)


def deriving() -> DerivingAccounts:
    clock = ServerClock(ManualClock(datetime(2026, 6, 1, tzinfo=UTC)), utc_offset=timedelta(hours=3))
    return DerivingAccounts("live", Platform.MT4, clock)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"group": "real/vip"}, "account.group_changed"),
        ({"leverage": 50}, "account.leverage_changed"),
        ({"enabled": False}, "account.disabled"),
        ({"trading_enabled": False}, "account.trading_disabled"),
        ({"email": "ann@example.org"}, "account.updated"),
    ],
)
def test_each_change_has_its_event_and_its_own_entity(change: dict[str, Any], kind: str):
    (told,) = deriving().tell(ACCOUNT, replace(ACCOUNT, **change))
    (back,) = deriving().tell(replace(ACCOUNT, **change), ACCOUNT)

    assert told.type == kind
    assert told.entity is not None
    assert back.entity is not None
    assert told.entity.name == back.entity.name
    assert told.entity.state != back.entity.state


def test_balance_and_credit_follow_from_trades_and_are_no_changes_of_the_account():
    assert deriving().tell(ACCOUNT, replace(ACCOUNT, balance=Decimal(5), credit=Decimal(5))) == []


def test_what_a_source_does_not_show_has_not_changed():
    assert deriving().tell(ACCOUNT, AccountRow(login=7)) == []


def test_a_first_sight_leaves_out_what_is_not_known():
    told = deriving().first_sight(
        AccountRow(login=7, balance=Decimal(1)), open_positions=0, open_lots=Decimal(0), is_new=False
    )

    assert told.type == "account.updated"
    assert set(told.data.changed) == {"platform", "balance", "open_positions", "open_lots"}
