"""What an engine's size costs: conditions no index helps with, workflows and accounts an event does not touch, loading."""

import asyncio
import gc
import os
import tempfile
import time
import tracemalloc
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from bench import bench_decide
from bench import decide as deciding
from bench.decide import Deciding, inputs
from bench.figures import Figure, as_ratio
from bench.measure import middle

from hub import garbage
from hub.bus.log import Input
from hub.clock import SystemClock
from hub.engine.index import Program
from hub.engine.live_files import LiveFiles
from hub.engine.load_text import load_text
from hub.engine.loop import EngineLoop
from hub.engine.program import Workflow
from hub.parts import compile_stored
from hub.store.retention import Retention
from hub.store.sqlite.store import open_sqlite
from hub.testing import a_trade_closed, an_account

FEW, MANY = 10, 1_000
GROUP = 100  # whose five workflows are asked; the others are never touched
UNINDEXED = """schema: 1
id: plain-{number}
title: a condition without an equality
owner: bench
mode: live
when: [{{event: trade.closed, where: 'event.lots > {lots} and starts_with(account.group, "real") and event.net_profit < 0'}}]
steps: [{{do: event.publish, with: {{type: custom.bench}}}}]
"""


def measure(repeats: int, *, quick: bool) -> list[Figure]:
    count = 10_000 if quick else 30_000
    return [
        _unindexed(count, repeats),
        _beside_others(count, repeats),
        _among_accounts(count, repeats, most=100_000 if quick else 1_000_000),
        _memory_of_a_key(),
        *_files(repeats),
    ]


def _unindexed(count: int, repeats: int) -> Figure:
    # One of them fires with one event in a hundred.
    workflows = [
        _loaded(UNINDEXED.format(number=number, lots=100 + number if number else 4.95))
        for number in range(500)
    ]
    rates = [1e6 / cost for cost in _costs(Program(workflows), count, repeats)]
    return Figure(
        "decide, 500 workflows no index helps with",
        middle(rates),
        "events/s",
        30_000.0,
        "higher",
        samples=rates,
        beside={"CPU µs/event": 1e6 / middle(rates), "conditions asked": 500.0},
    )


def _beside_others(count: int, repeats: int) -> Figure:
    """Compare the cost beside few and beside many workflows of other groups, in turns of one run."""
    few, many = (Program([bench_decide.workflow(number) for number in range(size)]) for size in (FEW, MANY))
    ratios, costs = [], []
    for _ in range(repeats):
        (low,), (high,) = _costs(few, count, 1), _costs(many, count, 1)
        ratios.append(high / low)
        costs.append(high)
    return as_ratio(
        f"an event beside {MANY:,} workflows it does not touch, against {FEW}",
        1.2,
        ratios,
        unit="times",
        ceiling=f"{FEW} workflows",
        beside={"CPU µs/event": middle(costs)},
    )


def _among_accounts(count: int, repeats: int, *, most: int) -> Figure:
    """Compare the cost with a thousand accounts in memory and with very many, in turns of one run."""
    program = Program([bench_decide.workflow(number) for number in range(500)])
    known = deciding.ACCOUNTS
    try:
        towns = []
        for size in (1_000, most):
            deciding.ACCOUNTS = size
            rows = inputs(size + count, groups=GROUP)
            towns.append((rows[:size], rows[size:], Deciding(program, rows)))
    finally:
        deciding.ACCOUNTS = known
    for first, _, town in towns:
        town.all(first)
    garbage.settle()
    ratios, costs = [], []
    part = count // repeats
    for turn in range(repeats):
        low, high = (_seconds(town, measured[turn * part : (turn + 1) * part]) for _, measured, town in towns)
        ratios.append(high / low)
        costs.append(high / part * 1e6)
    gc.unfreeze()
    return as_ratio(
        f"an event among {most:,} accounts in memory, against 1,000",
        1.2,
        ratios,
        unit="times",
        ceiling="1,000 accounts",
        beside={"CPU µs/event": middle(costs)},
    )


