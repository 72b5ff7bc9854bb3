"""Levels of symbols: the real watcher and the real engine, from the first quote on."""

from decimal import Decimal

import pytest
from unit.engine.desk import a_workflow
from unit.engine.prop_house import House

from hub.bus.log import InputKind, NewInput
from hub.engine.index import Program
from hub.engine.keys import KeyKind, partition_of
from hub.engine.levels import Quote as SeenQuote
from hub.engine.own import SLOTS
from hub.engine.state import KeyState
from hub.engine.why import why
from hub.errors import StoreUnavailable
from hub.events.catalogue import event_type
from hub.events.facts import make_fact
from hub.events.risk import SymbolCrossed
from hub.events.watched import SYMBOL_CROSSED
from hub.ids import partition_of_key
from hub.ingest.samples import Quote
from hub.ingest.watcher import Watcher

KEY = "symbol=live-1:EURUSD"
TELL = "steps: [{do: event.publish, with: {type: custom.told, data: {v: = trigger.value, limit: = trigger.limit, name: = symbol.name}}}]\n"
TELL_NAME = "steps: [{do: event.publish, with: {type: custom.told, data: {name: = symbol.name}}}]\n"
WIDE = "above: 0.0003"


def a_rule(crosses=WIDE, more="", value="symbol.spread", steps=TELL):
    return a_workflow(f"when: [{{crosses: {{value: {value}, {crosses}}}}}]\n{more}{steps}", key="symbol")


async def a_house(rule=None):
    return await House(rule or a_rule(), "2026-04-13T12:00:00Z").open(balance="1000", status="active")


async def sees(house, spread, symbol="EURUSD", bid="1.08", **fields):
    bid = Decimal(bid)
    quote = Quote("live-1", symbol, bid, bid + Decimal(spread), house.clock.now_us(), **fields)
    receipt = await house.watcher.quotes([quote])
    await house.settle()
    return receipt


async def crossed(house, told, generation):
    data = SymbolCrossed.model_validate(told | {"generation": generation})
    fact = make_fact(
        event_type(SYMBOL_CROSSED),
        SYMBOL_CROSSED,
        data,
        timestamp=house.clock.now(),
        received_us=house.clock.now_us(),
        source="watcher",
        dedupe_key=f"n{generation}",
    )
    await house.log.append([fact])
    await house.settle()


async def state_of(house):
    rows = (await house.store.load([(partition_of(KEY), KEY)]))[KEY]
    return KeyState.from_rows(partition_of(KEY), KEY, rows)


def levels(house):
    return list(house.store.level_rows.values())


async def test_a_crossing_is_an_event_of_no_account_and_starts_what_is_kept_by_the_symbol():
    house = await a_house()
    await sees(house, "0.0001")
    await sees(house, "0.00031")

    (crossed,) = house.events(SYMBOL_CROSSED)
    (intent,) = house.intents
    assert (crossed.server, crossed.symbol, crossed.field, crossed.edge) == (
        "live-1",
        "EURUSD",
        "spread",
        "crossed",
    )
    assert (crossed.value, crossed.limit) == (Decimal("0.00031"), Decimal("0.0003"))
    assert (crossed.bid, crossed.ask) == (Decimal("1.08"), Decimal("1.08031"))
    assert intent.key == "rule/symbol=live-1:EURUSD/crosses/1/0"
    assert b'"v":"0.00031","limit":"0.0003","name":"EURUSD"' in intent.params


async def test_the_row_and_the_crossing_stand_where_quotes_of_the_symbol_come_in():
    house = await a_house()
    await sees(house, "0.0001")
    await sees(house, "0.0005")

    (row,) = levels(house)
    told = [row for row in house.log.ranked(0, 1000) if b'"type":"symbol.crossed"' in row.body]
    assert (row.key, row.field, row.side, row.threshold) == (KEY, "spread", "above", "0.0003")
    # The event itself, and the mail about it.
    assert [(each.key, each.partition) for each in told] == [("", row.partition), (KEY, row.partition)]
    assert row.partition == partition_of(KEY)
    assert Quote("live-1", "EURUSD", *2 * [Decimal(1)], 0).partition == partition_of_key(KEY)


