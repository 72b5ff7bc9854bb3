"""What somebody waits for who asks or tests: a plain no decided again over 10,000 inputs, and a thousand stories."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.figures import Figure
from bench.measure import middle

from hub.clock import SystemClock
from hub.engine.load_text import load_text
from hub.engine.past import MOST_INPUTS
from hub.engine.story import run_story_files
from hub.engine.then import stood
from hub.events.base import AccountRef
from hub.events.catalogue import BY_NAME
from hub.events.facts import make_fact
from hub.store.sqlite.history import SqliteHistory
from hub.store.sqlite.store import open_sqlite

WHY_MS, STORIES_SECONDS = 500.0, 10.0
KEY = "live-1:7001"
_EACH = 10  # stories of one workflow
_OTHERS = 40  # accounts beside the one that is asked about, in the same log
_BEGINS = datetime(2026, 1, 1, tzinfo=UTC)
_RULE = """
schema: 1
id: bonus-{number}
title: a bonus by volume
owner: bench
mode: live
key: account
scope: account.currency == "USD"
aggregates:
  lots: {{from: trade.closed, sum: event.lots, window: {{calendar: month, tz: Europe/Nicosia}}}}
  losses: {{from: trade.closed, where: event.net_profit < 0, sum: abs(event.net_profit), window: {{sliding: 7d}}}}
when:
  - {{id: volume, becomes: lots > 1000000}}
  - {{id: loss, becomes: losses > 5000000}}
limit: {{max: 1, every: 30d}}
steps: [{{id: pay, do: credit.grant, with: {{amount: = lots * 2}}}}]
"""
_STORIES = """
workflow: bonus-{number}
tests:
{stories}"""
_STORY = """  - name: story {name}
    given: {{account: {{type: real, currency: USD}}}}
    story:
      - {{at: 2026-03-02T10:00Z, event: {{type: trade.closed, lots: 12, net_profit: -5}}}}
      - {{at: 2026-03-05T10:00Z, event: {{type: trade.closed, lots: 13}}}}
      - {{at: 2026-03-06T10:00Z, restart: hub}}
      - {{at: 2026-03-20T10:00Z, event: {{type: trade.closed, lots: 1000000}}, expect: [{{action: credit.grant}}]}}
"""


def measure(folder: Path, repeats: int, *, quick: bool) -> list[Figure]:
    asked = asyncio.run(_why(folder / "why", repeats))
    count, seconds = asyncio.run(_stories(folder / "stories", 200 if quick else 1_000))
    each = seconds / count
    return [
        Figure(
            f"why, a plain no over {MOST_INPUTS:,} inputs", middle(asked), "ms", WHY_MS, samples=asked,
            beside={"rows in the log": float(MOST_INPUTS + MOST_INPUTS // _OTHERS * _OTHERS)},
        ),
        Figure("1,000 stories, one core", 1_000 * each, "s of CPU", STORIES_SECONDS, beside={"ms each": 1_000 * each}),
    ]  # fmt: skip


async def _why(folder: Path, repeats: int) -> list[float]:
    """Ask about the last of so many trades of one account, among as many of others."""
    report = load_text(_RULE.format(number=0), "bonus.yaml")
    assert report.workflow is not None
    async with open_sqlite(folder, SystemClock()) as store:
        for first in range(0, MOST_INPUTS, 500):
            facts = [_trade(number, 7001) for number in range(first, first + 500)]
            facts += [
                _trade(MOST_INPUTS + number, 8000 + number % _OTHERS) for number in range(first, first + 500)
            ]
            await store.log.append(facts)
        rows = [row for row in await store.log.scan(0, 10**6) if row.key == KEY]
        history = SqliteHistory(store.reader, SystemClock())
        spent = []
        for _ in range(repeats):
            began = time.perf_counter()
            then = await stood(history, report.workflow, KEY, _turn, event=rows[-1])
            spent.append(1_000 * (time.perf_counter() - began))
            assert then.standing[0].holds is False
            assert f"from {MOST_INPUTS} inputs" in then.note, then.note
        return spent


async def _turn() -> None:
    await asyncio.sleep(0)


def _trade(number: int, login: int):
    kind = BY_NAME["trade.closed"]
    moment = _BEGINS + timedelta(minutes=3) * number
    data = kind.model.model_validate(
        {
            "deal": number + 1,
            "symbol": "EURUSD",
            "side": "buy",
            "lots": "1.5",
            "profit": "-3",
            "net_profit": "-3",
        }
    )
    account = AccountRef(server="live-1", login=login, currency="USD")
    return make_fact(kind, kind.name, data, timestamp=moment, received_us=0, source="bench", account=account)


async def _stories(folder: Path, count: int) -> tuple[int, float]:
    """Tell so many stories, ten of each workflow, reading and compiling the files included."""
    _write_stories(folder, count // _EACH)
    began = time.process_time()
    report = await run_story_files([folder])
    spent = time.process_time() - began
    assert report.passed, [result.failures for result in report.results if not result.passed][
        :1
    ] or report.problems
    return len(report.results), spent


def _write_stories(folder: Path, workflows: int) -> None:
    folder.mkdir()
    for number in range(workflows):
        (folder / f"bonus-{number}.yaml").write_text(_RULE.format(number=number), encoding="utf-8")
        stories = "".join(_STORY.format(name=name) for name in range(_EACH))
        text = _STORIES.format(number=number, stories=stories)
        (folder / f"bonus-{number}.test.yaml").write_text(text, encoding="utf-8")
