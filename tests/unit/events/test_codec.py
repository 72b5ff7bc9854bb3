"""An event is validated once and then stays the bytes it was stored as."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from hub.clock import from_us, iso, to_us
from hub.events.base import Change, Moment, Money, Number
from hub.events.catalogue import BY_CODE, BY_NAME, CUSTOM
from hub.events.decimals import plain
from hub.events.facts import encode_data, stored, us_of
from hub.events.records import RECORDS, decode_data, decode_envelope, wire
from hub.testing import a_trade_closed, an_account, an_event

PLAIN_DECIMALS = st.decimals(
    min_value=Decimal(-9999999999999999), max_value=Decimal(9999999999999999), places=10, allow_nan=False
) | st.sampled_from([Decimal("1E-8"), Decimal("-0.0000000001"), Decimal("1E+3"), Decimal(0)])
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60)
NUMBERS = st.integers(1, 2**64 - 1)
MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2198, 1, 1), timezones=st.just(UTC))
TRADES = st.fixed_dictionaries(
    {
        "symbol": TEXTS.filter(bool),
        "side": st.sampled_from(["buy", "sell"]),
        "lots": PLAIN_DECIMALS.map(abs),
        "deal": NUMBERS,
        "partial": st.booleans(),
    },
    optional={
        "profit": PLAIN_DECIMALS,
        "swap": PLAIN_DECIMALS,
        "comment": TEXTS,
        "closed_at": MOMENTS,
        "magic": NUMBERS,
    },
)


@given(TRADES)
def test_every_field_comes_back_from_the_log_as_it_went_in(fields: dict[str, Any]) -> None:
    model = BY_NAME["trade.closed"].model.model_validate(fields)
    fact = a_trade_closed(**fields)

    record = decode_data(decode_envelope(stored(fact.envelope)))

    for name, value in fields.items():
        assert getattr(record, name) == value
        assert type(getattr(record, name)) is type(value)
    assert record.taxes is None
    assert record.id == fact.envelope.id
    assert b"E" not in encode_data(model).replace(b"EURUSD", b"") or "E" in str(fields)


@given(TRADES)
def test_decimals_are_stored_without_exponent(fields: dict[str, Any]) -> None:
    text = json.loads(encode_data(BY_NAME["trade.closed"].model.model_validate(fields)))

    assert set(text["lots"]) <= set("0123456789.")
    assert Decimal(text["lots"]) == fields["lots"]


@given(st.integers(-(10**15), 7 * 10**15))
def test_microseconds_are_exact(us: int) -> None:
    assert us_of(from_us(us)) == us == to_us(from_us(us))


def test_a_receiver_gets_six_fields() -> None:
    fact = a_trade_closed(profit="12.50")

    body = json.loads(wire(stored(fact.envelope), 1044))

    assert list(body) == ["id", "type", "timestamp", "account", "sequence", "data"]
    assert body["sequence"] == 1044
    assert body["data"]["profit"] == "12.50"
    assert body["timestamp"] == "2026-06-23T09:00:00Z"


def test_a_custom_event_keeps_what_nobody_declared() -> None:
    fact = an_event("custom.promo", None, lots=1.5, who={"name": "Ünal"}, deal=2**63)

    record = decode_data(decode_envelope(stored(fact.envelope)))

    assert (record.lots, record.who, record.deal) == (Decimal("1.5"), {"name": "Ünal"}, 2**63)
    assert record.nothing is None


def test_a_text_of_digits_stays_a_text() -> None:
    # As an amount "007" would become 7: phone numbers and foreign ids are told as changes too.
    fact = an_event("client.updated", None, client="c1", changed={"phone": {"before": None, "after": "007"}})

    assert decode_data(decode_envelope(stored(fact.envelope))).changed["phone"]["after"] == "007"
    assert Change(after=Decimal("1.50")).after == Decimal("1.50")


@pytest.mark.parametrize(
    "text",
    [
        "1_0",
        " 1",
        "1 ",
        "٣",
        "1e3",
        "NaN",
        "Infinity",
        "+1",
        ".5",
        "1.",
        "",
        "1" * 17,
        "0.00000000001",
        "--1",
        "1,5",
    ],
)
def test_what_is_not_a_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="decimal"):
        TypeAdapter(Money).validate_python(text)


@pytest.mark.parametrize(
    "value", [True, float("nan"), float("inf"), 1e300, Decimal("1E+999999999"), 10**30, None, [], b"1"]
)
def test_what_is_not_a_finite_number_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match="decimal"):
        TypeAdapter(Money).validate_python(value)


@pytest.mark.parametrize("value", [True, "1", 1.0, -1, 2**64, None])
def test_a_number_is_an_integer_and_nothing_like_one(value: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Number).validate_python(value)


@pytest.mark.parametrize(
    "value",
    [
        "2026-06-23T09:00:00",
        "2026-06-23",
        "1750000000",
        1750000000,
        1.5,
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59-12:00",
    ],
)
def test_a_moment_says_its_zone_and_is_no_count_of_seconds(value: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Moment).validate_python(value)


def test_one_moment_has_one_spelling() -> None:
    berlin = timezone(timedelta(hours=2))
    parse = TypeAdapter(Moment).validate_python

    assert parse("2026-06-23T11:00:00+02:00").isoformat() == "2026-06-23T09:00:00+00:00"
    assert parse(datetime(2026, 6, 23, 11, tzinfo=berlin)).utcoffset() == timedelta()
    assert iso(us_of(parse("2026-06-23T09:00:00.123Z"))) == "2026-06-23T09:00:00.123Z"


def test_moments_in_data_are_moments_in_the_record() -> None:
    fact = a_trade_closed(closed_at="2026-06-23T08:00:00+00:00")

    assert decode_data(decode_envelope(stored(fact.envelope))).closed_at == datetime(
        2026, 6, 23, 8, tzinfo=UTC
    )


def test_every_type_but_custom_has_a_record() -> None:
    assert {kind.model for kind in BY_CODE.values() if kind is not CUSTOM} == set(RECORDS)


def test_the_account_travels_whole() -> None:
    fact = an_event("account.enabled", an_account(login=2**62, group="real\\std"))

    account = decode_envelope(stored(fact.envelope)).account

    assert account is not None
    assert (account.login, account.group, account.key) == (2**62, "real\\std", f"live-1:{2**62}")


@given(st.decimals(allow_nan=False, allow_infinity=False) | PLAIN_DECIMALS)
def test_a_decimal_is_spelled_out_without_an_exponent(value):
    assert plain(value) == format(value, "f")