async def test_nobody_need_trade_a_symbol_that_is_quoted():
    house = await a_house(a_rule(more="scope: symbol.class == 'fx'\n"))
    house.watcher = Watcher(house.log, house.clock, class_of={"EURUSD": "fx"}.get)

    await sees(house, "0.0001")
    await sees(house, "0.0001", "XAUUSD")

    assert [row.key for row in levels(house)] == [KEY]
    assert house.commands() == ["symbol.quoted", "symbol.quoted"]
    await sees(house, "0.0002")
    assert len(house.commands()) == 2


async def test_a_symbol_that_was_quoted_before_there_was_a_workflow_is_compared_with_its_last_quote():
    house = await a_house(a_workflow(f"when: [{{event: trade.opened}}]\n{TELL_NAME}", key="symbol"))
    await sees(house, "0.0005")

    first = f"when: [{{crosses: {{value: symbol.spread, {WIDE}}}, on_first: true}}]\n{TELL_NAME}"
    await house.edit(a_workflow(first, key="symbol"))

    assert house.fired == ["crosses"]


async def test_what_is_beyond_at_the_first_look_fires_only_where_it_says_so():
    house = await a_house()
    await sees(house, "0.0005")
    assert house.fired == []
    await sees(house, "0.0001")
    await sees(house, "0.0004")
    assert house.fired == ["crosses"]


async def test_it_fires_once_for_each_passing_and_arms_again_at_its_rearm():
    house = await a_house(a_rule("above: 0.0003, rearm: 0.0002"))

    for spread in ("0.0001", "0.0004", "0.00025", "0.0004", "0.0002", "0.0004"):
        await sees(house, spread)

    assert house.fired == ["crosses", "crosses"]
    assert [each.edge for each in house.events(SYMBOL_CROSSED)] == ["crossed", "recovered", "crossed"]


@pytest.mark.parametrize(
    ("value", "crosses", "quotes"),
    [
        ("symbol.bid", "below: 1.08", [("0.1", "1.08"), ("0.1", "1.0799")]),
        ("symbol.ask", "above: 1.08", [("0.0001", "1.07"), ("0.0101", "1.07")]),
        ("symbol.ask", "above: 1.08, inclusive: true", [("0.0001", "1.07"), ("0.01", "1.07")]),
    ],
)
async def test_bid_and_ask_may_be_watched(value, crosses, quotes):
    house = await a_house(a_rule(crosses, value=value))

    for spread, bid in quotes:
        await sees(house, spread, bid=bid)

    assert house.fired == ["crosses"]


async def test_symbols_are_told_apart_and_so_are_servers():
    house = await a_house()
    await sees(house, "0.0001")
    await sees(house, "0.0001", "GBPUSD")
    there = Quote("live-2", "EURUSD", Decimal(1), Decimal("1.1"), house.clock.now_us())

    await house.watcher.quotes([there])
    await sees(house, "0.0005", "GBPUSD")

    assert [(each.server, each.symbol) for each in house.events(SYMBOL_CROSSED)] == [("live-1", "GBPUSD")]


@pytest.mark.parametrize(
    ("bid", "ask"),
    [("0", "1"), ("1", "0"), ("0", "0"), ("1.2", "1.1"), ("-1", "1"), ("1", "NaN"), ("1", "1E+30")],
)
async def test_a_quote_that_cannot_be_true_crosses_nothing(bid, ask):
    house = await a_house(a_rule("above: 0"))
    await sees(house, "0")

    receipt = await house.watcher.quotes(
        [Quote("live-1", "EURUSD", Decimal(bid), Decimal(ask), house.clock.now_us())]
    )
    await house.settle()

    assert (receipt.judged, receipt.degraded) == (0, 1)
    assert house.events(SYMBOL_CROSSED) == []


async def test_a_quote_that_is_not_to_be_judged_by_or_comes_late_crosses_nothing():
    house = await a_house()
    await sees(house, "0.0001")
    late = Quote("live-1", "EURUSD", Decimal(1), Decimal(2), house.clock.now_us() - 1)

    assert (await house.watcher.quotes([late])).late == 1
    assert (await sees(house, "1", degraded=True)).degraded == 1

    assert house.events(SYMBOL_CROSSED) == []


async def test_several_quotes_of_one_symbol_at_once_are_seen_in_order():
    house = await a_house()
    await sees(house, "0.0001")
    now = house.clock.now_us()
    quotes = [
        Quote("live-1", "EURUSD", Decimal(1), Decimal(1) + Decimal(s), now) for s in ("0.001", "0", "0.002")
    ]

    assert (await house.watcher.quotes(quotes)).judged == 3
    await house.settle()

    assert house.fired == ["crosses", "crosses"]


