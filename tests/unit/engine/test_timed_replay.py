"""Schedules, queues and starts decide the same, byte for byte, whatever order hashes come in."""

import os
import subprocess
import sys
from pathlib import Path

STORY = """
import re
from datetime import timedelta
from unit.engine.desk import MORNING, Desk
from unit.engine.test_queued import queued, trades
from unit.engine.test_schedules import daily
from unit.engine.test_starts import GIVEN, ask, refunds

desk = Desk(daily(id="a"), daily("*/7 * * * *", ", catch_up: all", id="b"), queued(id="c"), queued(", max: 1", id="d"), refunds())
desk.account(currency="USD")
trades(desk, "1", "2", "3")
ask(desk)
desk.until(MORNING + timedelta(hours=9))
desk.now += 40 * 3600 * 10**6
desk.until(MORNING + timedelta(hours=90))
assert len(desk.runs) > 100
print(re.sub("0x[0-9a-f]+", "", repr(desk.written())))
"""


def told(seed: str) -> bytes:
    tests = Path(__file__).parents[2]
    environment = {
        **os.environ,
        "PYTHONHASHSEED": seed,
        "PYTHONPATH": f"{tests}{os.pathsep}{tests.parent}",
    }
    command = [sys.executable, "-c", STORY]
    done = subprocess.run(command, capture_output=True, env=environment, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_two_hash_seeds_decide_the_same() -> None:
    assert told("1") == told("4711")
