"""Classes of symbols."""

import json
from typing import Any

import pytest

from hub.clock import ManualClock
from hub.engine.memory import MemoryLog
from hub.events.catalogue import BY_NAME
from hub.events.facts import says_the_same
from hub.events.records import decode_data, decode_envelope
from hub.ingest import symbols
from hub.ingest.receive import Receiver
from hub.ingest.symbols import SymbolClasses
from hub.testing import MORNING


def test_the_first_mask_that_fits_wins() -> None:
    classes = SymbolClasses({"EURUSD.x": "special", "EUR*": "fx", "*": "other"})

    assert [classes.of(name) for name in ("EURUSD.x", "EURUSD", "eurusd", "ACME")] == [
        "special",
        "fx",
        "fx",
        "other",
    ]


def test_an_unlisted_symbol_has_no_class() -> None:
    assert SymbolClasses({"XAU*": "metals"}).of("EURUSD") is None
    assert SymbolClasses().of("EURUSD") is None


def test_symbols_from_outside_cannot_fill_the_memory(monkeypatch: object) -> None:
    classes = SymbolClasses({"A*": "a"})

    for number in range(symbols.MAX_REMEMBERED + 10):
        classes.of(f"S{number}")

    assert len(classes._known) <= symbols.MAX_REMEMBERED
    assert classes.of("A" * 5000) is None


def test_every_event_that_names_a_symbol_can_say_its_class() -> None:
    named = {
        name: kind.model.model_fields for name, kind in BY_NAME.items() if "symbol" in kind.model.model_fields
    }

    assert len(named) > 10
    assert [name for name, fields in named.items() if "symbol_class" not in fields] == []


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("trade.opened", {"side": "buy", "lots": "1", "price": "1"}),
        ("trade.closed", {"side": "buy", "lots": "1"}),
        ("position.modified", {"position": 1}),
        ("position.decreased", {"position": 1, "deal": 1, "lots_before": "2", "lots_after": "1"}),
        ("order.placed", {"order": 1, "side": "buy", "lots": "1"}),
    ],
)
@pytest.mark.parametrize(("symbol", "known"), [("EURUSD", "fx"), ("Whatever", None)])
async def test_a_posted_event_gets_the_class_of_its_symbol(
    name: str, data: dict[str, Any], symbol: str, known: str | None
) -> None:
    log = MemoryLog(ManualClock(MORNING))
    receiver = Receiver(log, ManualClock(MORNING), symbols=SymbolClasses({"EUR*": "fx"}))
    account = {"server": "live-1", "login": 7001}
    event = {
        "type": name,
        "timestamp": MORNING.isoformat(),
        "account": account,
        "data": {"symbol": symbol, **data},
    }

    receipt = await receiver.accept(json.dumps(event).encode(), "application/json", source="api:crm")

    assert receipt.accepted == 1
    assert decode_data(decode_envelope(log.ranked(0, 1)[0].body)).symbol_class == known


def test_a_class_that_changed_since_makes_no_other_telling() -> None:
    first = b'{"order":1,"symbol":"EURUSD","side":"buy","lots":"1"}'
    again = b'{"order":1,"symbol":"EURUSD","symbol_class":"fx","side":"buy","lots":"1"}'
    other = b'{"order":1,"symbol":"EURUSD","symbol_class":"fx","side":"buy","lots":"2"}'
    quoted = b'{"order":1,"symbol":"EURUSD","side":"buy","lots":"1","reason":"a,\\"rate\\":\\"1\\""}'

    assert says_the_same("order.placed", first, again)
    assert not says_the_same("order.placed", first, other)
    assert not says_the_same("order.placed", first, quoted)
    assert not says_the_same("custom.thing", first, again)
