"""Makes fsync as slow as on a rented disk, for one program, and proves that SQLite inside apsw really feels it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

_SOURCE = Path(__file__).with_name("slowsync.c")
_COMMITS = 20
_PROBE = f"""
import sys, time, apsw
db = apsw.Connection(sys.argv[1])
db.execute("PRAGMA journal_mode=WAL"); db.execute("PRAGMA synchronous=FULL"); db.execute("CREATE TABLE t (x)")
took = []
for number in range({_COMMITS}):
    began = time.perf_counter()
    db.execute("INSERT INTO t VALUES (?)", (number,))
    took.append(time.perf_counter() - began)
print(min(took))
"""


def slow_sync(folder: Path, delay: timedelta) -> Mapping[str, str] | str:
    """Return the environment in which fsync takes longer, or why there is none on this machine."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return "no C compiler (cc) on this machine"
    library = folder / "slowsync.so"
    built = subprocess.run(
        [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl"],
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        return f"the shim does not compile: {built.stderr.strip()}"
    environment = {"LD_PRELOAD": str(library), "SYNC_US": str(delay // timedelta(microseconds=1))}
    # The quickest of the commits: through the shim none can be quicker than the delay, however busy the machine is.
    quickest = _quickest_commit(folder, environment)
    if quickest < delay.total_seconds():
        return f"apsw's SQLite does not go through the shim: a commit took {quickest * 1e3:.2f} ms"
    return environment


def _quickest_commit(folder: Path, environment: Mapping[str, str]) -> float:
    """Return seconds."""
    path = folder / "probe.db"
    ran = subprocess.run(
        [sys.executable, "-c", _PROBE, str(path)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(ran.stdout)
