"""Money in the base currency: with the rate that held, or not at all."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from hub.clock import ManualClock, to_us
from hub.engine.memory import MemoryLog
from hub.errors import ConfigError
from hub.events.catalogue import BY_NAME
from hub.events.records import decode_data, decode_envelope
from hub.ingest.base_currency import CONVERTED, BaseCurrency
from hub.ingest.contracts import Contract, Contracts
from hub.ingest.rates import LOOK_EVERY, DatedRate, Quote, Rates, RateSetting, RatesFile, read_rates
from hub.ingest.receive import Receiver
from hub.testing import MORNING

NOW = to_us(MORNING)
DAY = timedelta(days=1)
WEEK = timedelta(days=7)


def at(days: float) -> str:
    return str(json.loads(msgspec.json.encode(MORNING + days * DAY)))


def rates(**said: Any) -> Rates:
    settings = {name: TypeAdapter(RateSetting).validate_python(value) for name, value in said.items()}
    return Rates(settings, longest=WEEK)


EUR = {"rate": "1.0845", "at": at(-1)}


class Desk:
    def __init__(self, known: Rates | None = None) -> None:
        self.log = MemoryLog(ManualClock(MORNING))
        base = BaseCurrency("USD", known or rates(EUR=EUR, USC="0.01"))
        self.receiver = Receiver(self.log, ManualClock(MORNING), convert=base.converted)

    async def post(self, *events: dict[str, Any]) -> Any:
        return await self.receiver.accept(json.dumps(events).encode(), "application/json", source="api:crm")

    async def deposited(self, **more: Any) -> dict[str, Any]:
        await self.post(a_deposit(**more))
        return self.stored()[-1]

    def stored(self) -> list[dict[str, Any]]:
        return [json.loads(bytes(decode_envelope(row.body).data)) for row in self.log.ranked(0, 100)]


def a_deposit(
    currency: str | None = "EUR", amount: Any = "100.00", days: float = 0, ticket: int = 1, **data: Any
) -> dict[str, Any]:
    account = {"server": "live-1", "login": 7001} | ({"currency": currency} if currency else {})
    return {
        "type": "balance.deposited",
        "timestamp": at(days),
        "account": account,
        "data": {"ticket": ticket, "amount": amount, **data},
    }


async def test_an_amount_is_converted_at_the_rate_that_held_and_says_which() -> None:
    assert await Desk().deposited() == {
        "ticket": 1,
        "amount": "100.00",
        "amount_base": "108.45",
        "rate": "1.0845",
        "rate_at": at(-1),
    }


async def test_the_base_currency_itself_is_worth_itself() -> None:
    stored = await Desk().deposited(currency="USD", amount="100.10")

    assert (stored["amount_base"], stored["rate"], stored["rate_at"]) == ("100.10", "1", at(0))


async def test_a_fixed_rate_always_holds() -> None:
    stored = await Desk().deposited(currency="USC", amount="12345", days=-300)

    assert (stored["amount_base"], stored["rate"], stored["rate_at"]) == ("123.45", "0.01", at(-300))


@pytest.mark.parametrize(
    ("currency", "days"),
    [("JPY", 0), (None, 0), ("EUR", -2), ("EUR", 0.9)],
    ids=["no rate", "no currency", "before the first rate", "so far ahead that the rate is too old"],
)
async def test_without_a_rate_the_field_is_missing(currency: str | None, days: float) -> None:
    known = Rates({"EUR": DatedRate.model_validate(EUR)}, longest=DAY)

    stored = await Desk(known).deposited(currency=currency, days=days)

    assert stored == {"ticket": 1, "amount": "100.00"}


async def test_of_several_rates_the_one_before_the_event_counts() -> None:
    known = rates()
    quotes = [(datetime(2026, 1, day, tzinfo=UTC), Decimal(day)) for day in (1, 3, 5)]
    known.load(_quotes(quotes))

    found = [known.of("EUR", to_us(datetime(2026, 1, day, tzinfo=UTC))) for day in (2, 3, 4, 6)]

    assert [rate.rate if rate else None for rate in found] == [1, 3, 3, 5]
    assert known.of("EUR", to_us(datetime(2025, 12, 31, tzinfo=UTC))) is None


def _quotes(said: Sequence[tuple[datetime, Decimal]]) -> Any:

    return [Quote("EUR", rate, moment) for moment, rate in said]


async def test_what_the_sender_converted_stays_his() -> None:
    told = await Desk().deposited(amount_base="111.11")
    with_rate = await Desk().deposited(rate="1.2")

    assert told["amount_base"] == "111.11"
    assert "rate" not in told
    assert "amount_base" not in with_rate


async def test_a_payment_has_a_currency_of_its_own() -> None:
    desk = Desk()
    payment = {"request": "w1", "amount": "10", "currency": "EUR"}
    account = {"server": "live-1", "login": 7001, "currency": "USD"}

    await desk.post(
        {"type": "withdrawal.requested", "timestamp": at(0), "data": payment},
        {
            "type": "withdrawal.requested",
            "timestamp": at(0),
            "account": account,
            "data": {"request": "w2", "amount": "10"},
        },
    )

    assert [stored["amount_base"] for stored in desk.stored()] == ["10.845", "10"]


async def test_a_losing_trade_is_converted_with_its_sign() -> None:
    desk = Desk()
    trade = {"deal": 7, "symbol": "EURUSD", "side": "buy", "lots": "1", "profit": "-10.01", "swap": "-0.02"}
    event = {"type": "trade.closed", "timestamp": at(0), "data": trade}

    await desk.post({**event, "account": {"server": "live-1", "login": 7001, "currency": "EUR"}})

    stored = desk.stored()[0]
    assert (stored["net_profit"], stored["net_profit_base"]) == ("-10.03", "-10.877535")


async def test_the_same_fact_at_another_rate_is_the_same_fact_and_the_first_rate_stands() -> None:
    known = rates(EUR=EUR)
    desk = Desk(known)
    unnumbered = a_deposit()
    del unnumbered["data"]["ticket"]
    await desk.post(a_deposit(), unnumbered)
    known.load(_quotes([(MORNING - timedelta(hours=1), Decimal("1.2"))]))

    receipt = await desk.post(a_deposit(), unnumbered)

    assert [(result.status, result.errors) for result in receipt.results] == [("duplicate", ())] * 2
    assert [stored["amount_base"] for stored in desk.stored()] == ["108.45"] * 2


async def test_another_amount_is_still_another_telling() -> None:
    desk = Desk()
    await desk.post(a_deposit())

    receipt = await desk.post(a_deposit(amount="200"))

    assert receipt.results[0].errors[0].reason.startswith("an event with this identity")


async def test_the_quick_way_and_pydantics_way_convert_alike() -> None:
    quick, slow = Desk(), Desk()
    event = a_deposit()

    fact = quick.receiver.quick(json.dumps(event).encode(), source="api:crm", servers=None)
    await slow.post(event, {"type": "nothing"})  # a bad neighbour sends both the long way

    assert fact is not None
    assert json.loads(bytes(fact.envelope.data)) == slow.stored()[0]


def test_every_type_with_a_base_amount_is_converted() -> None:
    assert {
        name
        for name, kind in BY_NAME.items()
        if {"amount_base", "net_profit_base"} & kind.model.model_fields.keys()
    } == CONVERTED.keys()
    assert all("rate_at" in BY_NAME[name].model.model_fields for name in CONVERTED)


@given(
    st.decimals(min_value="0.01", max_value="9999999999", places=2),
    st.decimals(min_value="0.0000000001", max_value="100000", places=10),
)
async def test_a_conversion_is_exact_to_eight_digits_and_can_be_read(amount: Decimal, rate: Decimal) -> None:
    if not rate > 0:
        return
    desk = Desk(rates(EUR=format(rate, "f")))

    stored = await desk.deposited(amount=format(amount, "f"))

    assert "E" not in stored["amount_base"]
    assert abs(Decimal(stored["amount_base"]) - amount * rate) <= Decimal("0.000000005")
    assert decode_data(decode_envelope(desk.log.ranked(0, 1)[0].body)).rate == rate


LOTS = {
    "EUR???*": Contract(size=Decimal(100_000), currency="EUR"),
    "XAUUSD*": Contract(size=Decimal(100), currency="USD", priced=True),
    "DAX*": Contract(size=Decimal(25), currency="CHF", priced=True),
}


async def traded(symbol: str, **more: Any) -> dict[str, Any]:
    log = MemoryLog(ManualClock(MORNING))
    base = BaseCurrency("USD", rates(EUR=EUR), Contracts(LOTS))
    receiver = Receiver(log, ManualClock(MORNING), convert=base.converted)
    trade = {"deal": 7, "symbol": symbol, "side": "buy", "lots": "0.5", **more}
    event = {
        "type": "trade.closed",
        "timestamp": at(0),
        "account": {"server": "live-1", "login": 7001},
        "data": trade,
    }
    assert (await receiver.accept(json.dumps(event).encode(), "application/json", source="api:crm")).accepted
    stored: dict[str, Any] = json.loads(bytes(decode_envelope(log.ranked(0, 1)[0].body).data))
    return {name: value for name, value in stored.items() if name.startswith("notional")}


async def test_what_was_traded_is_lots_of_what_a_lot_is() -> None:
    assert await traded("EURGBP") == {
        "notional_base": "54225",
        "notional_rate": "1.0845",
        "notional_rate_at": at(-1),
    }
    assert (await traded("XAUUSD", close_price="4000.10"))["notional_base"] == "200005"


@pytest.mark.parametrize(
    ("symbol", "more"),
    [
        ("ACME", {}),
        ("XAUUSD", {}),
        ("DAX40", {"close_price": "1"}),
        ("EURUSD", {"notional_rate": "1"}),
    ],
    ids=["no contract", "no price", "no rate", "the sender's own"],
)
async def test_what_was_traded_is_not_guessed(symbol: str, more: dict[str, Any]) -> None:
    assert "notional_base" not in await traded(symbol, **more)


async def test_a_notional_the_sender_gives_stays_his() -> None:
    assert await traded("EURUSD", notional_base="7") == {"notional_base": "7"}


async def test_what_is_more_than_an_event_can_say_is_missing() -> None:
    stored = await Desk(rates(EUR="1000")).deposited(amount="9999999999999999")

    assert "amount_base" not in stored


# --- the file


def a_file(folder: Path, *lines: str) -> Path:
    path = folder / "rates.csv"
    path.write_text("\n".join(["currency,rate,at", *lines]))
    return path


def test_a_file_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    path = a_file(tmp_path, "EUR,1.08,2026-06-22T00:00:00Z", "", "USC,0.01,")

    assert [(quote.currency, quote.rate, quote.at is None) for quote in read_rates(path)] == [
        ("EUR", Decimal("1.08"), False),
        ("USC", Decimal("0.01"), True),
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("EUR,0,", "rates.csv:2: rate: "),
        ("EUR,-1,", "rates.csv:2: rate: "),
        ("EUR,NaN,", "rates.csv:2: rate: "),
        ("EUR,1e5,", "rates.csv:2: rate: "),
        ("euro,1,", "rates.csv:2: currency: "),
        ("EUR,1,2026-06-22", "rates.csv:2: at: "),
        ("EUR,1", "rates.csv:2: 2 cells for 3 columns"),
        ('"EUR,1', "rates.csv:2: "),
    ],
)
def test_a_file_that_is_wrong_names_the_line(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_rates(a_file(tmp_path, line))

    assert said in str(error.value)


def test_a_file_without_its_header_or_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = a_file(tmp_path)
    path.write_text("EUR,1.08,\n")

    with pytest.raises(ConfigError, match="the first line is currency,rate,at"):
        read_rates(path)
    with pytest.raises(ConfigError, match="cannot read"):
        read_rates(tmp_path / "nothing.csv")


async def test_a_file_that_changes_is_read_again_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    clock, known = ManualClock(MORNING), rates(EUR="1", GBP="2")
    path = a_file(tmp_path, "EUR,1.08,")
    file, stopping = RatesFile(path, known, clock), asyncio.Event()
    file.load()

    def worth() -> list[Decimal]:
        found = [known.of(name, NOW) for name in ("EUR", "GBP")]
        return [rate.rate for rate in found if rate is not None]

    before = worth()
    async with asyncio.TaskGroup() as group:
        group.create_task(file.run(stopping))
        await asyncio.sleep(0)
        a_file(tmp_path, "EUR,1.0900,")
        await clock.advance(LOOK_EVERY)
        changed = worth()
        a_file(tmp_path, "EUR,nonsense,")
        await clock.advance(LOOK_EVERY)
        broken = worth()
        path.unlink()
        await clock.advance(LOOK_EVERY)
        stopping.set()

    assert (before, changed, broken, worth()) == (
        [Decimal("1.08"), Decimal(2)],
        *[[Decimal("1.09"), Decimal(2)]] * 3,
    )


@pytest.mark.parametrize("value", [0, -1, "x", {"rate": "1", "when": "now"}, {"at": at(0)}, None])
def test_a_rate_nobody_can_mean_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(RateSetting).validate_python(value)
