"""`hub backtest` over a hub's own log on SQLite, on one core: recorded trades of 10,000 accounts, most of them counted.

Run it as a program for the whole million: it prints the seconds it took.
"""

import argparse
import asyncio
import cProfile
import pstats
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import plain_event
from bench.figures import Figure

from hub.bus.log import Input
from hub.clock import ManualClock, to_us
from hub.commands.rehearse import Stretch, rehearse_log
from hub.engine.backtest import Backtest
from hub.engine.load_text import load_text
from hub.engine.program import Workflow
from hub.events.base import AccountRef
from hub.events.catalogue import BY_NAME
from hub.events.facts import make_fact, stored
from hub.store.sqlite.record import open_record
from hub.store.sqlite.store import open_sqlite
from hub.store.sqlite.wide import insert

TRADES = 100  # of each account: a million events are those of 10,000 accounts
BEGINS = datetime(2026, 1, 1, tzinfo=UTC)
LENGTH = timedelta(days=93)
TARGET = 1_000_000 / 30
_ROW = "partition, n, at, kind, key, ref, sequence, body, rank"
_CHUNK = 500
BONUS = """
schema: 1
id: bonus
title: a bonus by volume
owner: bench
mode: live
key: account
scope: account.currency == "USD"
aggregates:
  lots: {from: trade.closed, where: 'event.symbol_class in ["fx"]', sum: event.lots, window: {calendar: month, tz: Europe/Nicosia}}
  losses: {from: trade.closed, where: event.net_profit < 0, sum: abs(event.net_profit), window: {sliding: 7d}}
when:
  - {id: volume, becomes: lots > 95}
  - {id: loss, becomes: losses > 560}
limit: {max: 1, every: 30d, per: trigger}
steps:
  - {id: pay, do: credit.grant, with: {amount: = lots * 2, comment: "{{ lots }} lots"}}
  - {do: event.publish, with: {type: custom.paid, data: {lots: = lots}}}
"""


def workflow() -> Workflow:
    report = load_text(BONUS, "bonus.yaml")
    assert report.workflow is not None, [str(problem) for problem in report.problems]
    return report.workflow


async def fill(folder: Path, count: int) -> None:
    """Write the log of a hub that ran for three months: every row as the hub itself writes them."""
    async with open_sqlite(folder, ManualClock(BEGINS)):
        pass
    connection = apsw.Connection(str(folder / "hub.db"))
    rows: list[Input] = []
    connection.execute("BEGIN")
    for number in range(count):
        rows.append(_row(number, count))
        if len(rows) == _CHUNK:
            insert(connection, f"INSERT INTO input ({_ROW})", rows)
            rows = []
    insert(connection, f"INSERT INTO input ({_ROW})", rows)
    connection.execute("COMMIT")
    connection.close()


def _row(number: int, count: int) -> Input:
    kind = BY_NAME["trade.closed"]
    moment = BEGINS + LENGTH * number / count
    accounts = count // TRADES
    login = 1000 + number * 7919 % accounts
    profit = f"{number * 31 % 199 - 100}.50"
    data = kind.model.model_construct(
        deal=number + 1,
        position=number + 1,
        symbol="EURUSD",
        symbol_class="fx",
        side="buy",
        lots=f"{(number * 7 % 100 + 1) * 0.05:.2f}",
        profit=profit,
        net_profit=profit,
        closed_at=moment,
    )
    at = to_us(moment)
    fact = make_fact(
        kind,
        kind.name,
        data,
        timestamp=moment,
        received_us=at,
        source="bench",
        account=AccountRef(server="live-1", login=login, group="real/std", currency="USD"),
    )
    sequence = number // accounts + 1
    return Input(
        fact.partition,
        number + 1,
        at,
        1,
        fact.account,
        fact.envelope.id,
        sequence,
        stored(fact.envelope),
        number + 1,
    )


async def run(folder: Path) -> Backtest:
    with open_record(folder) as record:
        return (await rehearse_log(record, [workflow()], Stretch(None, None, None), show=False))[0]


def measure(folder: Path, *, quick: bool) -> list[Figure]:
    count = 50_000 if quick else 200_000
    folder /= "backtest"
    asyncio.run(fill(folder, count))
    before = plain_event.seconds()
    began = time.process_time()
    report = asyncio.run(run(folder))
    spent = time.process_time() - began
    yardstick = (before + plain_event.seconds()) / 2
    assert report.events == count
    assert report.tally.actions["credit.grant"] > 0
    name = "backtest over the hub's log"
    return [
        Figure(
            name,
            count / spent,
            "events/s",
            TARGET,
            "higher",
            beside={
                "CPU µs/event": 1e6 * spent / count,
                "actions": float(sum(report.tally.actions.values())),
            },
        ),
        Figure(
            f"{name}, an event of it",
            spent / count / yardstick,
            "times",
            1 / (TARGET * plain_event.SECONDS),
            ceiling="one typed decoding of a plain event",
            beside={"µs of that": 1e6 * yardstick},
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(fill(Path(name), args.events))
        profile = cProfile.Profile()
        if args.profile:
            profile.enable()
        wall, cpu = time.perf_counter(), time.process_time()
        report = asyncio.run(run(Path(name)))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if args.profile:
            profile.disable()
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)
    print(
        f"{report.events:,} events in {wall:.1f} s ({cpu:.1f} s of CPU); {dict(report.tally.actions)}, {report.tally.held_back}"
    )


if __name__ == "__main__":
    main()
