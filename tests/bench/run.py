"""`make bench`: measures this machine and prints each figure beside its target; a miss is told, and is no failure.

Everything durable runs as real processes over real sockets. What can be compared is a ratio of CPU to a ceiling taken
in the same minutes, because the same machine is 1.2 to 1.6 times slower an hour later.
"""

import argparse
import asyncio
import gc
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import uvloop
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[2] / "deploy" / "bare"))
sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import (
    asking,
    backlog,
    backtest,
    decide,
    dispatching,
    end_to_end,
    engine,
    fanning,
    feeds,
    ingest,
    latency,
    neighbours,
    scaled,
    watcher,
)  # fmt: skip
from bench.figures import Figure, Skipped, print_table, write_json

Measured = list[Figure | Skipped]
PARTS = (
    "watcher",
    "decide",
    "engine",
    "backtest",
    "asking",
    "ingest",
    "dispatcher",
    "end-to-end",
    "latency",
    "fan-out",
    "neighbours",
    "backlog",
    "feeds",
    "scaled",
)


def measure(part: str, folder: Path, repeats: int, *, quick: bool) -> Measured:
    work: dict[str, Callable[[], Measured]] = {
        "watcher": lambda: [*watcher.measure(repeats, quick=quick)],
        "decide": lambda: [*decide.measure(repeats, quick=quick)],
        "engine": lambda: [*engine.measure(repeats, quick=quick)],
        "backtest": lambda: [*backtest.measure(folder, quick=quick)],
        "asking": lambda: [*asking.measure(folder, repeats, quick=quick)],
        "ingest": lambda: [*_loop(ingest.measure(folder, repeats, quick=quick))],
        "dispatcher": lambda: [*_loop(dispatching.measure(folder, repeats, quick=quick))],
        "end-to-end": lambda: [*_loop(end_to_end.measure(folder, repeats, quick=quick))],
        "latency": lambda: [*_loop(latency.measure(folder, quick=quick))],
        "fan-out": lambda: [*_loop(fanning.measure(folder, min(repeats, 3), quick=quick))],
        "neighbours": lambda: [*_loop(neighbours.measure(folder, quick=quick))],
        "backlog": lambda: [*_loop(backlog.measure(folder, repeats, quick=quick))],
        "feeds": lambda: [*_loop(feeds.measure(folder, quick=quick))],
        "scaled": lambda: [*_loop(scaled.measure(folder, repeats, quick=quick))],
    }
    try:
        return work[part]()
    except Exception as error:
        # The other figures are worth having all the same.
        return [Skipped(part, _cause(error))]
    finally:
        gc.collect()


def _cause(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


def _loop(coroutine):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coroutine)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure this part; repeatable")
    args = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(f"[dim]Python {sys.version}, from {sys.base_prefix}[/dim]", highlight=False)
    repeats = 3 if args.quick else 5
    began = time.perf_counter()
    figures: Measured = []
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as folder:
        for part in args.only or PARTS:
            console.print(f"[dim]measuring {part} …[/dim]")
            figures += measure(part, Path(folder), repeats, quick=args.quick)
    print_table(console, figures)
    if args.json:
        write_json(args.json, figures, quick=args.quick, seconds=time.perf_counter() - began)
        console.print(f"[dim]written to {args.json}[/dim]")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
