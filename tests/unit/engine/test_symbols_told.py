"""Levels of symbols in stories, in rehearsals, and in plain English."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from unit.engine.desk import MORNING, a_workflow

from hub.bus.log import Input, InputKind
from hub.clock import to_us
from hub.commands.recorded import EventFile, Sampled
from hub.engine.backtest import Tally
from hub.engine.explain import explain
from hub.engine.levels import Quote
from hub.engine.load_text import load_text
from hub.engine.rehearsal import Rehearsal
from hub.engine.story import run_story
from hub.engine.storybook import read_stories
from hub.events.facts import stored
from hub.ingest.symbols import SymbolClasses
from hub.testing import an_event

KEY = "symbol=live-1:EURUSD"
WIDE = """
when: [{crosses: {value: symbol.spread, above: 0.0003}}]
steps: [{do: event.publish, with: {type: custom.wide, data: {name: = symbol.name, ask: = symbol.ask}}}]
"""
HELD = """
params: {pips: {type: number, default: 3}}
when: [{crosses: {value: symbol.spread, above: params.pips * 0.0001, rearm: 0.0002, for: 1m, gap: restart}}]
steps: [{do: event.publish, with: {type: custom.wide, data: {name: = symbol.name, spread: = trigger.value}}}]
"""


async def failures(text, story):
    loaded = load_text(f"schema: 1\nid: w\ntitle: t\nmode: live\nkey: symbol\n{text}", "w.yaml")
    assert loaded.workflow is not None, loaded.problems
    book = read_stories(f"workflow: w\ntests:\n{story}", "w.test.yaml")
    assert book.file is not None, book.problems
    result = await run_story(loaded.workflow, book.file.tests[0], book.places[0])
    return list(result.failures)


async def test_a_story_quotes_symbols_and_says_why_nothing_came_of_it():
    story = """
  - name: wide for the second time, and of another symbol
    story:
      - {at: 2026-03-02T10:00Z, quote: {bid: "1.08", ask: "1.0801"}}
      - {at: 2026-03-02T10:01Z, quote: {bid: "1.08", ask: "1.0803"}, expect_none: true, why: "symbol.spread above 0.0003 is false (0.0003 > 0.0003)"}
      - {at: 2026-03-02T10:02Z, quote: {bid: "1.08", ask: "1.08"}, expect_none: true}
      - {at: 2026-03-02T10:03Z, quote: {bid: "1.08", ask: "1.09", degraded: true}, expect_none: true}
      - {at: 2026-03-02T10:04Z, quote: {bid: "1.09", ask: "1.08"}, expect_none: true}
      - {at: 2026-03-02T10:05Z, quote: {bid: "0", ask: "1.08"}, expect_none: true}
      - {at: 2026-03-02T10:06Z, restart: hub}
      - at: 2026-03-02T10:07Z
        quote: {bid: "1.08", ask: "1.0805"}
        expect: [{action: event.publish, key: "w/symbol=live-1:EURUSD/crosses/1/0", data: {name: EURUSD, ask: "1.0805"}}]
      - {at: 2026-03-02T10:08Z, quote: {bid: "1.08", ask: "1.0806"}, expect_none: true, why: "crossed, and not recovered since"}
      - {at: 2026-03-02T10:09Z, quote: {symbol: GBPUSD, server: live-2, bid: "1.2", ask: "1.2"}}
      - {at: 2026-03-02T10:10Z, quote: {symbol: GBPUSD, server: live-2, bid: "1.2", ask: "1.3"}, expect: [{key: "w/symbol=live-2:GBPUSD/crosses/1/0"}]}
"""
    assert await failures(WIDE, story) == []


async def test_a_story_loses_sight_of_a_symbol():
    story = """
  - name: it has to be seen wide for a minute
    story:
      - {at: 2026-03-02T10:00:00Z, quote: {bid: "1.08", ask: "1.0801"}}
      - {at: 2026-03-02T10:01:00Z, quote: {bid: "1.08", ask: "1.0805"}}
      - {at: 2026-03-02T10:01:30Z, quote: {gap: true}, expect_none: true, why: "the feed was away"}
      - {at: 2026-03-02T10:03:00Z, expect_none: true, why: "it begins to count when the symbol is quoted again"}
      - {at: 2026-03-02T10:04:00Z, quote: {bid: "1.08", ask: "1.0806"}}
      - {at: 2026-03-02T10:04:59Z, restart: hub, expect_none: true}
      - {at: 2026-03-02T10:05:00Z, expect: [{action: event.publish, data: {name: EURUSD, spread: "0.0005"}}]}
"""
    assert await failures(HELD, story) == []


async def test_a_story_may_say_the_class_of_a_symbol():
    story = """
  - name: only currencies
    story:
      - {at: 2026-03-02T10:00Z, quote: {bid: "1.08", ask: "1.08"}}
      - {at: 2026-03-02T10:01Z, quote: {bid: "1.08", ask: "1.09"}, expect_none: true, why: "scope: "}
      - {at: 2026-03-02T10:02Z, quote: {bid: "1.08", ask: "1.08", symbol_class: fx}}
      - {at: 2026-03-02T10:03Z, quote: {bid: "1.08", ask: "1.09"}, expect: [{action: event.publish}]}
