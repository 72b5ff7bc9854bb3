"""`decide` from stored bytes with 1, 100 and 500 workflows, five of which look at each event, against decoding alone.

The rate is judged at quiet moments, by the quickest fiftieth of pieces of some milliseconds: it computes, and waits for nothing,
so what takes longer another time is somebody else's work on the same core, which on a shared machine comes and goes within
milliseconds. The median stands beside it, and the slowest. What an event takes is judged at any moment, by the yardstick
right before it.
"""

import gc
import random
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from bench import bench_decide, plain_event
from bench.figures import Figure
from bench.measure import middle, percentile

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
FIRES_EVERY = 100
EVENT = int(InputKind.EVENT)  # as a store gives it
QUIET = 0.02  # of all pieces: those nobody disturbed, and not the one that a clock misread
_BATCH = 256
_PIECE = 500  # events, some five milliseconds
_YARDSTICK = 1000  # decodings, some half a millisecond right before each piece
_TOUCHED = 5  # workflows of one group, in bench_decide


def measure(repeats: int, *, quick: bool) -> list[Figure]:
    count = 20_000 if quick else 60_000
    return [figure for size in (1, 100, 500) for figure in _figures(size, count, repeats)]


def _figures(size: int, count: int, repeats: int) -> list[Figure]:
    program = Program([bench_decide.workflow(number) for number in range(size)])
    rows = inputs(ACCOUNTS + count, groups=max(size // _TOUCHED, 1))
    first, measured = rows[:ACCOUNTS], rows[ACCOUNTS:]
    costs: list[float] = []  # seconds an event, of each piece
    decodings: list[float] = []
    yardsticks: list[float] = []
    fired = 0
    for _ in range(repeats):
        deciding = Deciding(program, rows)
        deciding.all(first)  # every account once: what is measured is an engine that knows them
        deciding.fired = 0
        garbage.settle()  # as the hub does when it has started
        for begin in range(0, count, _PIECE):
            yardsticks.append(plain_event.seconds(_YARDSTICK))
            costs.append(_seconds_each(deciding.all, measured[begin : begin + _PIECE]))
        fired = deciding.fired
        decodings += [
            _seconds_each(_decode, measured[each : each + _PIECE]) for each in range(0, count, _PIECE)
        ]
        gc.unfreeze()
    cost, decoding = percentile(costs, QUIET), percentile(decodings, QUIET)
    ratios = [each / yardstick for each, yardstick in zip(costs, yardsticks, strict=True)]
    name = f"decide, {size} workflow{'s' if size > 1 else ''}, from stored bytes"
    rate = Figure(
        name,
        1 / cost,
        "events/s",
        TARGET if size == 500 else None,
        "higher",
        samples=[1 / percentile(costs, 1 - QUIET), 1 / cost],
        ceiling="decoding alone",
        beside={
            "CPU µs/event": 1e6 * cost,
            "median/s": 1 / middle(costs),
            "times decoding": cost / decoding,
            "workflows touched": float(min(size, _TOUCHED)),
            "fired %": 100 * fired / count,
        },
    )
    if size < 500:
        return [rate]
    relative = Figure(
        f"{name}, an event of it",
        middle(ratios),
        "times",
        1 / (TARGET * plain_event.SECONDS),
        samples=[percentile(ratios, QUIET), percentile(ratios, 1 - QUIET)],
        ceiling="one typed decoding of a plain event",
        beside={
            "µs of that": 1e6 * middle(yardsticks),
            "at quiet moments": 1e6 * percentile(yardsticks, QUIET),
        },
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
        # Each time round others fire, and as many in every piece.
        lots = 5.0 if (number + number // ACCOUNTS) % FIRES_EVERY == 0 else dice.randint(1, 490) / 100
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
        rows.append(Input(partition, number + 1, to_us(moment), EVENT, fact.account, name, 1, body))
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


def _seconds_each(work: Callable[[Sequence[Input]], None], rows: Sequence[Input]) -> float:
    began = time.process_time()
    work(rows)
    return (time.process_time() - began) / len(rows)
