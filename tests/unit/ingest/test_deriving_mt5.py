"""MT5 positions: deals change their lots, looks do not."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hub.clock import ManualClock
from hub.ingest.books import Books, Changes
from hub.ingest.derive import Deriving
from hub.ingest.derive_account import DerivingAccounts
from hub.ingest.feed import AccountRow, Command, Platform, TradeRow
from hub.ingest.server_clock import ServerClock

NOON = 1_780_000_000_000_000


def some_books() -> Books:
    clock = ServerClock(ManualClock(datetime(2026, 6, 1, tzinfo=UTC)), zone="Europe/Nicosia")
    books = Books(
        "bridge:5001", Platform.MT5, Deriving("live", clock), DerivingAccounts("live", Platform.MT5, clock)
    )
    books.meet(AccountRow(login=5001, balance=Decimal(1000)), (), since=0, is_new=False)
    books.absorb(5001, ())
    return books


def a_position(**changes: Any) -> TradeRow:
    return TradeRow(
        **{
            "ticket": 20,
            "login": 5001,
            "command": Command.BUY,
            "symbol": "EURUSD",
            "lots": Decimal("0.3"),
            "opened_lots": Decimal("0.3"),
            "opened_at": NOON,
            "open_price": Decimal("1.1"),
            "deal_in": 900,
            "opening_commission": Decimal(-1),
            **changes,
        }
    )


def a_part(deal: int, lots: str) -> TradeRow:
    return a_position(
        lots=Decimal(lots), deal_out=deal, closed_at=NOON + deal, profit=Decimal(5), commission=Decimal(0)
    )


def names(changes: Changes) -> list[str]:
    return [told.type for told, _ in changes.tellings]


def test_each_part_is_one_deal_and_the_position_ends_with_its_last():
    books = some_books()

    told = [
        names(books.observe(row))
        for row in (a_position(), a_part(901, "0.1"), a_part(902, "0.05"), a_part(903, "0.15"))
    ]

    assert told == [
        ["trade.opened"],
        ["trade.closed", "position.decreased"],
        ["trade.closed", "position.decreased"],
        ["trade.closed"],
    ]
    assert books.open == {}
    assert books.known[5001].account.balance == Decimal(1014), (
        "commission at the opening, profit at each close"
    )


def test_a_look_older_or_newer_than_the_deals_known_changes_no_lots():
    books = some_books()
    books.observe(a_position())
    books.observe(a_part(901, "0.1"))

    assert names(books.observe(a_position(lots=Decimal("0.3")))) == []
    assert names(books.observe(a_position(lots=Decimal("0.1")))) == []
    assert books.open[20].lots == Decimal("0.2")


def test_a_part_already_told_is_not_taken_off_again_after_a_restart():
    books, again = some_books(), some_books()
    for row in (a_position(), a_part(901, "0.1")):
        for mark in books.observe(row).marks:
            if mark.value is not None:
                again.load({mark.name: mark.value})

    assert names(again.observe(a_part(901, "0.1"))) == []
    assert names(again.observe(a_part(902, "0.2"))) == ["trade.closed"]


def test_a_closed_position_does_not_come_back_with_a_late_frame():
    books = some_books()
    books.observe(a_position())
    books.observe(a_part(901, "0.3"))

    assert names(books.observe(a_position())) == []
    assert books.open == {}


def test_a_netting_position_that_grew_with_another_deal_was_increased():
    books = some_books()
    books.observe(a_position())

    assert names(books.observe(a_position(lots=Decimal("0.5"), deal_in=910))) == ["position.increased"]
