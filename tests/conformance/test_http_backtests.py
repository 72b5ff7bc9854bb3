"""Backtests over HTTP: real requests, real processes, over the log of either store."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from conformance.api_bench import ApiBench, an_api
from conformance.backends import PostgresBackend, SqliteBackend, StoreBackend
from conformance.test_history import a_log

from hub.api.backtest_ports import BacktestAsked, JobState
from hub.backtest_desk import MOST_WAITING, BacktestDesk, Bounds
from hub.backtest_job import Order, encode_order
from hub.clock import SystemClock
from hub.control.keys import Scope

DRAFT = """schema: 1
id: draft
title: pay for every close
owner: tests
mode: live
key: account
when: [{id: closed, event: trade.closed}]
limit: {max: 99, every: 1d}
steps: [{id: pay, do: credit.grant, with: {amount: 5}}]
"""
ASKED = BacktestAsked("draft", "tests", DRAFT)
WHERE = "/v1/workflows/draft/backtest"
ROOM = {"most_events": 9, "most_memory": 2**32, "most_seconds": 60, "most_told": 9}


def bounds(store: StoreBackend | None, **changed: Any) -> Bounds:
    data = str(store.folder) if isinstance(store, SqliteBackend) else "nowhere"
    address = store.dsn if isinstance(store, PostgresBackend) else None
    named: dict[str, Any] = {"most_events": 1_000, "longest": timedelta(seconds=60)} | changed
    return Bounds(data=data, address=address, **named)


@asynccontextmanager
async def an_office(
    store: StoreBackend | None, *, script: str = "", **changed: Any
) -> AsyncIterator[ApiBench]:
    """Serve with a desk that works; `script` is what its processes run in the place of a backtest."""
    command = {"command": (sys.executable, "-c", script)} if script else {}
    desk = BacktestDesk(bounds(store, **changed), SystemClock(), **command)
    stopping = asyncio.Event()
    async with an_api(backtests=desk) as api, asyncio.TaskGroup() as group:
        group.create_task(desk.run(stopping))
        try:
            yield api
        finally:
            stopping.set()


async def until(api: ApiBench, job: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while True:
        status, said, _ = await api.ask("GET", f"/v1/backtests/{job}", scope=Scope.WORKFLOWS_BACKTEST)
        assert status == 200
        if is_so(said):
            return dict(said)
        assert time.monotonic() < deadline, said
        await asyncio.sleep(0.02)


def over(said: dict[str, Any]) -> bool:
    return said["state"] not in {"waiting", "running"}


async def asked(api: ApiBench, **body: Any) -> str:
    status, said, headers = await api.ask(
        "POST", WHERE, scope=Scope.WORKFLOWS_BACKTEST, json={"draft": DRAFT, **body}
    )
    assert status == 202, said
    assert headers["Location"] == f"/v1/backtests/{said['id']}"
    return str(said["id"])


async def test_a_draft_is_told_the_log_of_the_hub_and_says_whom_it_touched(store: StoreBackend) -> None:
    await a_log(store)

    async with an_office(store) as api:
        job = await asked(api)
        said = await until(api, job, over)
        status, page, headers = await api.ask("GET", f"/v1/backtests/{job}/report")

    assert (said["state"], said["reason"]) == ("done", None)
    assert said["progress"] == {"share": 1.0, "events": said["progress"]["events"]}
    assert (said["result"]["touched"], said["result"]["actions"]) == (3, {"credit.grant": 30})
    assert said["result"]["money"] == {"credit.grant USD": "150.00"}
    assert status == 200
    assert "<svg" in page
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"


async def test_only_the_time_asked_for_is_reported(store: StoreBackend) -> None:
    await a_log(store)
    first = (await store.log.scan(0, 1))[0]

    async with an_office(store) as api:
        since = "2020-01-01T00:00:00Z"
        until_then = (timedelta(microseconds=first.at) + timedelta(seconds=6)) / timedelta(seconds=1)
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until_then))
        job = await asked(api, **{"from": since, "to": end, "warm_up": "none", "assume": "approve"})
        said = await until(api, job, over)

    assert said["result"]["events"] == 6
    assert (said["from"], said["assume"], said["draft"]) == ("2020-01-01T00:00:00.000Z", "approve", True)


async def test_more_events_than_may_be_told_end_it_with_what_to_do(store: StoreBackend) -> None:
    await a_log(store)

    async with an_office(store, most_events=10) as api:
        said = await until(api, await asked(api), over)

    assert said["state"] == "failed"
    assert "more than 10 events" in said["reason"]
    assert said["result"] is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (DRAFT.replace("credit.grant", "credit.gift"), "credit.grant"),
        (DRAFT.replace("id: draft", "id: other"), "the text is of other"),
        ("{", "text:2:1"),
        ("use: x.yaml\nid: draft\n", "text"),
    ],
)
async def test_a_text_that_is_no_such_workflow_is_refused_with_its_place(
    tmp_path: Path, text: str, reason: str
) -> None:
    backend = SqliteBackend(tmp_path / "data")
    await backend.open()
    await a_log(backend, 3)
    await backend.close()

    async with an_office(backend) as api:
        said = await until(api, await asked(api, draft=text), over)

    assert said["state"] == "failed"
    assert reason in said["reason"]


async def test_an_id_is_never_taken_for_a_file(tmp_path: Path) -> None:
    (tmp_path / "rule.yaml").write_text(DRAFT)
    backend = SqliteBackend(tmp_path / "data")
    await backend.open()
    await a_log(backend, 3)
    await backend.close()
    order = Order(str(tmp_path / "data"), None, str(tmp_path / "rule.yaml"), **ROOM)

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hub.commands.backtest_child", stdin=-1, stdout=-1
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(encode_order(order) + b"\n")
    said = json.loads(await process.stdout.readline())
    process.stdin.close()
    await process.wait()

    assert said["type"] == "refused"
    assert "neither a file nor a live workflow" in said["reason"]


async def test_there_is_no_backtest_of_a_workflow_there_is_not() -> None:
    async with an_office(None) as api:
        status, said, _ = await api.ask("POST", WHERE, json={})

    assert (status, said["type"]) == (404, "urn:hub:problem:not-found")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "to is not after from"),
        ({"from": "2026-01-02"}, "from"),
        ({"warm_up": "long"}, "warm_up"),
        ({"assume": "perhaps"}, "assume"),
        ({"draft": ""}, "draft"),
        ({"since": "2026-01-02T00:00:00Z"}, "since"),
        ({"draft": "x" * (256 * 1024 + 1)}, "draft"),
    ],
)
async def test_what_cannot_be_asked_is_refused_by_its_field(body: dict[str, Any], field: str) -> None:
    async with an_office(None) as api:
        status, said, _ = await api.ask("POST", "/v1/workflows/bonus/backtest", json=body)

    assert status == 422
    assert field in json.dumps(said)


async def test_only_a_key_for_it_and_for_all_servers_may_ask() -> None:
    async with an_office(None) as api:
        secret, _ = await api.keys.create("some", [Scope.WORKFLOWS_BACKTEST], servers=["live-1"])
        tied = {"Authorization": f"Bearer {secret}"}
        job = await asked(api)
        reading, _, _ = await api.ask("GET", f"/v1/backtests/{job}", scope=Scope.READ)
        posting, _, _ = await api.ask("POST", WHERE, scope=Scope.READ, json={"draft": DRAFT})
        some = [
            (await api.ask(method, path, scope=None, headers=tied, **body))[0]
            for method, path, body in (
                ("POST", WHERE, {"json": {"draft": DRAFT}}),
                ("GET", "/v1/backtests", {}),
                ("GET", f"/v1/backtests/{job}", {}),
                ("GET", f"/v1/backtests/{job}/report", {}),
                ("DELETE", f"/v1/backtests/{job}", {}),
            )
        ]

    assert (reading, posting, some) == (403, 403, [403] * 5)


HANGS = 'import sys, time; sys.stdin.readline(); print(\'{"type":"progress","share":0.25,"events":7}\', flush=True); time.sleep(600)'


async def test_one_runs_at_a_time_some_wait_and_more_are_turned_away() -> None:
    async with an_office(None, script=HANGS) as api:
        first = await asked(api)
        running = await until(api, first, lambda said: said["progress"]["events"] == 7)
        waiting = [await asked(api) for _ in range(MOST_WAITING)]
        status, said, headers = await api.ask("POST", WHERE, json={"draft": DRAFT})
        states = {item["id"]: item["state"] for item in (await api.ask("GET", "/v1/backtests"))[1]["items"]}
        report, _, _ = await api.ask("GET", f"/v1/backtests/{first}/report")

    assert (running["state"], running["progress"]["share"]) == ("running", 0.25)
    assert (status, said["type"], headers["Retry-After"]) == (429, "urn:hub:problem:too-many-backtests", "30")
    assert states == {first: "running", **dict.fromkeys(waiting, "waiting")}
    assert report == 409


async def test_what_is_taken_back_ends_and_the_next_gets_its_turn() -> None:
    async with an_office(None, script=HANGS) as api:
        first, second, third = [await asked(api) for _ in range(3)]
        await until(api, first, lambda said: said["state"] == "running")

        assert (await api.ask("DELETE", f"/v1/backtests/{second}"))[0] == 204
        assert (await api.ask("DELETE", f"/v1/backtests/{first}"))[0] == 204

        await until(api, third, lambda said: said["state"] == "running")
        ended = [(await until(api, job, over))["state"] for job in (first, second)]
        assert (await api.ask("DELETE", f"/v1/backtests/{first}"))[
            0
        ] == 204  # and of what is over, nothing stays
        assert (await api.ask("GET", f"/v1/backtests/{first}"))[0] == 404

    assert ended == ["cancelled", "cancelled"]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("import sys; sys.exit('it went wrong')", "its process ended with 1"),
        ("print('no JSON', flush=True)", "could not be run"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "its process ended with -9"),
        ("import time; time.sleep(600)", "it took longer than 1 s"),
        ('while True: print(\'{"type":"progress","share":0.1,"events":1}\')', "it took longer than 1 s"),
    ],
)
async def test_a_process_that_goes_wrong_fails_its_own_backtest_alone(script: str, reason: str) -> None:
    async with an_office(None, script=script, longest=timedelta(seconds=1)) as api:
        said = [await until(api, job, over) for job in [await asked(api), await asked(api)]]

    assert [each["state"] for each in said] == ["failed", "failed"]
    assert all(reason in each["reason"] for each in said)


async def test_its_process_is_told_no_secret_of_the_hub_and_ends_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HUB_MAIL__PASSWORD", "hush")
    told = tmp_path / "told.json"
    script = (
        "import json, os, sys, time; sys.stdin.readline(); "
        f"open({str(told)!r} + '~', 'w').write(json.dumps([os.getpid(), sorted(os.environ)])); "
        f"os.rename({str(told)!r} + '~', {str(told)!r}); time.sleep(600)"
    )
    async with an_office(None, script=script) as api:
        await asked(api)
        deadline = time.monotonic() + 30
        while not told.exists():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)

    number, names = json.loads(told.read_text())
    assert not [name for name in names if name.startswith("HUB_")]
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


async def test_one_that_is_taken_back_while_its_process_begins_holds_up_nobody() -> None:
    waits_for_ever = (sys.executable, "-c", "import sys; sys.stdin.read()")
    desk = BacktestDesk(bounds(None, longest=timedelta(hours=1)), SystemClock(), waits_for_ever)
    stopping = asyncio.Event()

    async def running(job_id: str) -> None:
        async with asyncio.timeout(60):
            while (job := desk.job(job_id)) is None or job.state is not JobState.RUNNING:
                await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(desk.run(stopping))
        first, second = desk.ask(ASKED), desk.ask(ASKED)
        await running(first.id)
        desk.cancel(first.id)
        await running(second.id)
        stopping.set()


async def test_a_process_whose_hub_was_killed_ends_by_itself(tmp_path: Path) -> None:
    backend = SqliteBackend(tmp_path / "data")
    await backend.open()
    await a_log(backend, 3)
    await backend.close()
    order = Order(str(tmp_path / "data"), None, "draft", text=DRAFT, **ROOM)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        # It works for ever, and says nothing.
        "import sys, time, hub.commands.backtest_child as child\n"
        "async def work(order, say): time.sleep(600)\n"
        "child._work = work\n"
        "sys.exit(child.main(sys.stdin.buffer, sys.stdout.buffer))",
        stdin=-1,
    )
    assert process.stdin is not None
    process.stdin.write(encode_order(order) + b"\n")
    await process.stdin.drain()

    process.stdin.close()

    assert await asyncio.wait_for(process.wait(), 30) == 3
