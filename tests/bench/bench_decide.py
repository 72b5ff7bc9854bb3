"""How fast `decide` is: 500 workflows, 10,000 accounts, each event touching 5 of them and 2 aggregates, 1 % firing.

Run it as a program; it prints events a second on one core, decoding from stored bytes and applying included.
"""

import argparse
import cProfile
import gc
import pstats
import time
from datetime import UTC, datetime, timedelta

from hub.bus.log import Input, InputKind
from hub.clock import to_us
from hub.engine.decide import advance, decide
from hub.engine.decision import BatchBuilder
from hub.engine.index import Program
from hub.engine.load_text import load_text
from hub.engine.program import Workflow
from hub.engine.state import KeyState
from hub.events.base import AccountRef
from hub.events.catalogue import BY_NAME
from hub.events.facts import make_fact, stored
from hub.events.trade import TradeClosed
from hub.ids import partition_of

GROUPS = 100
START = datetime(2026, 6, 1, tzinfo=UTC)


def workflow(number: int) -> Workflow:
    """Five workflows share a group; all read one of two aggregates, and one in a hundred of its events fires one."""
    group, place = divmod(number, 5)
    aggregates = """
aggregates:
  lots:
    from: trade.closed
    sum: event.lots
    window: {calendar: month, tz: Europe/Nicosia}
  losses:
    from: trade.closed
    where: event.net_profit < 0
    count: true
    window: {sliding: 7d}
"""
    trigger = (
        "when: [{event: trade.closed, where: event.lots > 4.95}]"
        if place == 0
        else f"when: [{{becomes: lots > {100_000 + number}}}]"
        if place < 3
        else "when: [{event: trade.closed, where: losses > 100000 and event.lots > 3}]"
    )
    text = f"""
schema: 1
id: rule-{number}
title: rule {number}
owner: bench
mode: live
key: account
scope: account.group == "real/g{group}"
{aggregates}
{trigger}
steps:
  - do: event.publish
    with: {{type: custom.bench, data: {{rule: 1}}}}
"""
    report = load_text(text, f"rule-{number}.yaml")
    assert report.workflow is not None, [str(problem) for problem in report.problems]
    return report.workflow


def inputs(count: int, accounts: int) -> list[Input]:
    kind, rows = BY_NAME["trade.closed"], []
    for number in range(count):
        login = 1000 + number % accounts
        account = AccountRef(server="live-1", login=login, group=f"real/g{login % GROUPS}", currency="USD")
        moment = START + timedelta(milliseconds=20 * number)
        data = TradeClosed(
            deal=number + 1,
            position=number + 1,
            symbol="EURUSD",
            symbol_class="fx",
            side="buy",
            lots=f"{(number * 7 % 100 + 1) * 0.05:.2f}",
            profit="-12.50" if number % 3 == 0 else "8.00",
            net_profit="-12.50" if number % 3 == 0 else "8.00",
            closed_at=moment,
        )
        fact = make_fact(
            kind,
            kind.name,
            data,
            timestamp=moment,
            received_us=to_us(moment),
            source="bench",
            account=account,
        )
        partition = partition_of("live-1", login)
        rows.append(
            Input(
                partition,
                number + 1,
                to_us(moment),
                InputKind.EVENT,
                fact.account,
                fact.envelope.id,
                1,
                stored(fact.envelope),
            )
        )
    return rows


def measure(events: int, accounts: int) -> None:
    program = Program([workflow(number) for number in range(GROUPS * 5)])
    rows = inputs(events, accounts)
    states = {row.key: KeyState(row.partition, row.key) for row in rows}
    for row in rows[:accounts]:
        advance(program, states[row.key], row)
    rows = rows[accounts:]
    gc.collect()
    gc.freeze()  # as the hub does when it has started

    began = time.process_time()
    for row in rows:
        decide(program, states[row.key], row)
    say("decide, from stored bytes", len(rows), time.process_time() - began)

    fired, began = 0, time.process_time()
    for first in range(0, len(rows), 256):
        builder = BatchBuilder()
        for row in rows[first : first + 256]:
            for decision in advance(program, states[row.key], row):
                builder.add(decision)
                fired += len(decision.intents)
        builder.build()
    say("decided, applied and encoded as batches", len(rows), time.process_time() - began)
    print(f"{fired / len(rows):.1%} of the events fired")


def say(what: str, events: int, seconds: float) -> None:
    print(f"{what}: {events / seconds:,.0f} events/s of CPU ({seconds / events * 1e6:.1f} µs each)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args()
    if args.profile:
        profile = cProfile.Profile()
        profile.runcall(measure, args.events, args.accounts)
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
    else:
        measure(args.events, args.accounts)


if __name__ == "__main__":
    main()
