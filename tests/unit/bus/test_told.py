"""A fact told from one process to another arrives as it was; anything else is refused, and only ever refused."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.bus.told import MOST_BYTES, decode, encode
from hub.errors import RecordMalformed
from hub.events.facts import Entity, Fact
from hub.testing import a_deposit, a_trade_closed, an_account, an_account_state, an_event

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
plain = texts.filter(lambda text: "\0" not in text)
logins = st.integers(min_value=1, max_value=2**63 - 1)
servers = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
moments = st.datetimes(
    min_value=datetime(1990, 1, 1),
    max_value=datetime(2100, 1, 1),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=3)), timezone(timedelta(minutes=-210))]),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)


@st.composite
def facts(draw: st.DrawFn) -> Fact:
    account = an_account(draw(servers), draw(logins)) if draw(st.booleans()) else None
    entity = Entity(draw(plain.filter(bool)), draw(plain)) if draw(st.booleans()) else None
    fields = draw(st.dictionaries(st.from_regex(r"\Af_[a-z]{1,6}\Z"), values, max_size=4))
    return an_event(
        "custom.told",
        account,
        timestamp=draw(moments),
        source=draw(servers),
        dedupe_key=draw(st.none() | plain.filter(bool)),
        entity=entity,
        **fields,
    )


@given(facts())
def test_a_fact_arrives_as_it_was_told(fact: Fact) -> None:
    assert decode(encode(fact), fact.partition) == fact


@pytest.mark.parametrize("fact", [a_trade_closed(), a_deposit(ticket=None), an_account_state("vip")])
def test_every_kind_of_key_arrives(fact: Fact) -> None:
    arrived = decode(encode(fact), fact.partition)

    assert arrived == fact
    assert bytes(arrived.envelope.data) == arrived.content


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_as_malformed(data: bytes) -> None:
    for told in (data, b"\x01" + data):
        with pytest.raises(RecordMalformed):
            decode(told, 0)


@given(st.data())
def test_a_damaged_record_is_refused_or_still_a_fact(data: st.DataObject) -> None:
    fact = a_trade_closed()
    told = bytearray(encode(fact))
    for _ in range(data.draw(st.integers(1, 4))):
        told[data.draw(st.integers(0, len(told) - 1))] = data.draw(st.integers(0, 255))
    told = told[: data.draw(st.integers(0, len(told)))] if data.draw(st.booleans()) else told

    try:
        arrived = decode(bytes(told), fact.partition)
    except RecordMalformed:
        return
    # What no check can tell from the truth is at least whole: it can be stored and told again.
    assert decode(encode(arrived), fact.partition) == arrived


@given(values)
def test_an_envelope_of_any_json_is_refused(value: Any) -> None:
    envelope = msgspec.json.encode(value)

    with pytest.raises(RecordMalformed):
        decode(b"\x01" + msgspec.msgpack.encode([b"k" * 16, None, envelope]), 0)


def _told(fact: Fact, **changes: Any) -> bytes:
    envelope = msgspec.json.decode(msgspec.json.encode(fact.envelope)) | changes
    entity = changes.pop("entity", (fact.entity.name, fact.entity.state) if fact.entity else None)
    return b"\x01" + msgspec.msgpack.encode([fact.key, entity, msgspec.json.encode(envelope)])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": "evt_aaaaaaaaaaaaaaaaaaaaaaaaaa"}, "its id is not that of its key"),
        ({"type": "trade.imagined"}, "no event of its type"),
        ({"timestamp": "2026-06-23T09:00:00"}, "no time zone"),
        ({"received_at": "2026-06-23T09:00:00"}, "no time zone"),
        ({"account": {"server": "live-1", "login": 7002}}, "belongs into partition"),
        ({"account": {"server": "a\0b", "login": 1}}, "NUL"),
        ({"account": None}, "belongs into partition"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes: dict[str, Any], reason: str) -> None:
    fact = a_trade_closed(an_account("live-1", 7001))
    assert decode(_told(fact), fact.partition) == fact

    with pytest.raises(RecordMalformed, match=reason):
        decode(_told(fact, **changes), fact.partition)


def test_an_entity_that_brings_its_own_key_is_refused() -> None:
    fact = a_trade_closed()

    with pytest.raises(RecordMalformed, match="gets its key from the log"):
        decode(
            b"\x01"
            + msgspec.msgpack.encode([fact.key, ("name", "state"), msgspec.json.encode(fact.envelope)]),
            fact.partition,
        )


def test_another_partition_than_its_own_is_refused() -> None:
    fact = a_trade_closed()

    with pytest.raises(RecordMalformed, match=f"belongs into partition {fact.partition}"):
        decode(encode(fact), (fact.partition + 1) % 64)


def test_another_version_is_refused_with_what_to_do() -> None:
    fact = a_trade_closed()

    with pytest.raises(RecordMalformed, match="upgrade every process"):
        decode(b"\x02" + encode(fact)[1:], fact.partition)


def test_a_fact_that_is_too_large_is_neither_told_nor_taken() -> None:
    large = an_event("custom.large", an_account(), text="x" * MOST_BYTES)

    with pytest.raises(RecordMalformed, match="at most"):
        encode(large)
    with pytest.raises(RecordMalformed, match="at most"):
        decode(b"\x01" + b"x" * MOST_BYTES, 0)


def test_depth_does_no_harm() -> None:
    deep = b'{"data":' + b"[" * 200_000 + b"]" * 200_000 + b"}"

    with pytest.raises(RecordMalformed):
        decode(b"\x01" + msgspec.msgpack.encode([b"k" * 16, None, deep]), 0)