def _memory_of_a_key() -> Figure:
    """Weigh what the engine keeps of an account with one calendar and one sliding aggregate."""
    program = Program([bench_decide.workflow(number) for number in range(500)])
    rows = inputs(2 * deciding.ACCOUNTS, groups=GROUP)
    first, second = rows[: deciding.ACCOUNTS], rows[deciding.ACCOUNTS :]
    town = Deciding(program, rows)
    tracemalloc.start()
    town.all(first)
    weight = tracemalloc.get_traced_memory()[0] / deciding.ACCOUNTS
    town.all(second)
    grown = tracemalloc.get_traced_memory()[0] / deciding.ACCOUNTS - weight
    tracemalloc.stop()
    return Figure(
        "memory of an account with two aggregates",
        weight,
        "bytes",
        beside={"a further contribution to a sliding window": grown},
    )


def _files(repeats: int) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as folder:
        rules = Path(folder, "rules")
        rules.mkdir()
        for number in range(MANY):
            (rules / f"{number}.yaml").write_text(bench_decide.workflow(number).text, encoding="utf-8")
        loads = []
        for _ in range(repeats):
            began = time.perf_counter()
            files = LiveFiles([rules])
            loads.append(time.perf_counter() - began)
        changed = rules / "7.yaml"
        text = changed.read_text(encoding="utf-8")
        reads, lives = asyncio.run(_reloaded(Path(folder), changed, text, files, repeats))
    return [
        Figure(f"loading {MANY:,} workflow files", middle(loads), "s", 3.0, samples=loads),
        Figure(
            f"reading one changed file of {MANY:,} again",
            middle(reads),
            "ms",
            100.0,
            samples=reads,
            beside={"ms until it decides, 1,000 accounts": middle(lives)},
        ),
    ]


async def _reloaded(
    folder: Path, path: Path, text: str, files: LiveFiles, repeats: int
) -> tuple[list[float], list[float]]:
    """Change one file again and again under a running engine; return how long reading took, and till it decided."""
    day = timedelta(days=1)
    clock = SystemClock()
    async with open_sqlite(folder / "data", clock, Retention(day, day, day, day)) as store:
        lease = await store.leases.seize("hub", "bench", day)
        inbox = store.follow(await store.engine.positions("engine"))
        loop = EngineLoop(store.engine, store.log, inbox, clock, lambda _: [lease], compile_stored)

        async def decide(*, to_the_end: bool = False) -> None:
            while inbox.backlog() or loop.waiting or (to_the_end and loop.changing):
                await loop.step()

        await loop.activate(files.loaded.workflows)
        await store.log.append([a_trade_closed(an_account(login=number)) for number in range(1, 1_001)])
        await decide()
        reads, lives = [], []
        for turn in range(repeats):
            path.write_text(text.replace("title:", f"title: {turn}"), encoding="utf-8")  # noqa: ASYNC240 (nobody waits)
            os.utime(path, (turn, turn))
            began = time.perf_counter()
            files.look()
            reads.append(1e3 * (time.perf_counter() - began))
            await loop.activate(files.loaded.workflows, files.loaded.unread)
            await decide()
            lives.append(1e3 * (time.perf_counter() - began))
            await decide(to_the_end=True)
        return reads, lives


def _costs(program: Program, count: int, repeats: int) -> list[float]:
    """Return the CPU µs an event costs, once for each repeat."""
    rows = inputs(deciding.ACCOUNTS + count, groups=2)
    first, measured = rows[: deciding.ACCOUNTS], rows[deciding.ACCOUNTS :]
    costs = []
    for _ in range(repeats):
        town = Deciding(program, rows)
        town.all(first)
        garbage.settle()
        costs.append(_seconds(town, measured) / len(measured) * 1e6)
        gc.unfreeze()
    return costs


def _seconds(town: Deciding, rows: Sequence[Input]) -> float:
    began = time.process_time()
    town.all(rows)
    return time.process_time() - began


def _loaded(text: str) -> Workflow:
    workflow = load_text(text, "plain.yaml").workflow
    assert workflow is not None
    return workflow
