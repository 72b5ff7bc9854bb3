"""Events and samples over real sockets: what is acknowledged is stored, and nothing sent can break the hub."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from conformance.api_bench import ApiBench, an_api
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.bus.log import InputKind
from hub.clock import iso, to_us
from hub.control.keys import Scope
from hub.engine.rows import LevelRow
from hub.events.records import decode_data, decode_envelope
from hub.events.watched import Rule, encode_rule
from hub.ids import partition_of, partition_of_key
from hub.testing import MORNING

NOW = iso(to_us(MORNING))
EVENT: dict[str, Any] = {
    "type": "trade.closed",
    "timestamp": NOW,
    "account": {"server": "live-1", "login": 7001},
    "data": {"deal": 88123, "symbol": "EURUSD", "side": "buy", "lots": "1.25", "profit": "12.50"},
}
SAMPLE: dict[str, Any] = {
    "account": {"server": "live-1", "login": 7001},
    "equity": "890",
    "balance": "1000",
    "at": NOW,
}
QUOTE: dict[str, Any] = {"server": "live-1", "symbol": "EURUSD", "bid": "1.08", "ask": "1.0801", "at": NOW}


@pytest.fixture
async def api() -> AsyncIterator[ApiBench]:
    async with an_api() as bench:
        yield bench


async def post(api: ApiBench, body: Any, **more: Any) -> tuple[int, Any, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **more.pop("headers", {})}
    return await api.ask(
        "POST", more.pop("path", "/v1/events"), data=io.BytesIO(data), headers=headers, **more
    )


async def test_an_event_is_in_the_log_when_it_is_acknowledged(api: ApiBench) -> None:
    status, body, headers = await post(api, EVENT, scope=Scope.EVENTS_WRITE)

    assert status == 202
    assert body["results"] == [{"index": 0, "status": "accepted", "id": body["results"][0]["id"]}]
    assert [decode_envelope(row.body).source for row in api.rows()] == ["api:events-write"]
    assert headers["X-Request-Id"]


async def test_what_was_posted_can_be_read_back(api: ApiBench) -> None:
    _, posted, _ = await post(api, [EVENT, EVENT | {"data": EVENT["data"] | {"deal": 2}}])
    event_id = posted["results"][1]["id"]

    status, event, _ = await api.ask("GET", f"/v1/events/{event_id}", scope=Scope.EVENTS_READ)

    assert status == 200
    assert (event["id"], event["sequence"], event["data"]["deal"]) == (event_id, 2, 2)
    assert event["data"]["symbol_class"] == "fx"
    assert event["data"]["net_profit"] == "12.50"


async def test_each_item_gets_its_own_verdict(api: ApiBench) -> None:
    status, body, _ = await post(api, [EVENT, EVENT | {"type": "trade.close"}, EVENT])

    assert status == 202
    assert (body["accepted"], body["duplicates"], body["rejected"]) == (1, 1, 1)
    assert body["results"][1]["errors"] == [
        {"field": "type", "reason": "unknown type trade.close", "fix": "did you mean trade.closed?"}
    ]


async def test_nothing_is_acknowledged_when_everything_is_refused(api: ApiBench) -> None:
    status, body, _ = await post(api, EVENT | {"type": "nope"})

    assert (status, body["accepted"], api.rows()) == (422, 0, [])


async def test_lines_are_taken_as_well(api: ApiBench) -> None:
    body = json.dumps(EVENT).encode() + b"\nnope\n"

    status, receipt, _ = await post(
        api, body, headers={"Content-Type": "application/x-ndjson"}, path="/v1/events?lane=bulk"
    )

    assert status == 202
    assert [result["status"] for result in receipt["results"]] == ["accepted", "rejected"]


STRICT = {
    "NaN": json.dumps(EVENT).replace('"12.50"', "NaN").encode(),
    "Infinity": json.dumps(EVENT).replace('"12.50"', "-Infinity").encode(),
    "1e999": json.dumps(EVENT).replace('"12.50"', "1e999").encode(),
    "a duplicate key": json.dumps(EVENT).replace('"deal"', '"deal": 1, "deal"').encode(),
    "a bool as login": json.dumps(EVENT).replace("7001", "true").encode(),
    "Arabic digits": json.dumps(EVENT, ensure_ascii=False).replace("1.25", "\u0661").encode(),
    "5,000 digits": json.dumps(EVENT).replace("88123", "1" * 5000).encode(),
    "a deal beyond 64 bits": json.dumps(EVENT).replace("88123", str(2**64)).encode(),
    "too deep": json.dumps(
        EVENT | {"type": "custom.a", "data": {"a": json.loads("[" * 33 + "]" * 33)}}
    ).encode(),
    "100,000 brackets": b"[" * 100_000,
    "501 events": json.dumps([EVENT] * 501).encode(),
    "more than 1 MiB": json.dumps(EVENT).encode() + b" " * (1 << 20),
    "latin-1": json.dumps(EVENT, ensure_ascii=False).replace("EURUSD", "EÜR").encode("latin-1"),
    "utf-16": json.dumps(EVENT).encode("utf-16"),
    "a newline in a symbol": json.dumps(EVENT).replace("EURUSD", "EUR\\nUSD").encode(),
    "nothing": b"",
}


@pytest.mark.parametrize("body", STRICT.values(), ids=STRICT.keys())
async def test_the_strictness_list_is_refused_whole(api: ApiBench, body: bytes) -> None:
    status, answer, _ = await post(api, body)

    assert status in {400, 413, 422}
    assert answer.get("accepted", 0) == 0
    assert api.rows() == []


async def test_a_compressed_body_is_refused_unread(api: ApiBench) -> None:
    status, answer, _ = await post(api, b"\x1f\x8b" + bytes(100), headers={"Content-Encoding": "gzip"})

    assert (status, answer["type"]) == (415, "urn:hub:problem:content-encoding")


@pytest.mark.parametrize(
    "content_type", ["text/xml", "multipart/form-data", "application/json; charset=utf-16"]
)
async def test_another_content_type_is_refused(api: ApiBench, content_type: str) -> None:
    status, _, _ = await post(api, json.dumps(EVENT).encode("utf-16"), headers={"Content-Type": content_type})

    assert status in {400, 415}
    assert api.rows() == []


async def test_a_store_that_cannot_write_acknowledges_nothing(api: ApiBench) -> None:
    api.log.broken = True

    status, problem, headers = await post(api, EVENT)

    assert (status, problem["type"], headers["Retry-After"]) == (503, "urn:hub:problem:unavailable", "1")
    assert headers["Content-Type"] == "application/problem+json"


async def test_under_pressure_senders_are_asked_to_wait(api: ApiBench) -> None:
    api.busy[0] = 7.0

    status, _, headers = await post(api, EVENT)

    assert (status, headers["Retry-After"], api.rows()) == (503, "7", [])


async def test_a_key_bound_to_a_server_tells_of_no_other(api: ApiBench) -> None:
    secret, _ = await api.keys.create("bridge", [Scope.EVENTS_WRITE], servers=["live-2"])

    status, body, _ = await post(api, EVENT, scope=None, headers={"X-API-Key": secret})

    assert (status, body["results"][0]["errors"][0]["field"]) == (422, "account.server")


async def test_a_crossing_found_in_a_sample_is_stored_when_the_sample_is_acknowledged(api: ApiBench) -> None:
    partition = partition_of("live-1", 7001)
    api.watcher.load([LevelRow(partition, "l1", "live-1:7001", "equity", "below", "900", "900", 1, "armed")])

    status, body, _ = await post(
        api, [SAMPLE, SAMPLE | {"equity": True}], path="/v1/samples", scope=Scope.SAMPLES_WRITE
    )

    assert (status, body["accepted"], body["rejected"]) == (202, 1, 1)
    assert body["results"] == [{"index": 1, "errors": body["results"][0]["errors"]}]
    assert body["results"][0]["errors"][0]["field"] == "equity"
    assert [decode_envelope(row.body).type for row in api.rows()] == ["equity.crossed"]


async def test_a_position_in_a_sample_is_compared_and_its_crossing_is_the_accounts(api: ApiBench) -> None:
    partition, rule = partition_of("live-1", 7001), encode_rule(Rule(login=7001))
    row = ("l1", "position=live-1:77", "profit", "above", "100", "100", 1, "armed", rule)
    api.watcher.load([LevelRow(partition, *row)])
    positions = [{"position": 76, "profit": "500"}, {"position": 77, "profit": "100.01"}]

    status, body, _ = await post(
        api,
        [SAMPLE | {"positions": positions}, SAMPLE | {"positions": [{"position": 77, "profit": "1e99"}]}],
        path="/v1/samples",
        scope=Scope.SAMPLES_WRITE,
    )

    assert (status, body["accepted"], body["rejected"]) == (202, 1, 1)
    assert body["results"][0]["errors"][0]["field"] == "positions.0.profit"
    (told,) = api.rows()
    envelope = decode_envelope(told.body)
    assert (envelope.type, told.key) == ("position.crossed", "live-1:7001")
    assert decode_data(envelope).position == 77


async def test_quotes_come_with_samples_and_each_item_gets_its_own_verdict(api: ApiBench) -> None:
    key = "symbol=live-1:EURUSD"
    partition = partition_of_key(key)
    api.watcher.load([LevelRow(partition, "l1", key, "spread", "above", "0.0003", "0.0003", 1, "armed")])
    refused = [
        {"bid": "1e9"}, {"ask": None}, {"symbol": ""}, {"server": "a b"}, {"at": "soon"}, {"price": "1"},
        {"bid": "-1"}, {"bid": "NaN"},
    ]  # fmt: skip

    status, body, _ = await post(
        api,
        [
            SAMPLE,
            *(QUOTE | each for each in refused),
            QUOTE | {"bid": "0"},
            QUOTE | {"ask": "1.07"},
            QUOTE | {"ask": "1.0804"},
        ],
        path="/v1/samples",
        scope=Scope.SAMPLES_WRITE,
    )

    assert (status, body["accepted"], body["degraded"], body["rejected"]) == (202, 2, 2, len(refused))
    assert [(each["index"], each["errors"][0]["field"]) for each in body["results"]] == [
        (index, field) for index, each in enumerate(refused, start=1) for field in each
    ]
    (told,) = [row for row in api.rows() if row.kind == InputKind.EVENT]
    envelope = decode_envelope(told.body)
    assert (envelope.type, envelope.account, told.partition) == ("symbol.crossed", None, partition)
    assert (decode_data(envelope).ask, decode_data(envelope).symbol_class) == (Decimal("1.0804"), "fx")


async def test_a_key_tells_quotes_of_its_own_servers_alone(api: ApiBench) -> None:
    there = QUOTE | {"server": "live-2"}

    secret, _ = await api.keys.create("prices", [Scope.SAMPLES_WRITE], servers=["live-1"])
    headers = {"X-API-Key": secret}

    status, body, _ = await post(api, [QUOTE, there], path="/v1/samples", scope=None, headers=headers)

    assert (status, body["accepted"], body["rejected"]) == (202, 1, 1)
    assert body["results"][0]["errors"] == [
        {"field": "server", "reason": "this key may not tell of this server"}
    ]
    status, body, _ = await post(api, there, path="/v1/samples", scope=None, headers=headers)
    assert (status, body["accepted"]) == (422, 0)


async def test_a_quote_that_is_told_to_nobody_yet_is_not_acknowledged(api: ApiBench) -> None:
    api.log.broken = True

    status, _, _ = await post(api, QUOTE, path="/v1/samples")

    assert status == 503


async def test_a_crossing_that_cannot_be_stored_is_not_acknowledged(api: ApiBench) -> None:
    partition = partition_of("live-1", 7001)
    api.watcher.load([LevelRow(partition, "l1", "live-1:7001", "equity", "below", "900", "900", 1, "armed")])
    api.log.broken = True

    status, _, _ = await post(api, SAMPLE, path="/v1/samples")

    assert status == 503


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=300)
    | st.text(st.sampled_from('{}[]",:0123.eE-typeaccountdata \n\\u'), max_size=200).map(str.encode)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from([*EVENT, *EVENT["data"], *SAMPLE, *QUOTE, "x"]), inner, max_size=5
            )
        ),
        max_leaves=15,
    ).map(lambda value: json.dumps(value).encode()),
    path=st.sampled_from(["/v1/events", "/v1/samples", "/v1/endpoints", "/v1/keys"]),
    content_type=st.sampled_from(["application/json", "application/x-ndjson", "text/plain"]),
)
async def test_any_bytes_get_an_answer_that_is_not_our_fault(
    api: ApiBench, body: bytes, path: str, content_type: str
) -> None:
    status, _, _ = await post(api, body, path=path, headers={"Content-Type": content_type})

    assert 200 <= status < 500


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: b"POST /v1/events HTTP/1.1\r\n" + tail)
)
async def test_any_bytes_on_the_wire_leave_the_server_serving(api: ApiBench, data: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.serving.port)
    writer.write(data + b"\r\n\r\n")
    writer.write_eof()
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()

    assert not answer.startswith(b"HTTP/1.1 5")
    assert (await api.ask("GET", "/healthz", scope=None))[0] == 200
