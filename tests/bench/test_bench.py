"""The benchmarks' own instruments: a figure is worth nothing if what takes it is wrong."""

import asyncio
import hmac
import json
import shutil
from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from bench import backlogged, events, hubs
from bench.figures import Figure
from bench.measure import middle, percentile
from bench.poster import Poster, prepare
from bench.slowsync import slow_sync
from processes.program import eventually

from hub.engine.load import load_folder


async def test_the_sink_counts_every_delivery_of_the_bare_client(tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_bytes(b'{"id":"evt_a","data":{"deal":42,"lots":"1"}}')
    async with hubs.Server("sink.py", tmp_path) as server:
        sink = hubs.Sink(server)

        bare = await hubs.bare_client(sink.webhooks, 200, body)

        assert sink.count() == 200 + 500  # and the warm-up
        assert list(sink.stamps()) == [42]
        assert sink.last().body == body.read_bytes()
        assert {"webhook-id", "webhook-timestamp", "webhook-signature"} <= sink.last().headers.keys()
        assert bare.cpu > 0
        assert bare.wall > 0


async def test_a_crowd_tells_when_each_of_its_names_got_what_and_never_answers_a_hanging_one(
    tmp_path: Path,
) -> None:
    body = b'{"data":{"deal":7,"lots":"1"}}'
    async with hubs.Server("crowd.py", tmp_path) as server, Poster(server.url, 3) as poster:
        crowd = hubs.Sink(server)
        one, other, hung = poster._connections
        await asyncio.gather(
            one.ask(prepare(f"{crowd.url}/to/0", body, {})), other.ask(prepare(f"{crowd.url}/to/1", body, {}))
        )
        unanswered = hung.ask(prepare(f"{crowd.url}/hang", body, {}))
        await eventually(lambda: crowd.hanging() == 1, within=30, what="the hanging one was asked")

        assert {name: list(seen) for name, seen in crowd.arrivals().items()} == {"0": [7], "1": [7]}
        assert crowd.count() == 2
        assert not unanswered.done()
        unanswered.cancel()


async def test_a_backlog_is_seeded_for_every_endpoint_and_delivered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with hubs.Server("sink.py", tmp_path) as server:
        sink = hubs.Sink(server)
        await backlogged.seed(tmp_path / "data", sink.webhooks, 40, 3)

        await backlogged.drain(tmp_path / "data", 120)

        drained = hubs.Drained(**json.loads(capsys.readouterr().out))
        assert sink.count() == 120
        assert len(sink.stamps()) == 40
        assert 0 < drained.now <= drained.peak


async def test_the_bare_server_decodes_what_the_poster_posts(tmp_path: Path) -> None:
    trades = events.Trades()
    async with (
        hubs.Server("bare_server.py", tmp_path) as bare,
        Poster(bare.url, 4) as poster,
    ):
        await poster.post_all(events.requests(bare.url, trades.take(20), 1))
        await poster.post_all(events.requests(bare.url, trades.take(250), 100))

        due = await poster.post_on_time(events.requests(bare.url, trades.take(10), 1), 200.0)

    assert [later - earlier for earlier, later in pairwise(due)] == [5_000_000] * 9


async def test_the_bare_server_refuses_what_is_no_event(tmp_path: Path) -> None:
    async with hubs.Server("bare_server.py", tmp_path) as bare, Poster(bare.url, 1) as poster:
        with pytest.raises(ExceptionGroup) as failed:
            await poster.post_all(events.requests(bare.url, [{"type": 1}], 1))

    assert "answered 500" in str(failed.value.exceptions[0])


def test_sqlite_inside_apsw_feels_the_slow_disk(tmp_path: Path) -> None:
    environment = slow_sync(tmp_path, timedelta(milliseconds=2))

    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    assert isinstance(environment, Mapping if compiler else str), environment


def test_a_signature_of_another_secret_does_not_pass() -> None:
    forged = hubs.Delivery(
        {
            "webhook-id": "a",
            "webhook-timestamp": "1",
            "webhook-signature": "v1," + hmac.new(b"x", b"", "md5").hexdigest(),
        },
        b"{}",
    )

    with pytest.raises(Exception, match=r"old|match|signature"):
        hubs.check_signature("whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", forged)


def test_the_rules_of_the_benchmarks_load() -> None:
    loaded = load_folder([hubs.WORKFLOWS])

    assert not loaded.problems
    assert len(loaded.workflows) == 5


def test_a_figure_is_judged_by_the_side_its_target_is_on() -> None:
    assert Figure("a", 2.0, "x", 2.2).verdict == "PASS"
    assert Figure("a", 2.3, "x", 2.2).verdict == "MISS"
    assert Figure("a", 50_000, "events/s", 60_000, "higher").verdict == "MISS"
    assert Figure("a", 1.0, "x").verdict == ""


def test_percentiles_and_the_middle_come_from_the_ordered_values() -> None:
    values = [float(value) for value in range(100, 0, -1)]

    assert [percentile(values, share) for share in (0.5, 0.95, 0.99)] == [51.0, 96.0, 100.0]
    assert middle([9.0, 1.0, 5.0]) == 5.0
