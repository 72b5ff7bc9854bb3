"""Clients and accounts in bulk over real sockets, and files of them."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from conformance.api_bench import ApiBench, an_api

from hub.control.keys import Scope
from hub.errors import SourceRefused, SourceUnavailable
from hub.ingest.bulk import MOST_BYTES, MOST_LINES, MOST_ROWS
from hub.ingest.directory_files import DirectoryFile, Progress

NDJSON = {"Content-Type": "application/x-ndjson"}
CSV = {"Content-Type": "text/csv; charset=utf-8"}


@pytest.fixture
async def api() -> AsyncIterator[ApiBench]:
    async with an_api() as bench:
        yield bench


async def post(api: ApiBench, path: str, body: Any, headers: dict[str, str]) -> tuple[int, list[Any]]:
    async with api.session.post(api.url + path, data=body, headers=api.headers(**headers)) as response:
        text = await response.text()
        return response.status, [json.loads(line) for line in text.splitlines()]


async def test_every_row_is_answered_and_the_last_line_counts_them(api: ApiBench) -> None:
    body = '{"id":"c1","email":"a@b.c"}\n{"id":"c2","emial":"x"}\n{"id":"c1","email":"a@b.c"}\n'

    status, lines = await post(api, "/v1/clients/bulk", body, NDJSON)

    assert status == 200
    assert lines == [
        {"line": 1, "status": "accepted", "id": "c1"},
        {
            "line": 2,
            "status": "rejected",
            "id": "c2",
            "errors": [{"field": "emial", "reason": "unknown field", "fix": "did you mean email?"}],
        },
        {"line": 3, "status": "duplicate", "id": "c1"},
        {"accepted": 1, "duplicates": 1, "rejected": 1, "done": True},
    ]
    assert (await api.ask("GET", "/v1/clients/c1"))[1]["email"] == "a@b.c"


async def test_csv_of_accounts_changes_their_profiles(api: ApiBench) -> None:
    status, lines = await post(
        api, "/v1/accounts/bulk", "account,program,phase\nlive-1:7001,challenge,1\n", CSV
    )
    read = await api.ask("PUT", "/v1/accounts/live-1/7001", json={"phase": "2"})

    assert (status, lines[-1]["accepted"]) == (200, 1)
    assert (read[0], read[1]["program"], read[1]["phase"], read[1]["version"]) == (200, "challenge", "2", 2)


async def test_merging_is_asked_for(api: ApiBench) -> None:
    await post(api, "/v1/clients/bulk", '{"id":"c1","email":"a@b.c","kyc":"started"}', NDJSON)
    await post(api, "/v1/clients/bulk?mode=merge", '{"id":"c1","kyc":"confirmed"}', NDJSON)

    client = (await api.ask("GET", "/v1/clients/c1"))[1]

    assert (client["email"], client["kyc"]) == ("a@b.c", "confirmed")


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"id,emial\nc1,x\n", CSV, 422),
        (b"", CSV, 422),
        (b"id,id\n", CSV, 422),
        (b"{}", {"Content-Type": "application/json"}, 415),
        (b"{}", {**NDJSON, "Content-Encoding": "gzip"}, 415),
    ],
)
async def test_a_body_nobody_can_read_is_refused_whole(
    api: ApiBench, body: bytes, headers: dict[str, str], status: int
) -> None:
    assert (await post(api, "/v1/clients/bulk", body, headers))[0] == status
    assert api.rows() == []


async def test_too_many_bytes_are_noticed_without_being_announced(api: ApiBench) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(MOST_BYTES // 65_536 + 2):
            yield b" " * 65_536

    assert (await post(api, "/v1/clients/bulk", endless(), NDJSON))[0] == 413


async def test_too_many_bytes_are_refused_before_they_come(api: ApiBench) -> None:
    body = io.BytesIO(b" " * (MOST_BYTES + 1))

    assert (await post(api, "/v1/clients/bulk", body, NDJSON))[0] == 413


async def test_too_many_rows_say_where_to_go_on(api: ApiBench) -> None:
    body = b'{"id":1}\n' * (MOST_ROWS + 5)

    status, lines = await post(api, "/v1/clients/bulk", body, NDJSON)

    assert (status, len(lines)) == (200, MOST_ROWS + 1)
    assert (lines[-1]["done"], lines[-1]["next_line"]) == (False, MOST_ROWS + 1)


async def test_a_body_of_blank_lines_is_not_read_for_ever(api: ApiBench) -> None:
    _, lines = await post(api, "/v1/clients/bulk", b"\n" * 200_000, NDJSON)

    assert lines[-1]["done"] is False
    assert MOST_LINES < lines[-1]["next_line"] <= 200_001


async def test_a_key_for_one_server_changes_no_account_of_another(api: ApiBench) -> None:
    secret, _ = await api.keys.create("one", [Scope.CLIENTS_WRITE], servers=["live-1"])
    mine = {"Authorization": f"Bearer {secret}"}

    foreign = await api.ask("PUT", "/v1/accounts/live-2/1", scope=None, headers=mine, json={"phase": "2"})
    own = await api.ask("PUT", "/v1/accounts/live-1/1", scope=None, headers=mine, json={"phase": "2"})
    rows = await post(api, "/v1/accounts/bulk", "account,phase\nlive-2:1,2\n", {**CSV, **mine})

    assert (foreign[0], own[0]) == (403, 201)
    assert rows[1][0]["status"] == "rejected"


async def test_an_account_nobody_can_have_is_refused(api: ApiBench) -> None:
    for path in ("/v1/accounts/live-1/0", "/v1/accounts/-/1", f"/v1/accounts/live-1/{'9' * 30}"):
        assert (await api.ask("PUT", path, json={"phase": "2"}))[0] == 400


async def test_busy_is_said_before_anything_is_read(api: ApiBench) -> None:
    api.busy[0] = 2.0

    assert (await post(api, "/v1/clients/bulk", '{"id":"c1"}', NDJSON))[0] == 503


# --- files


def a_sender(
    api: ApiBench, path: str = "/v1/clients/bulk", *, is_csv: bool = True, **more: Any
) -> DirectoryFile:
    return DirectoryFile(api.url, path, api.secrets[Scope.CLIENTS_WRITE], api.clock, is_csv=is_csv, **more)


async def test_a_file_is_sent_in_parts_and_refusals_name_its_lines(api: ApiBench, tmp_path: Path) -> None:
    file = tmp_path / "clients.csv"
    rows = [f'c{number},"{number}, {number}"' for number in range(1, 101)]
    rows[59] = "c60,a,b"
    rows[70] = 'c71,"two\nlines"'
    file.write_text("id,kyc\n" + "\n".join(rows))
    told: list[int] = []

    def moved(progress: Progress) -> None:
        told.append(progress.line)

    done = await a_sender(api, batch=30).send(file, on_progress=moved)
    again = await a_sender(api, batch=30).send(file)

    # A line end is a control character, and none is allowed in a name.
    assert (done.accepted, done.duplicates, done.rejected) == (98, 0, 2)
    assert [refusal.line for refusal in done.refusals] == [61, 72]
    assert told == [31, 61, 91, 102]
    assert (again.accepted, again.duplicates, again.rejected) == (0, 98, 2)


async def test_a_file_can_be_gone_on_with_from_a_line(api: ApiBench, tmp_path: Path) -> None:
    file = tmp_path / "clients.ndjson"
    file.write_text("\n".join(json.dumps({"id": f"c{number}"}) for number in range(1, 11)))

    done = await a_sender(api, is_csv=False).send(file, first_line=8)

    assert (done.accepted, done.line) == (3, 10)


async def test_a_hub_that_is_away_says_where_to_go_on(api: ApiBench, tmp_path: Path) -> None:
    file = tmp_path / "clients.csv"
    file.write_text("id\nc1\nc2\n")
    sender = DirectoryFile("http://127.0.0.1:1", "/v1/clients/bulk", "hub_x", api.clock, is_csv=True, tries=1)

    async def impatiently() -> None:
        with pytest.raises(SourceUnavailable, match="resume with --from 2"):
            await sender.send(file)

    async with asyncio.TaskGroup() as group:
        sending = group.create_task(impatiently())
        while not sending.done():
            await asyncio.sleep(0)
            await api.clock.advance(timedelta(minutes=2))


async def test_a_refused_file_says_why(api: ApiBench, tmp_path: Path) -> None:
    file = tmp_path / "clients.csv"
    file.write_text("id,emial\nc1,x\n")

    with pytest.raises(
        SourceRefused, match=r"refused line 2 with 422: unknown column emial: did you mean email\?$"
    ):
        await a_sender(api).send(file)
