"""Many rows at once: each by itself, in order where two are about the same."""

import json
from typing import Any

import pytest
from conformance.api_bench import MemoryClients, MemoryProfiles

from hub.clock import ManualClock
from hub.engine.memory import MemoryLog
from hub.errors import StoreUnavailable
from hub.ingest.bulk import (
    ACCOUNT_COLUMNS,
    CLIENT_COLUMNS,
    MOST_ROWS,
    AccountRows,
    Bulk,
    ClientRows,
    CsvRows,
    NdjsonRows,
    RowResult,
    UnknownColumn,
)
from hub.ingest.csv_table import HeaderWrong
from hub.ingest.directory import Directory
from hub.ingest.profiles import Profiles
from hub.testing import MORNING


class Desk:
    def __init__(self) -> None:
        self.clock = ManualClock(MORNING)
        self.log = MemoryLog(self.clock)
        self.clients = MemoryClients(self.log)
        self.profiles = MemoryProfiles(self.log)
        self.directory = Directory(self.clients, self.clock)

    async def ndjson(self, *rows: Any, merge: bool = False) -> list[RowResult]:
        text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
        return await self.take(Bulk(NdjsonRows(), ClientRows(self.directory, merge=merge)), text)

    async def csv(self, text: str, *, merge: bool = False) -> list[RowResult]:
        return await self.take(Bulk(CsvRows(CLIENT_COLUMNS), ClientRows(self.directory, merge=merge)), text)

    async def accounts(self, text: str, servers: frozenset[str] | None = None) -> list[RowResult]:
        async def folded(_: str) -> None:
            return None

        taker = AccountRows(Profiles(self.profiles, self.clock, folded), servers)
        return await self.take(Bulk(CsvRows(ACCOUNT_COLUMNS), taker), text)

    async def take(self, bulk: Bulk, text: str) -> list[RowResult]:
        data = text.encode()
        for start in range(0, len(data), 1_000):
            await bulk.feed(data[start : start + 1_000])
        await bulk.end()
        return bulk.results()

    def record(self, client: str) -> Any:
        return json.loads(self.clients.clients[client].body)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def statuses(results: list[RowResult]) -> list[str]:
    return [result.status for result in results]


async def test_every_row_has_its_answer_and_a_bad_one_stops_no_other(desk: Desk) -> None:
    results = await desk.ndjson(
        {"id": "c1", "email": "a@b.c", "accounts": ["live-1:7001"]},
        '{"id": "c2", "id": "c3"}',
        {"id": "c4", "emial": "x@y.z"},
        "",
        {"email": "nobody@b.c"},
        [1],
        {"id": "c5", "accounts": ["live-1:7001"]},
        {"id": "c6", "accounts": [{"server": "live-1", "login": 7002}]},
    )

    assert [(result.line, result.status, result.id) for result in results] == [
        (1, "accepted", "c1"),
        (2, "rejected", ""),
        (3, "rejected", "c4"),
        (5, "rejected", ""),
        (6, "rejected", ""),
        (7, "rejected", "c5"),
        (8, "accepted", "c6"),
    ]
    assert results[2].errors[0].fix == "did you mean email?"
    assert results[5].errors[0].reason == "live-1:7001 is linked to client c1"
    assert desk.clients.accounts == {"live-1:7001": "c1", "live-1:7002": "c6"}


async def test_rows_said_again_are_duplicates_and_tell_nothing(desk: Desk) -> None:
    rows = [{"id": f"c{number}", "country": "DE"} for number in range(100)]
    await desk.ndjson(*rows)
    told = len(desk.log.ranked(0, 1_000))

    assert statuses(await desk.ndjson(*rows)) == ["duplicate"] * 100
    assert len(desk.log.ranked(0, 1_000)) == told


async def test_of_two_rows_about_one_client_the_later_counts(desk: Desk) -> None:
    results = await desk.ndjson({"id": "c1", "kyc": "started"}, {"id": "c1", "kyc": "confirmed"})

    assert statuses(results) == ["accepted", "accepted"]
    assert desk.record("c1")["kyc"] == "confirmed"


