"""What mt5rest says, in its builds' several ways, and what is read from it."""

from decimal import Decimal
from typing import Any

import pytest

from hub.errors import RecordMalformed, SourceRefused, SourceUnavailable
from hub.ingest.feed import Command
from hub.ingest.fields import Fields
from hub.ingest.mt5rest_samples import lacks_margin, read_sample
from hub.ingest.mt5rest_session import SessionLost, raise_if_error, read_answer
from hub.ingest.normalize_mt5 import is_named, order_rows, read_account, read_order

DEAL_IN = {
    "ticketNumber": 900,
    "orderTicket": 20,
    "type": "DealBuy",
    "lots": Decimal("0.3"),
    "price": Decimal("1.1"),
    "commission": Decimal(-1),
    "expertId": 77,
    "comment": "mine",
    "openTimeMs": 1_780_000_000_123,
    "placedType": "Manually",
}
DEAL_OUT = {
    "ticketNumber": 901,
    "orderTicket": 21,
    "type": "DealSell",
    "lots": Decimal("0.1"),
    "price": Decimal("1.2"),
    "profit": Decimal("10.50"),
    "commission": Decimal("-0.3"),
    "swap": Decimal("-0.1"),
    "expertId": 0,
    "comment": "",
    "openTimeMs": 1_780_000_100_000,
    "placedType": "OnTP",
}
CLOSED = {
    "ticket": 20,
    "symbol": "EURUSD",
    "orderType": "Buy",
    "lots": Decimal("0.2"),
    "closeLots": Decimal("0.1"),
    "openTime": "2026-06-01T12:00:00",
    "closeTime": "2026-06-01T13:00:00",
    "profit": Decimal("10.50"),
    "comment": "",
    "dealInternalIn": DEAL_IN,
    "dealInternalOut": DEAL_OUT,
}


def pascal(value: Any) -> Any:
    if isinstance(value, dict):
        return {name[:1].upper() + name[1:]: pascal(item) for name, item in value.items()}
    return value


@pytest.mark.parametrize(
    "build", [CLOSED, pascal(CLOSED), {**CLOSED, "profit": 0, "lots": 0, "volume": 0, "closeLots": 0}]
)
def test_a_closed_part_is_read_from_its_deals_whatever_the_build(build: dict[str, Any]):
    row = read_order(build, 5001, is_closed=True)

    assert (row.ticket, row.deal_in, row.deal_out) == (20, 900, 901)
    assert (row.lots, row.opened_lots) == (Decimal("0.1"), Decimal("0.3"))
    assert (row.profit, row.swap, row.commission) == (Decimal("10.5"), Decimal("-0.1"), Decimal("-0.3"))
    assert (row.magic, row.comment, row.close_reason) == (77, "mine", "tp"), "joined from the opening"
    assert row.closed_at == 1_780_000_100_000_000
    assert is_named(row)


def test_a_closed_order_without_its_deal_is_not_named():
    row = read_order({**CLOSED, "dealInternalOut": None}, 5001, is_closed=True)

    assert not is_named(row)


def test_an_open_order_knows_its_deal_and_how_much_it_was_opened_with():
    row = read_order(
        {**CLOSED, "dealInternalOut": None, "closeTime": "0001-01-01T00:00:00"}, 5001, is_closed=False
    )

    assert row.is_open
    assert (row.lots, row.opened_lots, row.deal_in) == (Decimal("0.2"), Decimal("0.3"), 900)


@pytest.mark.parametrize(
    ("order_type", "command"),
    [
        ("Balance", Command.BALANCE),
        ("Credit", Command.CREDIT),
        ("Bonus", Command.BONUS),
        ("SoCompensation", Command.SO_COMPENSATION),
        ("CommissionDaily", Command.COMMISSION),
    ],
)
def test_cash_is_numbered_by_its_deal(order_type: str, command: Command):
    deal = {**DEAL_IN, "type": order_type, "profit": Decimal(-5), "lots": 0}

    row = read_order(
        {"ticket": 1, "orderType": order_type, "profit": 0, "dealInternalIn": deal}, 5001, is_closed=True
    )

    assert (row.command, row.ticket, row.profit) == (command, 900, Decimal(-5))


