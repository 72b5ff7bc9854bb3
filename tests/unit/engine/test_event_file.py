"""Files of events: as they are posted, as the hub lists them, and samples; what is none of these is told with its line."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.clock import iso, to_us
from hub.commands.recorded import EventFile, Sampled
from hub.errors import ConfigError, RecordMalformed
from hub.events.facts import stored
from hub.testing import MORNING, a_trade_closed

TRADE = {
    "type": "trade.closed",
    "timestamp": "2024-03-02T10:00:00Z",
    "account": {"server": "live-1", "login": 7001},
    "data": {"deal": 1, "position": 1, "symbol": "EURUSD", "side": "buy", "lots": "1.00"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


async def read(folder: Path, *lines: object) -> tuple[list[object], EventFile]:
    path = folder / "events.ndjson"
    path.write_bytes(
        b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines) + b"\n"
    )
    file = EventFile(path)
    return [row async for rows in file.batches() for row in rows], file


def trade(deal: int, when: str = "2024-03-02T10:00:00Z") -> dict[str, object]:
    return TRADE | {"timestamp": when, "data": {**TRADE["data"], "deal": deal}}  # type: ignore[dict-item]  # it is one


async def test_posted_events_of_any_age_are_read(folder):
    custom = {
        "type": "custom.seen",
        "timestamp": "2024-03-02T11:00:00Z",
        "data": {"a": 1},
        "account": TRADE["account"],
    }

    rows, file = await read(folder, trade(1), trade(2, "2024-03-02T10:30:00Z"), custom)

    assert [iso(row.at) for row in rows] == [
        "2024-03-02T10:00:00.000Z", "2024-03-02T10:30:00.000Z", "2024-03-02T11:00:00.000Z",
    ]  # fmt: skip
    assert {row.key for row in rows} == {"live-1:7001"}
    assert file.reading.refused == []


async def test_listed_events_count_from_when_the_hub_learned_them(folder):
    body = stored(a_trade_closed().envelope)

    rows, _ = await read(folder, body.rstrip(b"}") + b'},"sequence":4}' if body.endswith(b"}}") else body)

    assert [row.at for row in rows] == [to_us(MORNING)]


async def test_an_event_told_twice_counts_once(folder):
    rows, file = await read(folder, trade(1), trade(1), trade(2))

    assert len(rows) == 2
    assert file.reading.duplicates == 1


async def test_samples_stand_between_the_events(folder):
    sample = {"account": TRADE["account"], "equity": "950.5", "at": "2024-03-02T10:10:00Z"}

    rows, _ = await read(folder, trade(1), sample, trade(2, "2024-03-02T10:30:00Z"))

    assert isinstance(rows[1], Sampled)
    assert (rows[1].key, str(rows[1].sample.equity)) == ("live-1:7001", "950.5")


async def test_what_is_out_of_order_comes_late_and_is_counted(folder):
    rows, file = await read(folder, trade(1, "2024-03-02T10:30:00Z"), trade(2, "2024-03-02T10:00:00Z"))

    assert rows[1].at == rows[0].at
    assert file.reading.late == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"not json", "line 1: "),
        (b"[1]", "line 1: "),
        (TRADE | {"type": "trade.clozed"}, "line 1: type: unknown type"),
        (TRADE | {"data": {}}, "line 1: data."),
        ({"equity": "1", "account": TRADE["account"]}, "line 1: at"),
        ({"received_at": "x", "type": "trade.closed"}, "line 1: "),
    ],
)
async def test_what_is_no_event_is_told_with_its_line(folder, line, said):
    rows, file = await read(folder, line, trade(1))

    assert len(rows) == 1
    assert file.reading.refused_count == 1
    assert file.reading.refused[0].startswith(said)


async def test_a_line_without_an_end_is_refused(folder):
    with pytest.raises(RecordMalformed, match=r"events\.ndjson:1: a line of more than"):
        await read(folder, b"x" * 100_000)


def test_a_file_that_is_not_there_is_told_of(folder):
    with pytest.raises(ConfigError, match="there is no file"):
        EventFile(folder / "nothing")


@settings(max_examples=60)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60), st.text(max_size=60).map(lambda t: json.dumps({"type": t}).encode())
        ),
        max_size=5,
    )
)
async def test_nothing_in_a_file_ends_the_reading(tmp_path_factory, lines):
    lines = [line.replace(b"\n", b" ") for line in lines]

    rows, file = await read(tmp_path_factory.mktemp("file"), *lines)

    assert not rows
    assert file.reading.refused_count == sum(bool(line.strip()) for line in lines)
