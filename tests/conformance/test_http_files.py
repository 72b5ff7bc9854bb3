"""A file of events reaches a running hub whole, whatever happens on the way."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from conformance.api_bench import ApiBench, an_api

from hub.clock import ManualClock, iso, to_us
from hub.control.keys import Scope
from hub.errors import SourceRefused, SourceUnavailable
from hub.ingest.files import FileClient, Progress
from hub.testing import MORNING

NOW = iso(to_us(MORNING))


@pytest.fixture
async def api() -> AsyncIterator[ApiBench]:
    async with an_api() as bench:
        yield bench


def line(number: int, **data: Any) -> str:
    trade = {"deal": number, "symbol": "EURUSD", "side": "buy", "lots": "1", **data}
    account = {"server": "live-1", "login": 7001}
    return json.dumps({"type": "trade.closed", "timestamp": NOW, "account": account, "data": trade})


def a_file(folder: Path, *lines: str) -> Path:
    path = folder / "events.ndjson"
    path.write_text("\n".join(lines))
    return path


def a_client(api: ApiBench, **more: Any) -> FileClient:
    return FileClient(api.url, api.secrets[Scope.EVENTS_WRITE], api.clock, **more)


async def test_every_line_is_posted_once_and_progress_is_told(api: ApiBench, tmp_path: Path) -> None:
    path = a_file(tmp_path, *(line(number) for number in range(1, 601)), "")
    told: list[tuple[int, int]] = []

    done = await a_client(api).post(path, on_progress=lambda now: told.append((now.line, now.bytes_done)))

    assert (done.accepted, done.duplicates, done.rejected, done.line) == (600, 0, 0, 600)
    assert [where for where, _ in told] == [250, 500, 600]
    assert told[-1][1] == done.bytes_total == path.stat().st_size
    assert len(api.rows()) == 600


async def test_posting_a_file_again_adds_nothing(api: ApiBench, tmp_path: Path) -> None:
    path = a_file(tmp_path, line(1), line(2))
    await a_client(api).post(path)

    again = await a_client(api).post(path)

    assert (again.accepted, again.duplicates, len(api.rows())) == (0, 2, 2)


async def test_a_bad_line_is_named_by_its_number_and_the_rest_goes_on(api: ApiBench, tmp_path: Path) -> None:
    path = a_file(tmp_path, line(1), "", "{nope", line(2, profti="1"), line(3))

    done = await a_client(api).post(path)

    assert (done.accepted, done.rejected) == (2, 2)
    assert [refusal.line for refusal in done.refusals] == [3, 4]
    assert done.refusals[1].result.errors[0].fix == "did you mean profit?"


async def test_a_batch_of_nothing_but_bad_lines_stops_nothing(api: ApiBench, tmp_path: Path) -> None:
    path = a_file(tmp_path, "nope", "nope", line(1))

    done = await a_client(api, batch=2).post(path)

    assert (done.accepted, done.rejected, done.line) == (1, 2, 3)


async def test_it_resumes_at_a_line(api: ApiBench, tmp_path: Path) -> None:
    path = a_file(tmp_path, line(1), line(2), line(3))

    done = await a_client(api).post(path, first_line=3)

    assert (done.accepted, done.line, len(api.rows())) == (1, 3, 1)


async def test_a_busy_hub_is_given_the_time_it_asks_for(api: ApiBench, tmp_path: Path) -> None:
    path = a_file(tmp_path, line(1))
    api.busy[0] = 90.0

    async with asyncio.TaskGroup() as group:
        posting = group.create_task(a_client(api).post(path))
        await until_it_sleeps(api.clock)
        api.busy[0] = 0.0
        await api.clock.advance(timedelta(seconds=89))
        assert not posting.done()
        await api.clock.advance(timedelta(seconds=1))

    assert (posting.result().accepted, posting.result().waits) == (1, 1)


async def test_a_hub_that_is_gone_is_named_with_the_line_to_resume_at(api: ApiBench, tmp_path: Path) -> None:
    path = a_file(tmp_path, line(1), line(2))
    client = FileClient("http://127.0.0.1:9", "hub_x", api.clock, tries=2)

    async def impatiently() -> Progress:
        with pytest.raises(SourceUnavailable, match="resume with --from 2"):
            await client.post(path, first_line=2)
        return Progress()

    async with asyncio.TaskGroup() as group:
        posting = group.create_task(impatiently())
        while not posting.done():
            await api.clock.advance(timedelta(seconds=60))


async def test_a_wrong_key_is_not_tried_again(api: ApiBench, tmp_path: Path) -> None:
    client = FileClient(api.url, "hub_wrong", api.clock)

    with pytest.raises(SourceRefused, match="401"):
        await client.post(a_file(tmp_path, line(1)))


async def test_long_lines_make_smaller_batches_and_endless_ones_are_refused(
    api: ApiBench, tmp_path: Path
) -> None:
    long = json.dumps({"type": "custom.note", "timestamp": NOW, "data": {"text": "x" * 400_000}})
    path = a_file(tmp_path, long, long.replace("note", "other"), long.replace("note", "third"))

    done = await a_client(api).post(path)

    assert done.accepted == 3
    with pytest.raises(SourceRefused, match="line 1 is longer"):
        await a_client(api).post(a_file(tmp_path, "x" * 2_000_000))


async def until_it_sleeps(clock: ManualClock) -> None:
    async with asyncio.timeout(10):
        while not clock._sleepers:
            await asyncio.sleep(0.001)
