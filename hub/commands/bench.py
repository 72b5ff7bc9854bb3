"""`hub bench`: the benchmarks live with the tests, so this needs the source checkout."""

import subprocess
import sys
from pathlib import Path

import hub
from hub.errors import ConfigError


def run_bench(output: Path, *, quick: bool) -> int:
    script = Path(hub.__file__).parent.parent / "tests" / "bench" / "run.py"
    if not script.exists():
        raise ConfigError(
            "the benchmarks are not installed with the package: run `make bench` in a source checkout"
        )
    command = [sys.executable, str(script), "--json", str(output)] + (["--quick"] if quick else [])
    return subprocess.run(command, check=False).returncode  # noqa: S603 (our own script, our own arguments)
