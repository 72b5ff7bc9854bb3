"""The level watcher: a thousand samples against four levels each, none of them crossed."""

import random
import time
from decimal import Decimal

import msgspec
import numpy as np
from bench.figures import Figure
from bench.measure import middle

from hub.ids import partition_of
from hub.ingest.levels import LevelTable
from hub.ingest.reading import FIELDS, Reading

ACCOUNTS = 10_000
SAMPLES = 1_000
LEVELS = 4
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
        )
    ]