@pytest.mark.parametrize(
    "change",
    [
        {"orderType": "Dance"},
        {"ticket": -1},
        {"lots": 0, "dealInternalIn": None},
        {"openTime": "yesterday", "dealInternalIn": None},
    ],
)
def test_a_hostile_order_is_refused(change: dict[str, Any]):
    with pytest.raises(RecordMalformed):
        read_order({**CLOSED, "dealInternalOut": None, **change}, 5001, is_closed=False)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"message": "Client with id 5 not found", "code": "X", "stackTrace": ""}, SessionLost),
        ({"Message": "whatever", "Code": "INVALID_TOKEN"}, SessionLost),
        ({"message": "Not connected", "code": "CONNECT_ERROR"}, SourceUnavailable),
        ({"error": {"message": "Invalid account", "code": 5}}, SourceRefused),
    ],
)
def test_an_error_that_comes_with_status_200_is_an_error(answer: dict[str, Any], error: type[Exception]):
    with pytest.raises(error):
        raise_if_error("AccountSummary", answer)


def test_an_answer_that_only_has_a_message_is_no_error():
    raise_if_error("X", {"message": "hello"})
    raise_if_error("X", [])


@pytest.mark.parametrize(
    ("body", "is_json", "expected"),
    [
        (b"token-1", False, "token-1"),
        (b'"token-1"', True, "token-1"),
        (b'[{"a":1.10}]', False, [{"a": Decimal("1.10")}]),
        (b"OK", False, "OK"),
    ],
)
def test_answers_come_as_text_or_json(body: bytes, is_json: bool, expected: object):
    assert read_answer("X", body, is_json=is_json) == expected


def test_history_comes_as_a_list_or_wrapped():
    assert order_rows([1]) == order_rows({"Orders": [1]}) == [1]


def test_an_account_without_details_is_read():
    row = read_account(
        {"Balance": Decimal("1.50"), "Credit": 0, "Leverage": 100, "Currency": "USD"}, {}, login=1, group=None
    )

    assert (row.balance, row.leverage, row.currency, row.name) == (Decimal("1.5"), 100, "USD", None)


def frame(**changes: Any) -> Fields:
    return Fields(
        {
            "balance": 1000,
            "credit": 0,
            "equity": 1010,
            "profit": 10,
            "margin": 500,
            "freeMargin": 510,
            "marginLevel": 202,
            "orders": [{}],
        }
        | changes,
        "OnOrderProfit frame",
    )


@pytest.mark.parametrize(
    ("changes", "degraded"),
    [
        ({}, False),
        ({"equity": Decimal("1010.01")}, False),
        ({"equity": Decimal("1010.03")}, True),
        ({"equity": 0, "profit": 0, "margin": 0, "marginLevel": 0, "orders": []}, True),
        ({"margin": 0, "marginLevel": 0}, True),
        ({"margin": 0, "marginLevel": 0, "orders": [], "profit": 0, "equity": 1000}, False),
        ({"balance": 0, "equity": 0, "profit": 0, "margin": 0, "orders": []}, False),
    ],
)
def test_a_sample_that_contradicts_itself_is_degraded(changes: dict[str, Any], degraded: bool):
    sample = read_sample(frame(**changes), server="live", login=1, at=5)

    assert sample.degraded is degraded
    assert (sample.margin_level is None) is (sample.margin == 0)


def test_margin_0_beside_positions_asks_for_a_second_opinion():
    data = frame(margin=0)

    assert lacks_margin(read_sample(data, server="live", login=1, at=5), data)
    assert not lacks_margin(read_sample(frame(), server="live", login=1, at=5), frame())
