"""What becomes of posted events."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.clock import ManualClock, iso, to_us
from hub.engine.memory import MemoryLog
from hub.events.catalogue import BY_NAME
from hub.events.records import decode_data, decode_envelope
from hub.ids import from_id
from hub.ingest.posted import is_the_hubs_own
from hub.ingest.receive import ItemResult, Receipt, Receiver, UnknownContentType
from hub.ingest.strict import NotStrict
from hub.ingest.symbols import SymbolClasses
from hub.testing import MORNING

NOW = to_us(MORNING)
ACCOUNT = {"server": "live-1", "login": 7001}
TRADE = {"deal": 88123, "symbol": "EURUSD", "side": "buy", "lots": "1.25", "profit": "12.50"}


class Desk:
    """A receiver over a log in memory, and what a test asks of the two."""

    def __init__(self) -> None:
        self.clock = ManualClock(MORNING)
        self.log = MemoryLog(self.clock)
        self.receiver = Receiver(
            self.log, self.clock, symbols=SymbolClasses({"EURUSD*": "fx", "XAU*": "metals"})
        )

    async def post(self, *events: dict[str, Any], servers: frozenset[str] | None = None) -> Receipt:
        return await self.receiver.accept(
            json.dumps(events).encode(), "application/json", source="api:crm", servers=servers
        )

    async def one(self, event: dict[str, Any], servers: frozenset[str] | None = None) -> ItemResult:
        return (await self.post(event, servers=servers)).results[0]

    async def stored(self, result: ItemResult) -> tuple[Any, Any]:
        key = from_id("evt", result.id)
        assert key is not None
        row = await self.log.find(key)
        assert row is not None
        envelope = decode_envelope(row.body)
        return envelope, decode_data(envelope)

    def rows(self) -> int:
        return sum(self.log.heads())


@pytest.fixture
def desk() -> Desk:
    return Desk()


def an_event(**changes: Any) -> dict[str, Any]:
    event = {"type": "trade.closed", "timestamp": iso(NOW), "account": ACCOUNT, "data": TRADE, **changes}
    return {name: value for name, value in event.items() if value is not ...}


def with_data(**changes: Any) -> dict[str, Any]:
    data = {**TRADE, **changes}
    return an_event(data={name: value for name, value in data.items() if value is not ...})


async def test_an_accepted_event_is_in_the_log_under_its_id(desk: Desk) -> None:
    result = await desk.one(an_event())

    envelope, data = await desk.stored(result)

    assert result.status == "accepted"
    assert (envelope.source, envelope.dedupe_key) == ("api:crm", "live-1:deal:88123:trade.closed")
    assert str(data.lots) == "1.25"


async def test_the_same_deal_twice_is_one_event(desk: Desk) -> None:
    receipt = await desk.post(an_event(), an_event())

    assert (receipt.accepted, receipt.duplicates, receipt.rejected) == (1, 1, 0)
    assert receipt.results[0].id == receipt.results[1].id
    assert desk.rows() == 1


async def test_a_duplicate_that_says_something_else_is_told_so(desk: Desk) -> None:
    await desk.post(an_event())

    result = await desk.one(with_data(profit="99"))

    assert result.status == "duplicate"
    assert "other content" in result.errors[0].reason


async def test_one_bad_item_leaves_the_others_alone(desk: Desk) -> None:
    receipt = await desk.post(an_event(), an_event(type="trade.close"), with_data(deal=2))

    assert [result.status for result in receipt.results] == ["accepted", "rejected", "accepted"]
    assert [result.index for result in receipt.results] == [0, 1, 2]
    assert desk.rows() == 2


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a misspelt type": (an_event(type="trade.close"), "type"),
    "no type": (an_event(type=...), "type"),
    "a bool as login": (an_event(account={"server": "live-1", "login": True}), "account.login"),
    "a float as login": (an_event(account={"server": "live-1", "login": 7001.0}), "account.login"),
    "a text as login": (an_event(account={"server": "live-1", "login": "7001"}), "account.login"),
    "login 0": (an_event(account={"server": "live-1", "login": 0}), "account.login"),
    "a login beyond 63 bits": (an_event(account={"server": "live-1", "login": 2**63}), "account.login"),
    "a server with a slash": (an_event(account={"server": "a/b", "login": 1}), "account.server"),
    "no account for a trade": (an_event(account=...), "account"),
    "a newline in a symbol": (with_data(symbol="EUR\nUSD"), "data.symbol"),
    "an Arabic digit": (with_data(lots="٣"), "data.lots"),
    "an underscore in a number": (with_data(lots="1_0"), "data.lots"),
    "negative lots": (with_data(lots="-1"), "data.lots"),
    "lots as a bool": (with_data(lots=True), "data.lots"),
    "an unknown field": (with_data(profti="1"), "data.profti"),
    "a missing field": (with_data(side=...), "data.side"),
    "a side of its own": (with_data(side="BUY"), "data.side"),
    "a time without a zone": (an_event(timestamp="2026-06-23T09:00:00"), "timestamp"),
    "a time in seconds": (an_event(timestamp=1750000000), "timestamp"),
    "a time far ahead": (an_event(timestamp=iso(NOW + 86_401_000_000)), "timestamp"),
    "an unknown envelope field": (an_event(sequence=1), "sequence"),
    "an id of one's own": (an_event(id="evt_x"), "id"),
    "data that is a list": (an_event(data=[]), "data"),
    "a control character in the dedupe key": (an_event(dedupe_key="a\tb"), "dedupe_key"),
    "a server time with a zone": (an_event(server_time="2026-06-23T12:00:00Z"), "server_time"),
    "a crossing": (an_event(type="equity.crossed"), "type"),
    "a crossing of a position": (an_event(type="position.crossed"), "type"),
    "an outcome of the hub's own": (an_event(type="action.applied"), "type"),
}


@pytest.mark.parametrize(("event", "field"), REFUSED.values(), ids=REFUSED.keys())
async def test_it_is_refused_with_the_field(desk: Desk, event: dict[str, Any], field: str) -> None:
    result = await desk.one(event)

    assert result.status == "rejected"
    assert result.errors[0].field == field
    assert desk.rows() == 0


async def test_a_refusal_suggests_what_was_meant(desk: Desk) -> None:
    assert (await desk.one(an_event(type="trade.close"))).errors[0].fix == "did you mean trade.closed?"
    assert (await desk.one(with_data(profti="1"))).errors[0].fix == "did you mean profit?"
    assert (await desk.one(an_event(timestmap=1))).errors[0].fix == "did you mean timestamp?"


async def test_a_field_of_several_kinds_is_refused_once_and_by_its_name(desk: Desk) -> None:
    event = an_event(type="account.updated", data={"changed": {"balance": {"after": [1]}}})

    errors = (await desk.one(event)).errors

    assert [error.field for error in errors] == ["data.changed.balance.after"]


async def test_a_key_bound_to_servers_tells_of_no_other(desk: Desk) -> None:
    result = await desk.one(an_event(), servers=frozenset({"live-2"}))

    assert result.errors[0].field == "account.server"
    assert (await desk.one(an_event(), servers=frozenset({"live-1"}))).status == "accepted"


async def test_an_old_event_needs_a_number(desk: Desk) -> None:
    old = iso(NOW - timedelta(days=36) // timedelta(microseconds=1))

    numbered = await desk.one(an_event(timestamp=old))
    unnumbered = await desk.one(an_event(type="kyc.confirmed", timestamp=old, data={"client": "c1"}))

    assert numbered.status == "accepted"
    assert unnumbered.errors[0].reason.startswith("too_old")


async def test_the_class_of_a_symbol_is_filled_in_and_never_guessed(desk: Desk) -> None:
    known = await desk.one(with_data(symbol="eurusd.r"))
    told = await desk.one(with_data(deal=2, symbol="EURUSD", symbol_class="exotic"))
    unknown = await desk.one(with_data(deal=3, symbol="ACME"))

    assert (await desk.stored(known))[1].symbol_class == "fx"
    assert (await desk.stored(told))[1].symbol_class == "exotic"
    assert (await desk.stored(unknown))[1].symbol_class is None


async def test_net_profit_is_the_sum_of_what_is_known(desk: Desk) -> None:
    summed = await desk.one(with_data(swap="-0.50", commission="-3", fee="-0.25", taxes="-1"))
    bare = await desk.one(with_data(deal=2))
    told = await desk.one(with_data(deal=3, net_profit="1"))
    unknown = await desk.one(with_data(deal=4, profit=..., swap="-1"))

    assert str((await desk.stored(summed))[1].net_profit) == "7.75"
    assert str((await desk.stored(bare))[1].net_profit) == "12.50"
    assert str((await desk.stored(told))[1].net_profit) == "1"
    assert (await desk.stored(unknown))[1].net_profit is None


async def test_numbers_are_taken_exactly(desk: Desk) -> None:
    result = await desk.one(with_data(lots=0.1, profit=1234567890123.45))

    data = (await desk.stored(result))[1]

    assert (str(data.lots), str(data.profit)) == ("0.1", "1234567890123.45")


async def test_a_number_with_more_decimals_than_can_be_kept_is_refused_not_rounded(desk: Desk) -> None:
    body = json.dumps(an_event()).replace('"1.25"', "1.00000000001").encode()

    receipt = await desk.receiver.accept(body, "application/json", source="api:crm")

    assert receipt.results[0].errors[0].field == "data.lots"


async def test_a_custom_event_may_say_anything_under_its_own_name(desk: Desk) -> None:
    data = {"promo": "spring", "n": 1.5, "deep": [{"x": None}]}

    result = await desk.one(an_event(type="custom.promo_used", account=..., data=data))

    envelope, stored = await desk.stored(result)
    assert json.loads(bytes(envelope.data)) == data
    assert stored.promo == "spring"


async def test_ndjson_is_answered_by_line(desk: Desk) -> None:
    lines = [json.dumps(an_event()), "nope", json.dumps(with_data(deal=2)), ""]

    receipt = await desk.receiver.accept("\n".join(lines).encode(), "application/x-ndjson", source="api:crm")

    assert [result.status for result in receipt.results] == ["accepted", "rejected", "accepted"]


async def test_an_unread_content_type_is_refused(desk: Desk) -> None:
    with pytest.raises(UnknownContentType):
        await desk.receiver.accept(b"<a/>", "text/xml", source="api:crm")


@pytest.mark.parametrize("body", [b"[]", b"\n\n"])
async def test_nothing_is_not_accepted(desk: Desk, body: bytes) -> None:
    with pytest.raises(NotStrict):
        await desk.receiver.accept(
            body, "application/json" if body == b"[]" else "application/x-ndjson", source="api:crm"
        )


async def test_a_large_request_lets_others_have_a_turn(desk: Desk) -> None:
    receipt = await desk.post(*(with_data(deal=number) for number in range(1, 451)))

    assert (receipt.accepted, len(receipt.results)) == (450, 450)
    assert [result.index for result in receipt.results] == list(range(450))


@pytest.mark.parametrize("name", [name for name, kind in BY_NAME.items() if not is_the_hubs_own(kind)])
async def test_every_type_that_may_be_posted_has_a_verdict_for_empty_data(desk: Desk, name: str) -> None:
    result = await desk.one(an_event(type=name, data={}))

    required = [field for field, info in BY_NAME[name].model.model_fields.items() if info.is_required()]
    assert result.status == ("rejected" if required else "accepted")
    assert sorted(error.field for error in result.errors) == sorted(f"data.{field}" for field in required)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["before", "after", "x"]), inner)
    ),
    max_leaves=6,
)
FIELDS = sorted({field for kind in BY_NAME.values() for field in kind.model.model_fields})


@given(
    name=st.sampled_from([*BY_NAME, "custom.x"]),
    data=st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6),
    changes=st.dictionaries(
        st.sampled_from(["timestamp", "account", "dedupe_key", "server_time", "extra"]), VALUES, max_size=2
    ),
)
async def test_whatever_is_posted_gets_an_answer_and_what_is_stored_can_be_read(
    name: str, data: dict[str, Any], changes: dict[str, Any]
) -> None:
    desk = Desk()
    try:
        receipt = await desk.post(an_event(type=name, data=data) | changes)
    except NotStrict:
        return

    result = receipt.results[0]
    assert result.errors or result.status == "accepted"
    if result.status == "accepted":
        await desk.stored(result)
