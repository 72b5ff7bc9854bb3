"""The ledger, the faults, the server's clock, the driver and the control edge, each by itself."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from pydantic import ValidationError

from hub.clock import ManualClock, to_us
from hub.errors import ConfigError
from hub.sim.back_office import BackOffice
from hub.sim.broker import Broker
from hub.sim.control import FaultChange, apply_change
from hub.sim.driver import Driver
from hub.sim.faults import Fate, Faults, Odds
from hub.sim.ledger import Ledger
from hub.sim.market import Market
from hub.sim.model import Command, Platform, Refused
from hub.sim.zone import ServerZone

START = datetime(2026, 6, 23, 9, tzinfo=UTC)
TAG = "H1:ABCDEFGHJKMNPQRS"


def an_office(**faults: object) -> BackOffice:
    broker = Broker(seed=1, start=START, mt4_accounts=2, mt5_accounts=1, events_per_second=0)
    office = BackOffice(broker, Ledger(), Faults(), Platform.MT4, "test")
    for name, value in faults.items():
        setattr(office.faults, name, value)
    return office


def test_the_ledger_finds_duplicates_by_the_token_and_not_by_the_label() -> None:
    ledger = Ledger()
    ledger.record("credit", 1, at=0, via="t", amount=Decimal(5), comment=f"{TAG}:bonus")
    ledger.record("credit", 1, at=0, via="t", amount=Decimal(5), comment="H1:OTHEROTHEROTHER2:bonus")
    assert ledger.duplicates() == {}

    ledger.record("credit", 1, at=0, via="t", amount=Decimal(5), comment=f"{TAG}:bo")

    assert {tag: len(effects) for tag, effects in ledger.duplicates().items()} == {TAG: 2}
    assert len(ledger.by_tag(f"{TAG}:bonus")) == 2
    assert ledger.total("credit") == 15


def test_untagged_effects_are_no_duplicates() -> None:
    ledger = Ledger()
    ledger.record("user.set", 1, at=0, via="t", value="enable=False")
    ledger.record("user.set", 1, at=0, via="t", value="enable=False")

    assert ledger.duplicates() == {}
    assert len(ledger) == 2


def test_a_refused_write_leaves_no_effect() -> None:
    office = an_office()

    with pytest.raises(Refused):
        office.cash(1001, Command.CREDIT, Decimal(-5), TAG)

    assert office.ledger.effects() == []


def test_every_write_is_in_the_ledger_once() -> None:
    office = an_office()
    account = office.account(1001)

    office.cash(1001, Command.CREDIT, Decimal(5), TAG)
    trade = office.open(1001, "EURUSD", Command.BUY, Decimal("0.02"))
    office.modify(account, trade.ticket, sl=Decimal("1.00000"))
    office.close(account, trade.ticket, Decimal("0.01"), None)
    office.open(1001, "EURUSD", Command.SELL, Decimal("0.01"))
    office.close_all(1001, "EURUSD")
    order = office.open(1001, "EURUSD", Command.BUY_LIMIT, Decimal("0.01"), price=Decimal("1.01"))
    office.cancel(account, order.ticket)
    office.set_user(1001, {"read_only": True, "password": "secret"})
    office.set_group("real/std", {"margin_call": 90})
    office.add_tick("EURUSD", Decimal("1.2"), Decimal("1.1"))
    new = office.add_user(0, {"group": "real/std", "name": "New", "password": "pw-of-new"})

    assert [effect.kind for effect in office.ledger.effects()] == [
        *("credit", "order.open", "order.modify", "order.close", "order.open", "order.close", "order.close"),
        *("order.open", "order.cancel", "user.set", "group.set", "tick.add", "user.add"),
    ]
    assert new.login == 1003
    assert office.ledger.effects("user.set")[0].value == "password=***, read_only=True"
    assert office.broker.market.quote("EURUSD").bid == Decimal("1.1")


def test_closing_one_position_by_another_leaves_the_difference() -> None:
    office = an_office()
    bought = office.open(1001, "EURUSD", Command.BUY, Decimal("0.03"))
    sold = office.open(1001, "EURUSD", Command.SELL, Decimal("0.01"))

    office.close_by(bought.ticket, sold.ticket)

    (left,) = office.account(1001).positions.values()
    assert (left.command, left.lots) == (Command.BUY, Decimal("0.02"))


def test_history_lag_hides_a_row_until_it_is_old_enough() -> None:
    office = an_office(history_lag=timedelta(seconds=5))
    office.broker.move_to(to_us(START + timedelta(minutes=1)))
    office.cash(1001, Command.CREDIT, Decimal(5), TAG)
    account = office.account(1001)

    assert TAG not in [row.comment for row in office.history(account, 0, 1 << 40)]

    office.broker.move_to(to_us(START + timedelta(minutes=1, seconds=5)))
    assert TAG in [row.comment for row in office.history(account, 0, 1 << 40)]


def test_duplicated_history_rows_are_the_same_row_twice() -> None:
    office = an_office(duplicate_history_rows=True)

    rows = office.history(office.account(1001), 0, 1 << 40)

    assert len(rows) == 2
    assert rows[0] == rows[1]


def test_a_shorter_comment_is_cut_on_the_books_and_in_the_ledger() -> None:
    office = an_office(comment_length=10)

    row = office.cash(1001, Command.CREDIT, Decimal(5), TAG)

    assert row.comment == office.ledger.effects()[0].comment == TAG[:10]


def test_odds_strike_the_next_so_many_times_and_then_by_chance() -> None:
    dice = random.Random(1)
    certain, never, always = Odds(next=2), Odds(), Odds(probability=1.0)

    assert [certain.strikes(dice) for _ in range(3)] == [True, True, False]
    assert not never.strikes(dice)
    assert always.strikes(dice)


def test_at_most_one_fault_strikes_a_write() -> None:
    dice = random.Random(1)
    faults = Faults(drop_before_apply=Odds(1), late_apply=Odds(1), apply_then_drop_answer=Odds(1))
    faults.apply_then_withhold_answer = Odds(1)

    assert [faults.fate(dice) for _ in range(5)] == [
        *(Fate.DROPPED_BEFORE, Fate.APPLIED_LATE, Fate.ANSWER_DROPPED, Fate.ANSWER_WITHHELD, Fate.NORMAL),
    ]


def test_a_fault_change_touches_only_what_it_names() -> None:
    faults = Faults(pascal_case=True)

    apply_change(faults, FaultChange.model_validate({"late_apply": {"next": 2}, "history_lag_ms": 1500}))

    assert faults == Faults(pascal_case=True, late_apply=Odds(2), history_lag=timedelta(seconds=1.5))


@pytest.mark.parametrize("field", ["late_aply", "answer_delay", "__class__"])
def test_an_unknown_fault_is_refused(field: str) -> None:
    with pytest.raises(ValidationError):
        FaultChange.model_validate({field: 1})


def test_the_server_clock_follows_its_zone_through_summer_and_winter() -> None:
    zone = ServerZone("Europe/Nicosia")
    summer, winter = to_us(datetime(2026, 7, 1, 12, tzinfo=UTC)), to_us(datetime(2026, 1, 1, 12, tzinfo=UTC))

    assert (zone.offset_seconds(summer), zone.offset_seconds(winter)) == (10_800, 7_200)
    assert zone.text(summer) == "2026-07-01T15:00:00"
    assert zone.seconds(summer) == zone.read_text("2026-07-01T15:00:00") == summer // 1_000_000 + 10_800
    assert zone.moment(zone.seconds(winter)) == winter
    assert (zone.seconds(0), zone.text(0)) == (0, "0001-01-01T00:00:00")


def test_a_fixed_offset_is_a_zone_and_nonsense_is_not() -> None:
    assert ServerZone("-05:30").offset_seconds(to_us(START)) == -19_800
    with pytest.raises(ConfigError, match="unknown server zone"):
        ServerZone("Mars/Olympus")


def test_prices_stay_on_their_grid_and_within_their_walls() -> None:
    market = Market(3, 0, liveliness=500)
    for second in range(1, 400):
        market.drift(60, second)

    for name, symbol in market.symbols.items():
        for quote in market.recent(name):
            assert quote.bid == quote.bid.quantize(symbol.point)
            assert quote.ask - quote.bid == symbol.spread
            assert symbol.start / 2 < quote.bid < symbol.start * 2


async def test_the_driver_keeps_the_pace_by_the_clock_and_rests_when_told() -> None:
    clock = ManualClock(START)
    broker = Broker(seed=1, start=START, events_per_second=10)
    driver = Driver(broker, clock)
    stopping = asyncio.Event()

    async with asyncio.TaskGroup() as group:
        group.create_task(driver.run(stopping))
        await clock.advance(timedelta(seconds=10))
        busy = broker.counts.total()
        driver.stop_traffic()
        await clock.advance(timedelta(seconds=10))
        rested = broker.counts.total()
        driver.start_traffic()
        await clock.advance(timedelta(seconds=10))
        stopping.set()
        await clock.advance(timedelta(seconds=1))

    assert busy > 50
    assert rested == busy
    assert broker.counts.total() > rested
