"""Where the hub's CPU goes: runs the hub in this process under cProfile, its store's thread too, and prints both.

The load comes from the same event loop; what it costs stands under `poster.py` and is to be left out.
"""

import argparse
import asyncio
import cProfile
import pstats
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parent.parent))

import aiohttp
from bench import events, hubs
from bench.measure import cpu_seconds
from bench.poster import Poster

import hub.store.sqlite.writer
from hub.app import build
from hub.clock import SystemClock
from hub.commands.run import SWITCH_SECONDS
from hub.config import load

THREADS: dict[str, cProfile.Profile] = {}


def profile_threads() -> None:
    """Have every thread that runs the writer's loop keep a profile of its own."""
    plain = hub.store.sqlite.writer.Writer._run

    def profiled(self: hub.store.sqlite.writer.Writer) -> None:
        profile = THREADS[threading.current_thread().name] = cProfile.Profile(time.thread_time)
        profile.runcall(plain, self)

    hub.store.sqlite.writer.Writer._run = profiled  # type: ignore[method-assign]  # a profiler's business


async def work(folder: Path, count: int, batch: int, profile: cProfile.Profile | None) -> float:
    settings = load(
        None,
        {
            "data": folder / "data",
            "listen": {"port": 0},
            "workflows": (hubs.WORKFLOWS,),
            "delivering": {"concurrency": hubs.CONNECTIONS, "allow_loopback_endpoints": True},
        },
    )
    stopping = asyncio.Event()
    async with hubs.Server("sink.py", folder) as server, build(settings, SystemClock()) as running:
        sink = hubs.Sink(server)
        async with asyncio.TaskGroup() as group:
            group.create_task(running.run(stopping))
            headers = {"X-API-Key": running.first_key or ""}
            async with aiohttp.ClientSession(headers=headers) as session:
                made = {"url": sink.webhooks, "events": ["trade.*"]}
                async with session.post(running.url + "/v1/endpoints", json=made) as answer:
                    assert answer.status == 201, await answer.text()
            trades = events.Trades(large=True)
            async with Poster(running.url, 32) as poster:
                await poster.post_all(
                    events.requests(running.url, trades.take(events.ACCOUNTS), 100, headers)
                )
                await asyncio.to_thread(_until, sink, events.ACCOUNTS)
                posts = events.requests(running.url, trades.take(count), batch, headers)
                before = cpu_seconds(_own_pid())
                if profile is not None:
                    profile.enable()
                await poster.post_all(posts)
                await asyncio.to_thread(_until, sink, events.ACCOUNTS + count)
                if profile is not None:
                    profile.disable()
                used = cpu_seconds(_own_pid()) - before
            stopping.set()
    return used


def _own_pid() -> int:
    return int(Path("/proc/self").readlink().name)


def _until(sink: hubs.Sink, count: int) -> None:
    while sink.count() < count:
        time.sleep(0.02)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=5_000)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--lines", type=int, default=40)
    parser.add_argument("--sort", default="tottime")
    args = parser.parse_args()
    sys.setswitchinterval(SWITCH_SECONDS)
    profile_threads()
    profile = cProfile.Profile(time.thread_time)
    with tempfile.TemporaryDirectory(prefix="hub-profile-") as folder:
        used = uvloop.run(work(Path(folder), args.events, args.batch, profile))
    print(f"{used / args.events * 1e6:.0f} µs CPU an event, profiled")
    for name, found in {"event loop": profile, **THREADS}.items():
        print(f"\n=== {name}")
        print_files(found, args.events)
        pstats.Stats(found).sort_stats(args.sort).print_stats(args.lines)


def print_files(profile: cProfile.Profile, count: int) -> None:
    """Print the time spent in each file's own lines, in µs an event."""
    spent: Counter[str] = Counter()
    for (file, _, name), (_, _, own, _, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]  # typeshed hides it
        spent["/".join(Path(file).parts[-3:]) if file != "~" else f"C: {name}"] += own
    for file, seconds in spent.most_common(25):
        print(f"{seconds / count * 1e6:8.1f} µs  {file}")


if __name__ == "__main__":
    main()
