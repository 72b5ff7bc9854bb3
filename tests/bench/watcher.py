"""The level watcher: a thousand samples against four levels each, and positions against theirs; none of them crossed."""

import random
import time
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
from bench.figures import Figure
from bench.measure import middle

from hub.events.watched import Rule, encode_rule
from hub.ids import partition_of
from hub.ingest.gaps import Unvouched
from hub.ingest.levels import LevelTable
from hub.ingest.open_positions import OpenPositions
from hub.ingest.reading import FIELDS, Reading
from hub.ingest.samples import PositionSample, Sample

ACCOUNTS = 10_000
SAMPLES = 1_000
LEVELS = 4
HELD = 1_000  # positions of one account
_TURNS = 200


class Level(msgspec.Struct, frozen=True):
    partition: int
    level_id: str
    key: str
    field: str
    side: str
    threshold: str
    rearm: str
    generation: int
    state: str
    rule: str = ""
    peak: str = ""


def measure(repeats: int, *, quick: bool) -> list[Figure]:
    dice = random.Random(1)
    table = LevelTable()
    for login in range(ACCOUNTS):
        for number in range(LEVELS):
            field = FIELDS[number]
            partition = partition_of("bench-1", login)
            name, key = f"{login}-{number}", f"bench-1:{login}"
            table.put(Level(partition, name, key, field, "below", str(100 + number), "", 1, "armed"))
    logins = dice.sample(range(ACCOUNTS), SAMPLES)
    readings = [
        Reading(
            f"bench-1:{login}",
            "bench-1",
            login,
            (Decimal("1000.25"), Decimal("900.5"), Decimal("800.75"), Decimal(700)),
            1,
        )
        for login in logins
    ]
    rows = np.array([table.row_of(reading.key) for reading in readings], dtype=np.intp)
    values = np.array([[float(value or 0) for value in reading.values] for reading in readings])
    bare_values, bare_limits = values[:, 0].copy(), np.full((SAMPLES, LEVELS), 100.0)
    turns = _TURNS // 4 if quick else _TURNS
    compared, whole, bare = [], [], []
    for _ in range(repeats):
        began = time.process_time()
        for _ in range(turns):
            assert not table.compare(rows, values)[0].size
        compared.append((time.process_time() - began) / turns * 1e6)
        began = time.process_time()
        for _ in range(turns):
            assert not np.nonzero(bare_values[:, None] <= bare_limits)[0].size
        bare.append((time.process_time() - began) / turns * 1e6)
        began = time.process_time()
        for _ in range(turns // 10):
            assert not table.hits(readings)
        whole.append((time.process_time() - began) / (turns // 10) * 1e6)
    return [
        Figure(
            f"watcher, {SAMPLES:,} samples against {LEVELS} levels each",
            middle(compared),
            "µs",
            60.0,
            samples=compared,
            ceiling="one bare numpy comparison of as many numbers",
            beside={
                "bare": middle(bare),
                "times it": middle([mine / ceiling for mine, ceiling in zip(compared, bare, strict=True)]),
                "with the decimals turned into floats": middle(whole),
            },
        ),
        _positions(repeats, quick=quick),
    ]


def _positions(repeats: int, *, quick: bool) -> Figure:
    """Measure samples that tell positions: all of them watched, and beside it none."""
    positions = tuple(PositionSample(ticket, Decimal("12.34"), Decimal("1.0962")) for ticket in range(HELD))
    account = Reading("bench-1:7", "bench-1", 7, (Decimal(1000), None, None, None), 1)
    nothing: dict[str, Any] = dict.fromkeys(
        ("balance", "credit", "margin", "free_margin", "margin_level", "floating"), None
    )
    sample = Sample("bench-1", 7, Decimal(1000), **nothing, at=1, positions=positions)
    table, watched, unwatched = LevelTable(), OpenPositions(), OpenPositions()
    rule = encode_rule(Rule(login=7))
    for ticket in range(HELD):
        key = f"position=bench-1:{ticket}"
        level = Level(0, str(ticket), key, "profit", "above", "100", "", 1, "armed", rule)
        table.put(level)
        watched.follow(level)
    turns, doubted = (5 if quick else 20), Unvouched()
    seen, ignored = [], []
    for _ in range(repeats):
        began = time.process_time()
        for _ in range(turns):
            assert not table.hits(watched.see(sample, account, doubted))
        seen.append((time.process_time() - began) / turns / HELD * 1e6)
        began = time.process_time()
        for _ in range(turns):
            assert not unwatched.see(sample, account, doubted)
        ignored.append((time.process_time() - began) / turns / HELD * 1e6)
    return Figure(
        "watcher, a sampled position against its level",
        middle(seen),
        "µs",
        15.0,
        samples=seen,
        beside={"where nobody watches any": middle(ignored)},
    )