async def test_an_account_that_another_row_lets_go_of_is_taken(desk: Desk) -> None:
    await desk.ndjson({"id": "c1", "accounts": ["live-1:1"]})

    results = await desk.ndjson({"id": "c2", "accounts": ["live-1:1"]}, {"id": "c1", "accounts": []})

    assert statuses(results) == ["accepted", "accepted"]
    assert desk.clients.accounts == {"live-1:1": "c2"}


async def test_merging_changes_what_is_named_and_nothing_else(desk: Desk) -> None:
    await desk.ndjson(
        {"id": "c1", "email": "a@b.c", "kyc": "started", "attributes": {"a": 1, "b": 2}, "accounts": ["l:1"]}
    )

    results = await desk.ndjson(
        {"id": "c1", "kyc": "confirmed", "email": None, "attributes": {"b": None, "c": 3}},
        {"id": "c1", "country": "Germany"},
        merge=True,
    )

    assert statuses(results) == ["accepted", "rejected"]
    record = desk.record("c1")
    assert (record["kyc"], record["attributes"]) == ("confirmed", {"a": 1, "c": 3})
    assert "email" not in record
    assert record["accounts"] == [{"server": "l", "login": 1}]


async def test_a_csv_row_is_the_client_its_cells_say(desk: Desk) -> None:
    text = (
        "id;email;phone;consent_marketing;tags;accounts;attributes.score;attributes.zip:text;attributes.vip\n"
        "c1;a@b.c;+49 30 1234;TRUE;vip eu;live-1:7001|live-1:7002;7;01067;false\n"
        "c2;;;;;;;;\n"
        "c3;;;maybe;;;;;\n"
    )

    results = await desk.csv(text)

    assert statuses(results) == ["accepted", "accepted", "rejected"]
    assert results[2].errors[0].field == "consent_marketing"
    assert desk.record("c1") == {
        "email": "a@b.c",
        "phone": "+49 30 1234",
        "consent_marketing": True,
        "tags": ["vip", "eu"],
        "attributes": {"score": 7, "zip": "01067", "vip": False},
        "accounts": [{"server": "live-1", "login": 7001}, {"server": "live-1", "login": 7002}],
    }


async def test_an_unknown_column_refuses_the_body_before_any_row(desk: Desk) -> None:
    with pytest.raises(UnknownColumn, match="did you mean email"):
        await desk.csv("id,emial\nc1,a@b.c\n")
    with pytest.raises(UnknownColumn):
        await desk.csv("id,attributes.Bad Name\nc1,1\n")
    with pytest.raises(UnknownColumn):
        await desk.csv("")
    with pytest.raises(HeaderWrong):
        await desk.csv("id,id\n")
    assert desk.clients.clients == {}


async def test_accounts_are_named_either_way_and_only_on_servers_of_the_key(desk: Desk) -> None:
    text = (
        "account,server,login,program,initial_balance\n"
        "live-1:7001,,,challenge,10000\n"
        ",live-1,7002,challenge,x\n"
        ",live-1,7003,challenge,10000.00\n"
        "live-2:7001,,,challenge,1\n"
        "live-1,,,challenge,1\n"
    )

    results = await desk.accounts(text, frozenset({"live-1"}))

    assert [(result.status, result.id) for result in results] == [
        ("accepted", "live-1:7001"),
        ("rejected", "live-1:7002"),
        ("accepted", "live-1:7003"),
        ("rejected", ""),
        ("rejected", ""),
    ]
    assert sorted(desk.profiles.profiles) == ["live-1:7001", "live-1:7003"]


async def test_rows_beyond_what_a_body_may_have_are_left(desk: Desk) -> None:
    bulk = Bulk(NdjsonRows(), ClientRows(desk.directory, merge=False))

    await bulk.feed(b'{"id":1}\n' * (MOST_ROWS + 1))

    assert bulk.is_full
    assert len(bulk.results()) == MOST_ROWS


async def test_a_store_that_fails_fails_the_body(desk: Desk) -> None:
    async def put(*_: Any) -> Any:
        raise StoreUnavailable("disk full")

    desk.clients.put = put  # type: ignore[method-assign]  # the disk is full

    with pytest.raises(StoreUnavailable):
        await desk.ndjson({"id": "c1"}, {"id": "c2"})
