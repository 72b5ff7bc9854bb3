"""The short way says what pydantic's way says, or nothing."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from hub.bus.log import Appended
from hub.clock import ManualClock
from hub.events.base import AccountRef
from hub.events.catalogue import BY_NAME
from hub.events.facts import Fact, stored
from hub.ingest.posted import POSTABLE
from hub.ingest.quick import QuickReader
from hub.ingest.receive import Receiver
from hub.ingest.strict import NotStrict, Unreadable, parse_json
from hub.ingest.symbols import SymbolClasses

NOW = datetime(2026, 6, 23, 9, 0, tzinfo=UTC)
SYMBOLS = SymbolClasses({"EUR*": "fx", "BTC*": "crypto", "BAD*": "line\nbreak", "LONG*": "x" * 129})
SERVERS = frozenset({"mt5-live", "x"})


class NoLog:
    async def append(self, facts: list[Fact], **_: Any) -> list[Appended]:
        return [Appended(fact.envelope.id, duplicate=False, mismatch=False) for fact in facts]


CLOCK = ManualClock(NOW)
RECEIVER = Receiver(NoLog(), CLOCK, symbols=SYMBOLS)  # type: ignore[arg-type]  # of a log, only `append` is asked
QUICK = QuickReader(SYMBOLS)

MOMENTS = (
    "2026-06-23T09:00:00Z",
    "2026-06-23T08:59:59.123Z",
    "2026-06-23T08:59:59.000000Z",
    "2026-06-23T08:59:59.1Z",
    "2026-06-23T08:59:59.1234567Z",
    "2026-06-23T11:00:00+02:00",
    "2026-06-23T09:00:00+00:00",
    "2026-06-23 09:00:00Z",
    "2026-06-23t09:00:00z",
    "2026-06-23T09:00Z",
    "2026-06-23T09:00:00",
    "2026-06-22T24:00:00Z",
    "2026-06-23T08:59:60Z",
    "2026-02-30T09:00:00Z",
    "2026-W25-1T09:00:00Z",
    "20260623T090000Z",
    "2026-06-23T09:00:00,5Z",
    "1969-12-31T23:59:59Z",
    "1970-01-01T00:00:00Z",
    "2026-05-01T00:00:00Z",
    "2026-06-24T09:00:01Z",
    "2199-12-31T23:59:59.999999Z",
    "2200-01-01T00:00:00Z",
    "1750000000",
    "\uff12\uff1026-06-23T09:00:00Z",
)
DECIMALS = (
    "1.20",
    "0",
    "0.0",
    "0.0000000",
    "0.00000001",
    "-0",
    "-0.00",
    "-12.5",
    "007.5",
    "9" * 16 + "." + "9" * 10,
    "-" + "9" * 16 + "." + "1" * 10,
    "9" * 17,
    "1." + "1" * 11,
    "1_0",
    " 1",
    "1\n",
    "+1",
    ".5",
    "5.",
    "1e5",
    "NaN",
    "Infinity",
    "٣",
    "",
)
TEXTS = (
    "EURUSD",
    "BTCUSD",
    "BADUSD",
    "LONGUSD",
    "buy",
    "limit",
    "percent",
    "charge",
    "USD",
    "USD\n",
    "usd",
    "U",
    "mt5-live",
    "mt5 live",
    "-live",
    "x" * 64,
    "x" * 65,
    "x" * 128,
    "x" * 129,
    "é" * 256,
    "é" * 257,
    "a\x7fb",
    "a\nb",
    "a\x00b",
    'say "so"',
    "back\\slash",
    "E-5",
    "🙂",
    "\u2028",
    "\ufffe",
    "",
    "null",
)
RAW = (
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "7",
    "-1",
    "1.0",
    "1.5",
    "1e2",
    "1E-8",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "{}",
    "[]",
    '{"a":1}',
    "NaN",
    '"\\ud800"',
    '"\\u0045URUSD"',
    '"a\\u007fb"',
    '"a\\tb"',
    '"\\/"',
)
PLAIN = {
    "timestamp": '"2026-06-23T08:59:59.123Z"',
    "server": '"mt5-live"',
    "currency": '"USD"',
    "side": '"buy"',
    "kind": '"charge"',
    "order_type": '"limit"',
    "mode": '"percent"',
    "symbol": '"EURUSD"',
    "server_time": '"2026-06-23T11:59:59"',
}

LEFT_TO_PYDANTIC = {  # their data is open: what changed, a form's fields, a date, a value of any type, a long text
    name
    for name in POSTABLE
    if name.startswith(
        ("account.", "client.", "challenge.", "group.", "symbol.", "lead.", "day.", "notification.")
    )
}

_spelled = st.sampled_from((*MOMENTS, *DECIMALS, *TEXTS)) | st.text(max_size=6)
_odd = st.sampled_from(RAW) | st.builds(json.dumps, _spelled, ensure_ascii=st.booleans())


def plain_value(name: str, field: FieldInfo) -> str:
    spoken = set(re.findall(r"\w+", f"{field.annotation} {field.metadata}"))
    if name in PLAIN:
        return PLAIN[name]
    if "Decimal" in spoken:
        return '"1.25"'
    if "datetime" in spoken:
        return PLAIN["timestamp"]
    if "bool" in spoken and "int" not in spoken:
        return "true"
    if "int" in spoken and "str" not in spoken:
        return "7"
    return "{}" if "dict" in spoken else '"plain"'


def fields_of(model: Any) -> dict[str, str]:
    return {name: plain_value(name, field) for name, field in model.model_fields.items()}


def is_needed(model: Any, name: str) -> bool:
    return bool(model.model_fields[name].is_required())


@st.composite
def an_object(draw: Callable[..., Any], plain: dict[str, str], needed: frozenset[str]) -> str:
    """Draw an object that is mostly plain: some fields left out, a few odd, seldom one twice or unknown."""
    left_out = draw(st.sets(st.sampled_from(sorted(plain)))) if plain else set()
    pairs: list[tuple[str, str]] = [
        (name, value) for name, value in plain.items() if name in needed or name not in left_out
    ]
    for _ in range(draw(st.sampled_from((0, 0, 0, 0, 1, 2)))):
        if pairs:
            place = draw(st.integers(0, len(pairs) - 1))
            pairs[place] = (pairs[place][0], draw(_odd))
    if pairs and draw(st.integers(0, 23)) == 5:
        twice = draw(st.sampled_from(pairs))
        pairs.append((twice[0], draw(st.just(twice[1]) | _odd)))
    if draw(st.integers(0, 23)) == 5:
        pairs.append((draw(st.sampled_from(("other", "type", "lot"))), draw(_odd)))
    if draw(st.booleans()):
        pairs = draw(st.permutations(pairs))
    colon, comma = draw(st.sampled_from(((":", ","), (": ", ", "), (" :", " ,\n"))))
    inside: str = comma.join(f"{json.dumps(name)}{colon}{value}" for name, value in pairs)
    return f"{{{inside}}}"


@st.composite
def posts(draw: Callable[..., Any]) -> bytes:
    name = draw(
        st.sampled_from(sorted(POSTABLE - LEFT_TO_PYDANTIC))
        | st.just("trade.closed")
        | st.sampled_from(sorted(POSTABLE))
    )
    model = BY_NAME[name].model
    plain = {
        "type": json.dumps(name),
        "timestamp": PLAIN["timestamp"],
        "account": draw(an_object(fields_of(AccountRef), frozenset({"server", "login"}))),
        "data": draw(
            an_object(fields_of(model), frozenset(n for n in model.model_fields if is_needed(model, n)))
        ),
        "dedupe_key": '"own-1"',
        "server_time": PLAIN["server_time"],
    }
    needed = frozenset({"type", "timestamp", "data"}) | (
        {"account"} if draw(st.integers(0, 7)) != 3 else frozenset()
    )
    return str(draw(an_object(plain, needed))).encode("utf-8", "surrogatepass")


def slowly(text: bytes, servers: frozenset[str] | None) -> Any:
    try:
        (item,) = parse_json(text)
    except NotStrict as error:
        item = Unreadable(str(error))
    return RECEIVER._read(item, CLOCK.now_us(), "src", servers)


def said(fact: Fact) -> tuple[Any, ...]:
    return (
        fact.key,
        fact.partition,
        fact.account,
        fact.type_code,
        fact.event_us,
        fact.content,
        fact.entity,
        stored(fact.envelope),
        fact.envelope,
    )


@settings(max_examples=400, deadline=None)
@given(text=posts(), servers=st.sampled_from((None, SERVERS, frozenset[str]())))
def test_what_the_short_way_takes_pydantic_takes_and_tells_the_same(
    text: bytes, servers: frozenset[str] | None
) -> None:
    quick = QUICK.read(text, CLOCK.now_us(), "src", servers)
    slow = slowly(text, servers) if quick is not None else None

    if quick is not None:
        assert isinstance(slow, Fact), slow
        assert said(quick) == said(slow)


def a_plain(name: str) -> dict[str, Any]:
    event: dict[str, Any] = {key: json.loads(PLAIN[key]) for key in ("timestamp", "server_time")}
    event |= {"type": name, "dedupe_key": "own-1"}
    event["account"] = {key: json.loads(value) for key, value in fields_of(AccountRef).items()}
    event["data"] = {key: json.loads(value) for key, value in fields_of(BY_NAME[name].model).items()}
    return event


def read(event: dict[str, Any]) -> Fact | None:
    return QUICK.read(json.dumps(event).encode(), CLOCK.now_us(), "src", SERVERS)


@pytest.mark.parametrize("name", sorted(POSTABLE - LEFT_TO_PYDANTIC))
def test_a_plain_event_takes_the_short_way(name: str) -> None:
    event = a_plain(name)

    quick = read(event)

    assert quick is not None
    assert said(quick) == said(slowly(json.dumps(event).encode(), SERVERS))


def test_every_field_alone_with_every_odd_value_is_read_alike_or_left() -> None:
    odd = [
        *RAW,
        *(json.dumps(text, ensure_ascii=a) for text in (*MOMENTS, *DECIMALS, *TEXTS) for a in (True, False)),
    ]
    first_of_each_model = {
        BY_NAME[name].model: name for name in sorted(POSTABLE - LEFT_TO_PYDANTIC, reverse=True)
    }
    taken = 0

    for name in first_of_each_model.values():
        event = a_plain(name)
        for inside in (event, event["account"], event["data"]):
            for key in [key for key in inside if key not in {"type", "account", "data"}]:
                kept, inside[key] = inside[key], "@@"
                template = json.dumps(event)
                inside[key] = kept
                for value in odd:
                    text = template.replace('"@@"', value).encode("utf-8", "surrogatepass")
                    quick = QUICK.read(text, CLOCK.now_us(), "src", SERVERS)
                    if quick is not None:
                        taken += 1
                        assert said(quick) == said(slowly(text, SERVERS)), text

    assert taken > 1000


@pytest.mark.parametrize("field", sorted(fields_of(BY_NAME["trade.closed"].model)))
def test_a_field_told_twice_is_never_taken(field: str) -> None:
    text = json.dumps(a_plain("trade.closed"))
    value = fields_of(BY_NAME["trade.closed"].model)[field]

    twice = text.replace('"data": {', f'"data": {{"{field}": {value}, ')

    assert QUICK.read(text.encode(), CLOCK.now_us(), "src", None) is not None
    assert QUICK.read(twice.encode(), CLOCK.now_us(), "src", None) is None


@pytest.mark.parametrize("gone", ["partial", "net_profit", "symbol_class", "partial,net_profit,symbol_class"])
@pytest.mark.parametrize("twice", ["deal", "lots", "comment", "profit"])
def test_a_field_filled_in_does_not_hide_one_told_twice(gone: str, twice: str) -> None:
    event = a_plain("trade.closed")
    for name in gone.split(","):
        del event["data"][name]
    text = json.dumps(event)

    doubled = text.replace('"data": {', f'"data": {{"{twice}": {json.dumps(event["data"][twice])}, ')

    assert QUICK.read(text.encode(), CLOCK.now_us(), "src", None) is not None
    assert QUICK.read(doubled.encode(), CLOCK.now_us(), "src", None) is None


def test_symbol_class_and_net_profit_are_filled_in() -> None:
    event = a_plain("trade.closed")
    event["data"] = {
        "deal": 1,
        "symbol": "EURUSD",
        "side": "buy",
        "lots": "1",
        "profit": "12.50",
        "swap": "-1.5",
    }

    fact = read(event)

    assert fact is not None
    assert json.loads(fact.content) == {
        "deal": 1,
        "symbol": "EURUSD",
        "symbol_class": "fx",
        "side": "buy",
        "lots": "1",
        "partial": False,
        "profit": "12.50",
        "swap": "-1.5",
        "net_profit": "11.00",
    }


@pytest.mark.parametrize("content_type", ["application/json", "application/x-ndjson"])
async def test_plain_and_odd_items_keep_their_places(content_type: str) -> None:
    plain, custom = a_plain("trade.opened"), {"type": "custom.a", "timestamp": "2026-06-23T09:00:00Z"}
    wrong = {**plain, "type": "trade.opend"}
    items = [plain, custom, wrong, plain]
    body = json.dumps(items) if content_type == "application/json" else "\n".join(map(json.dumps, items))

    receipt = await RECEIVER.accept(body.encode(), content_type, source="src")

    assert [result.status for result in receipt.results] == ["accepted", "accepted", "rejected", "accepted"]
    assert [result.index for result in receipt.results] == [0, 1, 2, 3]
    assert receipt.results[2].errors[0].fix == "did you mean trade.opened?"


async def test_a_plain_item_does_not_save_a_body_that_is_not_strict() -> None:
    body = f'[{json.dumps(a_plain("trade.opened"))},{{"type":"a","type":"b"}}]'

    with pytest.raises(NotStrict, match="item 1"):
        await RECEIVER.accept(body.encode(), "application/json", source="src")