async def test_a_limit_moves_with_what_it_is_made_of():
    text = (
        "aggregates: {usual: {from: custom.usual, last: number(event.spread), window: lifetime}}\n"
        f"when: [{{crosses: {{value: symbol.spread, above: usual * 5}}}}]\n{TELL}"
    )
    house = await a_house(a_workflow(text, key="symbol"))
    await sees(house, "0.0001")
    assert levels(house) == []  # nobody knows yet what is usual

    await house.tell("custom.usual", symbol="EURUSD", spread="0.0001")
    (row,) = levels(house)
    assert (row.threshold, row.state) == ("0.0005", "armed")  # it was compared with the last quote
    await house.tell("custom.usual", symbol="EURUSD", spread="0.0002")
    await sees(house, "0.0009")
    assert house.fired == []
    await sees(house, "0.00101")

    assert house.fired == ["crosses"]


async def test_what_it_cost_is_read_by_the_steps_the_crossing_begins():
    steps = (
        "steps:\n  - if: symbol.spread > 2 * trigger.limit\n    do: event.publish\n"
        "    with: {type: custom.told, data: {bid: = symbol.bid, ask: = symbol.ask, spread: = symbol.spread}}\n"
        "  - wait: {for: 1m}\n  - do: event.publish\n    with: {type: custom.told, data: {later: = symbol.spread}}\n"
    )
    house = await a_house(a_rule(steps=steps))
    await sees(house, "0.0001")
    await sees(house, "0.0007")
    assert b'"bid":"1.08","ask":"1.0807","spread":"0.0007"' in house.intents[0].params

    await sees(house, "0.0001")
    await house.restart()
    await house.at("2026-04-13T12:01:01Z")

    assert b'"later":"0.0007"' in house.intents[1].params


async def test_nothing_that_is_kept_of_a_symbol_says_what_it_cost():
    house = await a_house()
    await sees(house, "0.0001")
    await sees(house, "0.0007")

    state = await state_of(house)

    row = state.values[SLOTS[KeyKind.SYMBOL]]
    assert (row.name, row.bid, row.ask, row.spread) == ("EURUSD", None, None, None)


async def test_a_stale_generation_is_ignored():
    house = await a_house()
    await sees(house, "0.0001")
    (row,) = levels(house)
    told = {
        "server": "live-1", "symbol": "EURUSD", "level_id": row.level_id, "field": "spread", "edge": "crossed",
        "side": "above", "value": "5", "limit": "1", "bid": "1", "ask": "6", "sampled_at": house.clock.now(),
        "sample_age_ms": 0,
    }  # fmt: skip

    await crossed(house, told, row.generation - 1)
    assert house.fired == []
    await crossed(house, told, row.generation)

    assert house.fired == ["crosses"]


async def test_it_goes_on_over_a_restart_of_both():
    house = await a_house()
    await sees(house, "0.0001")

    await house.restart()
    await sees(house, "0.0004")
    await house.restart()
    await sees(house, "0.0005")

    assert house.fired == ["crosses"]


async def test_a_workflow_that_goes_takes_its_levels_along_and_one_that_comes_finds_what_is_quoted():
    house = await a_house()
    await sees(house, "0.0002")
    other = a_workflow(
        "when: [{event: trade.closed}]\nsteps: [{do: event.publish, with: {type: custom.a}}]", id="other"
    )

    await house.edit(other)
    assert levels(house) == []
    await house.edit(a_rule("above: 0.0004"), other)
    await sees(house, "0.00041")

    assert [each.limit for each in house.events(SYMBOL_CROSSED)] == [Decimal("0.0004")]


async def test_an_edited_limit_moves_the_level_and_is_compared_with_what_was_seen():
    house = await a_house()
    await sees(house, "0.0002")

    await house.edit(a_rule("above: 0.0001"))

    assert house.fired == ["crosses"]


HELD = "above: 0.0003, for: 30s, gap: {}"


async def test_it_may_have_to_hold():
    house = await a_house(a_rule(HELD.format("restart")))
    await sees(house, "0")
    await sees(house, "0.0005")
    await house.at("2026-04-13T12:00:20Z")
    await sees(house, "0.0001")
    await sees(house, "0.0004")
    await house.at("2026-04-13T12:00:49Z")
    assert house.fired == []
    await house.at("2026-04-13T12:00:50Z")

    (intent,) = house.intents
    assert intent.key.endswith("/crosses/2/0")
    assert b'"v":"0.0004","limit":"0.0003"' in intent.params


