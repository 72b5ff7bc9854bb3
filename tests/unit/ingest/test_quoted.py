"""Quotes of symbols: which are believed, what is kept of them, and who hears of a new one."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.events.watched import symbol_key
from hub.ids import partition_of_key
from hub.ingest.posted_samples import read_posted
from hub.ingest.quoted import QuotedSymbols, name_of
from hub.ingest.reading import quote_reading
from hub.ingest.samples import Quote, Sample

POSTED = {
    "server": "live-1",
    "symbol": "EURUSD",
    "bid": "1.08",
    "ask": "1.0801",
    "at": "2026-06-23T09:00:00Z",
}


def a_reading(at=0, symbol="EURUSD", **fields):
    quote = read_posted(POSTED | {"symbol": symbol} | fields, None)
    assert isinstance(quote, Quote)
    reading = quote_reading(msgspec.structs.replace(quote, at=at))
    assert reading is not None
    return reading


def nobody(_name):
    return None


def test_a_new_symbol_is_told_once_and_again_where_nobody_could_hear_it():
    symbols = QuotedSymbols({"EURUSD": "fx"}.get, remembered=9)
    symbols.hear(a_reading(1), 5)
    symbols.hear(a_reading(2), 5)
    symbols.hear(a_reading(2, "XAUUSD"), 5)

    told = symbols.take()
    symbols.again(told)

    assert [(each.key, each.partition, each.body) for each in told] == [
        (symbol_key("live-1", "EURUSD"), partition_of_key("symbol=live-1:EURUSD"), b'{"symbol_class":"fx"}'),
        (symbol_key("live-1", "XAUUSD"), partition_of_key("symbol=live-1:XAUUSD"), b"{}"),
    ]
    assert symbols.take() == told
    assert symbols.take() == []


def test_a_class_that_was_configured_later_is_told_as_well():
    (before,), (now,) = (_told_by(class_of) for class_of in (nobody, {"EURUSD": "fx"}.get))

    assert before.unique != now.unique
    assert before.unique == _told_by(nobody)[0].unique


def _told_by(class_of):
    symbols = QuotedSymbols(class_of, remembered=9)
    symbols.hear(a_reading(), 5)
    return symbols.take()


def test_older_quotes_are_no_news_unless_the_newest_is_of_a_time_to_come():
    symbols = QuotedSymbols(nobody, remembered=9)
    now = 100

    assert symbols.hear(a_reading(50), now)
    assert not symbols.hear(a_reading(49), now)
    assert symbols.last_seen("symbol=live-1:EURUSD") == a_reading(50)
    assert symbols.hear(a_reading(10_000), now)
    assert not symbols.hear(a_reading(99), now)
    assert symbols.hear(a_reading(100), now)
    assert symbols.last_seen("symbol=live-1:EURUSD") == a_reading(100)


def test_no_more_symbols_are_remembered_than_may_be():
    symbols = QuotedSymbols(nobody, remembered=2)
    for name in ("A", "B", "A", "C"):
        symbols.hear(a_reading(1, name), 5)

    assert symbols.last_seen("symbol=live-1:B") is None
    assert symbols.last_seen("symbol=live-1:A") is not None
    assert symbols.last_seen("symbol=live-1:C") is not None


@given(st.text(min_size=1, max_size=20))
def test_the_name_of_a_symbol_is_read_out_of_its_key(name):
    assert name_of(symbol_key("live-1", name)) == name


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"bid": None}, "bid"),
        ({"symbol": "EURUSD\n"}, "symbol"),
        ({"symbol": "X" * 129}, "symbol"),
        ({"bid": "1" * 30}, "bid"),
        ({"asc": "1"}, "asc"),
    ],
)
def test_what_is_wrong_with_a_quote_is_told_field_by_field(told, field):
    read = read_posted(POSTED | told, None)

    assert isinstance(read, list)
    assert [each.field for each in read] == [field]


def test_what_has_an_account_is_no_quote_and_a_mixture_is_neither():
    account = {"account": {"server": "live-1", "login": 5}, "equity": "1", "at": POSTED["at"]}

    assert isinstance(read_posted(account, None), Sample)
    read = read_posted(POSTED | account, None)
    assert isinstance(read, list)
    assert [each.field for each in read] == ["server", "symbol", "bid", "ask"]
