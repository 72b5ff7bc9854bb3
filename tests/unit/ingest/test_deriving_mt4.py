"""MT Remote's records, one sight after another, and the events they mean."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from hub.clock import ManualClock
from hub.errors import RecordMalformed
from hub.ingest.books import Books, Changes
from hub.ingest.derive import Deriving
from hub.ingest.derive_account import DerivingAccounts
from hub.ingest.feed import AccountRow, Platform, TradeRow
from hub.ingest.fields import decode
from hub.ingest.normalize_mt4 import read_trade, read_user, with_opened_lots
from hub.ingest.server_clock import ServerClock

NOON = 1_780_000_000  # by the server's clock


def a_record(**changes: Any) -> dict[str, Any]:
    return {
        "order": 10,
        "login": 1001,
        "symbol": "EURUSD",
        "digits": 5,
        "cmd": "buy",
        "reason": "client",
        "volume": Decimal("1.50"),
        "open_time": NOON,
        "close_time": 0,
        "expiration": 0,
        "open_price": Decimal("1.10000"),
        "close_price": Decimal("1.10010"),
        "sl": 0,
        "tp": 0,
        "commission": Decimal("-9.0"),
        "storage": Decimal("-0.5"),
        "profit": Decimal("15.0"),
        "taxes": 0,
        "magic": 7,
        "comment": "swing",
        "timestamp": NOON,
    } | changes


def closed(**changes: Any) -> dict[str, Any]:
    return a_record(close_time=NOON + 60, timestamp=NOON + 60, **changes)


def some_books(*, since: int = 0) -> Books:
    clock = ServerClock(ManualClock(datetime(2026, 6, 1, tzinfo=UTC)), utc_offset=timedelta(hours=3))
    books = Books(
        "bridge", Platform.MT4, Deriving("live", clock), DerivingAccounts("live", Platform.MT4, clock)
    )
    account = AccountRow(login=1001, balance=Decimal(1000), credit=Decimal(0))
    books.meet(account, (), since=since, is_new=False)
    books.absorb(1001, ())
    return books


def names(changes: Changes) -> list[str]:
    return [told.type for told, _ in changes.tellings]


def tell(books: Books, *records: dict[str, Any]) -> list[str]:
    return [name for record in records for name in names(books.observe(read_trade(record)))]


def data(changes: Changes, kind: str) -> Any:
    (found,) = [told.data for told, _ in changes.tellings if told.type == kind]
    return found


PENDING = {"cmd": "buy_limit", "profit": 0, "commission": 0, "storage": 0}


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (None, a_record(), ["trade.opened"]),
        (None, a_record(**PENDING), ["order.placed"]),
        (a_record(**PENDING), a_record(**PENDING, timestamp=NOON + 1, sl=Decimal("1.0")), ["order.modified"]),
        (a_record(**PENDING), a_record(timestamp=NOON + 1), ["order.filled", "trade.opened"]),
        (a_record(**PENDING), closed(**PENDING), ["order.cancelled"]),
        (
            a_record(**PENDING, expiration=NOON + 60),
            closed(**PENDING, expiration=NOON + 60),
            ["order.expired"],
        ),
        (a_record(), a_record(timestamp=NOON + 1, sl=Decimal("1.0")), ["position.modified"]),
        (a_record(), a_record(timestamp=NOON + 1, profit=Decimal(99), storage=Decimal(-3)), []),
        (a_record(), a_record(timestamp=NOON - 1, sl=Decimal("1.0")), []),
        (a_record(), a_record(timestamp=NOON + 1, volume=Decimal("1.0")), ["position.decreased"]),
        (a_record(), closed(), ["trade.closed"]),
        (a_record(), closed(volume=Decimal("0.5"), comment="to #11"), ["trade.closed", "position.decreased"]),
        (None, closed(), ["trade.opened", "trade.closed"]),
        (a_record(**PENDING), closed(), ["order.filled", "trade.opened", "trade.closed"]),
        (None, closed(cmd="balance", symbol="", volume=Decimal("0.01")), ["balance.deposited"]),
        (None, closed(cmd="balance", symbol="", profit=Decimal(-5)), ["balance.withdrawn"]),
        (None, closed(cmd="credit", symbol="", profit=Decimal(5)), ["credit.granted"]),
        (None, closed(cmd="credit", symbol="", profit=Decimal(-5)), ["credit.removed"]),
        (None, closed(cmd="balance", symbol="", profit=0), []),
    ],
)
def test_what_a_record_means_depends_on_the_record_before(before: Any, now: Any, expected: list[str]):
    books = some_books()
    if before is not None:
        tell(books, before)

    assert tell(books, now) == expected
    assert tell(books, now) == [], "told once"


def test_a_close_joins_its_opening_and_adds_up():
    books = some_books()
    tell(books, a_record())

    told = books.observe(read_trade(closed(comment="swing[sl]", storage=Decimal("-1.25"))))

    data_ = data(told, "trade.closed")
    assert (data_.comment, data_.magic, data_.reason) == ("swing", 7, "sl")
    assert (data_.deal, data_.position) == (None, 10)
    assert data_.net_profit == Decimal("4.75")
    assert data_.lots == Decimal("1.5")
    assert not data_.partial
    assert data_.closed_at == datetime.fromtimestamp(NOON + 60, UTC) - timedelta(hours=3)
    assert books.known[1001].account.balance == Decimal("1004.75")


def test_a_mark_the_trader_wrote_himself_does_not_say_why_a_trade_closed():
    books = some_books()
    tell(books, a_record(comment="mine [sl]"))

    told = books.observe(read_trade(closed(comment="mine [sl]")))

    assert data(told, "trade.closed").reason == "client"


@pytest.mark.parametrize("rest_first", [False, True])
def test_the_rest_of_a_partly_closed_trade_is_no_new_trade(rest_first: bool):
    books = some_books()
    tell(books, a_record())
    part = closed(volume=Decimal("0.5"), comment="to #11")
    rest = a_record(order=11, volume=Decimal("1.0"), comment="from #10", timestamp=NOON + 60)

    told = tell(books, *((rest, part) if rest_first else (part, rest)))
    end = books.observe(read_trade(closed(order=11, volume=Decimal("1.0"), comment="from #10")))

    assert told == ["trade.closed", "position.decreased"]
    assert names(end) == ["trade.closed"]
    last = data(end, "trade.closed")
    assert (last.position, last.partial, last.comment, last.magic) == (11, False, "swing", 7)
    assert books.open == {}


def test_a_cut_mark_does_not_turn_the_rest_into_a_new_trade():
    books = some_books()
    tell(books, a_record())

    told = tell(
        books,
        closed(volume=Decimal("0.5"), comment="to #"),
        a_record(order=11, volume=Decimal("1.0"), comment="from #10", timestamp=NOON + 60),
    )

    assert told == ["trade.closed", "position.decreased"]
    assert list(books.open) == [11]


def test_a_trader_cannot_hide_a_trade_by_calling_it_the_rest_of_another():
    books = some_books()
    tell(books, a_record())

    told = tell(books, a_record(order=12, symbol="XAUUSD", comment="from #10"))

    assert told == ["trade.opened"]


def test_a_trade_cut_into_parts_while_nobody_looked_was_opened_with_all_its_lots():
    books = some_books()
    first = read_trade(closed(volume=Decimal("0.5"), comment="to #11"))
    second = read_trade(closed(order=11, volume=Decimal("0.4"), comment="to #12") | {"close_time": NOON + 90})
    rest = read_trade(a_record(order=12, volume=Decimal("0.6"), comment="from #11"))

    changes = [books.observe(row) for row in with_opened_lots([first, second, rest])]

    assert [names(each) for each in changes] == [
        ["trade.opened", "trade.closed", "position.decreased"],
        ["trade.closed", "position.decreased"],
        [],
    ]
    assert data(changes[0], "trade.opened").lots == Decimal("1.5")
    assert data(changes[1], "trade.closed").remaining_lots == Decimal("0.6")


def test_what_ended_before_the_account_was_seen_is_never_told():
    books = some_books(since=(NOON + 30) * 1_000_000)
    early = read_trade(closed() | {"close_time": NOON + 29})
    absorbed = read_trade(closed(order=13))
    books.absorb(1001, [absorbed])

    assert names(books.observe(early)) == []
    assert names(books.observe(absorbed)) == []
    assert names(books.observe(read_trade(closed(order=14)))) == ["trade.closed"], (
        "and its opening was history"
    )


def test_books_come_back_from_their_marks():
    books, again = some_books(), some_books()
    marks: dict[str, bytes] = {}
    for record in (
        a_record(),
        a_record(order=20),
        closed(order=20),
        closed(volume=Decimal("0.5"), comment="to #11"),
    ):
        for mark in books.observe(read_trade(record)).marks:
            if mark.value is None:
                marks.pop(mark.name, None)
            else:
                marks[mark.name] = mark.value
    again.load(marks)

    assert again.open == books.open
    assert again.known == books.known


def test_a_record_that_fits_no_event_is_set_aside_once_and_the_next_one_is_read():
    books = some_books()
    bad = read_trade(a_record(symbol=""))

    assert names(books.observe(bad)) == names(books.observe(bad)) == []
    assert len(books.refusals) == 1
    assert "symbol" in books.refusals[0]
    assert tell(books, a_record(order=11)) == ["trade.opened"]


@pytest.mark.parametrize(
    "change",
    [
        {"cmd": "dance"},
        {"order": 0},
        {"order": -1},
        {"order": 2**63},
        {"order": "x"},
        {"order": True},
        {"login": None},
        {"volume": 0},
        {"volume": Decimal("NaN")},
        {"volume": Decimal("1E+40")},
        {"profit": "Infinity"},
        {"open_time": 10**15},
        {"comment": 5},
    ],
)
def test_a_hostile_record_is_refused_with_the_name_of_its_field(change: dict[str, Any]):
    with pytest.raises(RecordMalformed, match="MT Remote"):
        read_trade(a_record(**change))


@pytest.mark.parametrize(
    "frame", ["", "{", "[" * 100_000, '{"a":NaN}', "\ud800", '{"a":1e9999999999999999999999}']
)
def test_a_hostile_frame_is_refused(frame: str):
    with pytest.raises(RecordMalformed):
        decode(frame, "frame")


def test_numbers_never_pass_through_a_binary_float():
    frame = decode('{"profit": 0.1234567891, "order": 9007199254740993, "b": 30000000.07}', "frame")

    assert frame["profit"] == Decimal("0.1234567891")
    assert frame["order"] == 9007199254740993
    assert frame["b"] == Decimal("30000000.07")


def test_a_user_is_read_with_its_groups_currency():
    user = read_user(
        {
            "login": 5,
            "group": "real/eur",
            "enable": 1,
            "read_only": True,
            "leverage": 100,
            "balance": 10,
            "name": "A\x00B",
        },
        {"real/eur": "EUR"},
    )

    assert (user.currency, user.enabled, user.trading_enabled, user.name) == ("EUR", True, False, "A B")


def test_a_row_survives_its_own_encoding():
    row = read_trade(a_record())

    assert msgspec.json.decode(msgspec.json.encode(row), type=TradeRow) == row


def test_a_first_sight_that_was_cut_short_is_seen_anew():
    books, again = some_books(), some_books()
    books.meet(AccountRow(login=1002), [read_trade(a_record(login=1002))], since=0, is_new=False)
    marks = books.meet(
        AccountRow(login=1003), [read_trade(a_record(login=1003))], since=0, is_new=False
    ).marks

    again.load({mark.name: mark.value for mark in marks if mark.value is not None})

    assert 1003 not in again.known
    assert again.open == {}


def test_believing_the_server_twice_is_two_facts():
    books = some_books()
    off = AccountRow(login=1001, balance=Decimal(900), credit=Decimal(0))

    assert books.is_off(off)
    (told, _) = books.correct(off).tellings[0]

    assert told.data.changed == {"balance": {"before": Decimal(1000), "after": Decimal(900)}}
    assert not books.is_off(off)
    assert "@" in told.entity.state


def test_a_part_of_a_trade_nobody_saw_open_has_to_wait_for_its_history():
    books = some_books()
    part = read_trade(closed(volume=Decimal("0.5"), comment="to #11"))
    rest = read_trade(a_record(order=11, volume=Decimal("1.0"), comment="from #10"))
    ended = read_trade(closed(order=11, volume=Decimal("1.0"), comment="from #10[tp]"))

    assert books.lacks_origin(part)
    assert books.lacks_origin(rest)
    assert books.lacks_origin(ended)
    assert not books.lacks_origin(read_trade(a_record()))
    tell(books, a_record())
    assert not books.lacks_origin(part)
    assert not books.lacks_origin(rest)


def test_looking_at_what_a_row_would_tell_changes_nothing():
    books = some_books()
    tell(books, a_record(), closed(volume=Decimal("0.5"), comment="to #"))
    rest = read_trade(a_record(order=11, volume=Decimal("1.0"), comment="from #10", timestamp=NOON + 60))

    assert books.would_tell(rest) == books.would_tell(rest) == []
    assert names(books.observe(rest)) == []


def test_the_rest_of_a_position_whose_first_part_only_the_log_knows_was_not_opened_now():
    part = closed(volume=Decimal("0.5"), comment="to #11")
    rest = a_record(order=11, volume=Decimal("1.0"), comment="from #10", timestamp=NOON + 60)
    books = some_books()
    books.remember_told(read_trade(part))
    assert books.lacks_origin(read_trade(rest))

    assert names(books.adopt(read_trade(rest))) == []
    assert tell(books, rest) == []
    assert tell(books, closed(order=11, volume=Decimal("1.0"), comment="from #10")) == ["trade.closed"]


def test_the_rest_that_has_ended_as_well_is_told_to_have_closed_and_not_to_have_opened():
    books = some_books()
    books.remember_told(read_trade(closed(volume=Decimal("0.5"), comment="to #11")))
    second, third = with_opened_lots(
        [
            read_trade(closed(order=11, volume=Decimal("0.4"), comment="to #12")),
            read_trade(a_record(order=12, volume=Decimal("0.6"), comment="from #11", timestamp=NOON + 60)),
        ]
    )

    books.adopt(second)

    assert names(books.observe(second, late=True)) == ["trade.closed", "position.decreased"]
    assert names(books.observe(third, late=True)) == []