"""
    assert await failures(f"scope: symbol.class == 'fx'\n{WIDE}", story) == []


@pytest.mark.parametrize("quote", ['{bid: "1"}', '{ask: "1"}', "{}", '{bid: "1", ask: "2", price: "3"}'])
def test_half_a_quote_is_none(quote):
    book = read_stories(
        f"workflow: w\ntests: [{{name: n, story: [{{at: 2026-03-02T10:00Z, quote: {quote}}}]}}]", "w"
    )

    assert book.file is None
    assert book.problems


def test_it_is_told_in_plain_english():
    told = explain(a_workflow(HELD, key="symbol")).text()

    assert (
        "each time the symbol's spread rises above 3 * 0.0001 (params.pips = 3), and stays so for 1 minute "
        "(begun anew when the feed was away meanwhile); again only after it came back to 0.0002."
    ) in told


# Rehearsals


def rehearse(text, rows=(), **named):
    tally = Tally()
    rehearsal = Rehearsal([a_workflow(text, key="symbol")], tally, **named)
    rehearsal.tell(rows)
    return rehearsal, tally


def a_row(n, name, **fields):
    fact = an_event(name, None, dedupe_key=f"n{n}", **fields)
    at = to_us(MORNING + timedelta(minutes=n))
    return Input(fact.partition, n, at, InputKind.EVENT, "", fact.envelope.id, None, stored(fact.envelope))


def a_crossing(n, spread, limit="0.0003", edge="crossed", field="spread", **more):
    bid = Decimal("1.08")
    ask = bid + Decimal(spread)
    value = {"spread": ask - bid, "bid": bid, "ask": ask}[field]
    told = {
        "server": "live-1", "symbol": "EURUSD", "level_id": "lvl_other", "generation": n, "field": field, "edge": edge,
        "side": "above", "value": str(value), "limit": limit, "bid": str(bid), "ask": str(ask), "sampled_at": MORNING,
        "sample_age_ms": 0,
    }  # fmt: skip
    return a_row(n, "symbol.crossed", **told | more)


def test_quotes_cross_the_levels_of_their_symbols():
    rehearsal, tally = rehearse(f"scope: symbol.class == 'fx'\n{WIDE}")

    for minute, ask in enumerate(("1.0801", "1.0804", "1.0805", "1.0800", "0", "1.0809")):
        at = to_us(MORNING + timedelta(minutes=minute))
        for key, kind in ((KEY, "fx"), ("symbol=live-1:XAUUSD", None)):
            rehearsal.quoted(key, Quote(Decimal("1.08"), Decimal(ask)), at, kind)

    assert tally.actions["event.publish"] == 2
    assert rehearsal.broken == []


def test_a_recorded_crossing_counts_as_the_quote_it_was_told_by():
    rows = [a_crossing(1, "0.0005"), a_crossing(2, "0.0001", edge="recovered"), a_crossing(3, "0.0004")]

    rehearsal, same = rehearse(WIDE, rows)
    _, higher = rehearse(WIDE.replace("0.0003", "0.00045"), rows)
    _, never = rehearse(WIDE.replace("0.0003", "0.01"), rows)

    assert [each.actions["event.publish"] for each in (same, higher, never)] == [2, 1, 0]
    assert (rehearsal.keys, rehearsal.broken) == (1, [])


@pytest.mark.parametrize(
    ("value", "limit", "crossed"),
    [
        ("symbol.ask", "1.081", {"field": "ask", "limit": "1.081"}),
        ("symbol.bid", "1.07", {"field": "bid", "limit": "1.07"}),
    ],
)
def test_before_it_was_crossed_the_price_was_not_past_it(value, limit, crossed):
    text = WIDE.replace("symbol.spread", value).replace("0.0003", limit)

    _, tally = rehearse(text, [a_crossing(1, "0.002", **crossed)])

    assert tally.actions["event.publish"] == 1


def test_the_crossing_of_a_level_of_another_is_an_event_like_any():
    text = (
        "when:\n  - {id: event, event: symbol.crossed, where: event.ask - event.bid > 0.0004}\n"
        "  - {id: level, crosses: {value: symbol.bid, above: 9}}\n"
        "steps: [{do: event.publish, with: {type: custom.wide, data: {name: = event.symbol}}}]"
    )

    _, tally = rehearse(text, [a_crossing(1, "0.0005"), a_crossing(2, "0.0003")])

    assert tally.actions["event.publish"] == 1


async def test_quotes_stand_between_the_events_of_a_file(tmp_path):
    lines = [
        {"server": "live-1", "symbol": "EURUSD", "bid": "1.08", "ask": "1.081", "at": "2024-03-02T10:10:00Z"},
        {"server": "live-1", "symbol": "EURUSD", "bid": "1.08", "at": "2024-03-02T10:10:00Z"},
    ]
    path = tmp_path / "events.ndjson"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    file = EventFile(path, SymbolClasses({"EUR*": "fx"}))

    rows = [row async for rows in file.batches() for row in rows]

    (row,) = rows
    assert isinstance(row, Sampled)
    assert (row.key, row.sample, row.symbol_class) == (KEY, Quote(Decimal("1.08"), Decimal("1.081")), "fx")
    assert file.reading.refused == ["line 2: ask: missing"]