@pytest.mark.parametrize(("gap", "fired"), [("restart", []), ("continue", ["crosses"])])
async def test_a_hub_that_was_down_meanwhile_saw_nothing(gap, fired):
    house = await a_house(a_rule(HELD.format(gap)))
    await sees(house, "0")
    await sees(house, "0.0005")
    await house._move(house.clock.now_us() + 60_000_000)

    await house.restart()
    await house.at("2026-04-13T12:01:10Z")
    assert house.fired == fired
    await sees(house, "0.0005")
    await house.at("2026-04-13T12:01:40Z")

    assert house.fired == ["crosses"]


@pytest.mark.parametrize(("gap", "fired"), [("restart", []), ("continue", ["crosses"])])
async def test_a_feed_that_was_away_begins_it_anew_or_not(gap, fired):
    house = await a_house(a_rule(HELD.format(gap)))
    await sees(house, "0")
    await sees(house, "0.0005")
    await house.at("2026-04-13T12:00:10Z")
    receipt = await sees(house, "0", gap=True, degraded=True)
    assert receipt.degraded == 1
    await house.at("2026-04-13T12:00:31Z")
    assert house.fired == fired

    await sees(house, "0.0006")
    await house.at("2026-04-13T12:01:01Z")

    assert house.fired == ["crosses"]


async def test_a_hold_that_only_ends_late_is_believed_as_an_account_s_is():
    house = await a_house(a_rule(HELD.format("restart")))
    await sees(house, "0")
    await sees(house, "0.0005")

    await house._move(house.clock.now_us() + 33_000_000)  # nobody was away: the timer came late
    await house.store.fire_timers(house.clock.now_us(), 1000)
    await house.settle()

    assert house.fired == ["crosses"]


async def test_a_crossing_that_could_not_be_stored_is_told_when_it_can():
    house = await a_house()
    await sees(house, "0.0001")
    append, house.log.append = house.log.append, _refuses
    for symbol in ("EURUSD", "GBPUSD"):
        quote = Quote("live-1", symbol, Decimal(1), Decimal("1.1"), house.clock.now_us())
        with pytest.raises(StoreUnavailable):
            await house.watcher.quotes([quote])
    house.log.append = append

    await house.settle()

    assert house.fired == ["crosses"]
    assert {row.key for row in levels(house)} == {KEY, "symbol=live-1:GBPUSD"}


async def _refuses(*_args, **_more):
    raise StoreUnavailable("disk full")


async def test_why_says_where_a_symbol_stands():
    house = await a_house()
    await sees(house, "0.0002")

    seen = SeenQuote(Decimal("1.08"), Decimal("1.0802"))
    now = house.clock.now_us()
    told = (await why(house.store, Program(house.rules), "rule", KEY, now_us=now, sample=seen)).standing[0]

    assert (told.holds, told.reason) == (False, "symbol.spread above 0.0003 is false (0.0002 > 0.0003)")
    assert told.remains[0].text == "symbol.spread: 0.0002 of 0.0003, more than 0.0001 to go"


@pytest.mark.parametrize(
    ("key", "body"), [(KEY, b""), (KEY, b"{"), (KEY, b'{"symbol_class":5}'), ("live-1:7001", b"{}")]
)
async def test_a_command_nobody_could_have_sent_is_set_aside_and_stops_nothing(key, body):
    house = await a_house()
    told = NewInput(partition_of(key), InputKind.COMMAND, key, "symbol.quoted", body)
    await house.log.append([], inputs=[told])
    await house.settle()
    await sees(house, "0.0001")
    await sees(house, "0.0005")

    assert house.fired == ["crosses"]
    assert house.loop.counters.quarantined == (key == KEY)


async def test_what_waits_for_a_first_look_begins_with_the_first_quote():
    quiet = a_workflow(
        "when: [{absent: {event: trade.opened, within: 1h}}]\n" + TELL_NAME, key="symbol", id="quiet"
    )
    house = await a_house()
    await house.edit(quiet)
    await sees(house, "0.0001")

    await house.at("2026-04-13T13:00:01Z")

    assert [each.run for each in house.intents] == ["quiet/symbol=live-1:EURUSD/absent/1"]
