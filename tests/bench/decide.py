"""`decide` from stored bytes with 1, 100 and 500 workflows, five of which look at each event, against decoding alone.

Judged is the best of the repeats, of what is measured and of its yardstick, as `timeit` says: it computes, and waits for
nothing, so whatever took longer another time was somebody else's work on the machine. The range stands beside it.
"""

import gc
import random
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from bench import bench_decide, plain_event
from bench.figures import Figure
from bench.measure import middle

from hub import garbage
from hub.bus.log import Input, InputKind
from hub.clock import to_us
from hub.engine.decide import advance
from hub.engine.decision import NOTHING, BatchBuilder
from hub.engine.index import Program
from hub.engine.state import KeyState
from hub.events.base import AccountRef
from hub.events.catalogue import BY_NAME
from hub.events.facts import make_fact, stored
from hub.events.records import decode_data, decode_envelope
from hub.events.trade import TradeClosed
from hub.ids import partition_of

TARGET = 100_000.0
ACCOUNTS = 10_000
FIRES = 0.01
_BATCH = 256
_TOUCHED = 5  # workflows of one group, in bench_decide


def measure(repeats: int, *, quick: bool) -> list[Figure]:
    count = 20_000 if quick else 60_000
    return [figure for size in (1, 100, 500) for figure in _figures(size, count, repeats)]


def _figures(size: int, count: int, repeats: int) -> list[Figure]:
    program = Program([bench_decide.workflow(number) for number in range(size)])
    rows = inputs(ACCOUNTS + count, groups=max(size // _TOUCHED, 1))
    first, measured = rows[:ACCOUNTS], rows[ACCOUNTS:]
    rates, decodes, yardsticks, fired = [], [], [], 0
    for _ in range(repeats):
        deciding = Deciding(program, rows)
        deciding.all(first)  # every account once: what is measured is an engine that knows them
        deciding.fired = 0
        garbage.settle()  # as the hub does when it has started
        rates.append(len(measured) / _seconds(deciding.all, measured))
        fired = deciding.fired
        decodes.append(len(measured) / _seconds(_decode, measured))
        yardsticks.append(plain_event.seconds())
        gc.unfreeze()
    name = f"decide, {size} workflow{'s' if size > 1 else ''}, from stored bytes"
    costs = [1 / (rate * yardstick) for rate, yardstick in zip(rates, yardsticks, strict=True)]
    best, yardstick = max(rates), min(yardsticks)
    rate = Figure(
        name,
        best,
        "events/s",
        TARGET if size == 500 else None,
        "higher",
        samples=rates,
        ceiling="decoding alone",
        beside={
            "CPU µs/event": 1e6 / best,
            "median/s": middle(rates),
            "times decoding": middle([decode / rate for decode, rate in zip(decodes, rates, strict=True)]),
            "workflows touched": float(min(size, _TOUCHED)),
            "fired %": 100 * fired / len(measured),
        },
    )
    if size < 500:
        return [rate]
    relative = Figure(
        f"{name}, an event of it",
        1 / (best * yardstick),
        "times",
        1 / (TARGET * plain_event.SECONDS),
        samples=costs,
        ceiling="one typed decoding of a plain event",
        beside={"µs of that": 1e6 * yardstick, "median of the repeats": middle(costs)},
    )
    return [rate, relative]


def inputs(count: int, groups: int) -> list[Input]:
    """Return closed trades of all accounts in turn, one in a hundred of them large enough to fire."""
    dice = random.Random(1)
    kind, rows = BY_NAME["trade.closed"], []
    for number in range(count):
        login = 1000 + number % ACCOUNTS
        group = f"real/g{login % groups}"
        account = AccountRef(server="live-1", login=login, group=group, currency="USD")
        moment = bench_decide.START + timedelta(milliseconds=20 * number)
        lots = 5.0 if dice.random() < FIRES else dice.randint(1, 490) / 100
        profit = "-12.50" if number % 3 == 0 else "8.00"
        data = TradeClosed.model_validate(
            {
                "deal": number + 1,
                "position": number + 1,
                "symbol": "EURUSD",
                "symbol_class": "fx",
                "side": "buy",
                "lots": f"{lots:.2f}",
                "profit": profit,
                "net_profit": profit,
                "closed_at": moment,
            }
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
        name, body = fact.envelope.id, stored(fact.envelope)
        partition = partition_of("live-1", login)
        rows.append(Input(partition, number + 1, to_us(moment), InputKind.EVENT, fact.account, name, 1, body))
    return rows


class Deciding:
    """Decides rows one after another and collects each batch's writes, as the engine's loop does."""

    def __init__(self, program: Program, rows: Sequence[Input]) -> None:
        self._program = program
        self._states = {row.key: KeyState(row.partition, row.key) for row in rows}
        self.fired = 0

    def all(self, rows: Sequence[Input]) -> None:
        for first in range(0, len(rows), _BATCH):
            batch = BatchBuilder()
            for row in rows[first : first + _BATCH]:
                for decision in advance(self._program, self._states[row.key], row):
                    batch.add(decision)
                    if decision.writes is not NOTHING:
                        self.fired += len(decision.intents)


def _decode(rows: Sequence[Input]) -> None:
    for row in rows:
        decode_data(decode_envelope(row.body))


def _seconds(work: Callable[[Sequence[Input]], None], rows: Sequence[Input]) -> float:
    began = time.process_time()
    work(rows)
    return time.process_time() - began
