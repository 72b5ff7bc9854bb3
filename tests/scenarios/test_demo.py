"""The demo as a newcomer runs it: everything at once, over real sockets, and the books are right at the end."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HUB = [sys.executable, "-m", "hub"]


@pytest.mark.scenario
def test_the_demo_loses_nothing_doubles_nothing_and_says_so() -> None:
    done = subprocess.run(
        [*HUB, "demo", "--for", "10s", "--json", "--rate", "25"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = json.loads(done.stdout.splitlines()[-1])

    assert done.returncode == 0, (said, done.stderr)
    assert said["ok"]
    assert said["wrong"] == []
    assert said["deliveries"]["sent"] == said["deliveries"]["verified"] == sum(said["events"].values())
    assert said["deliveries"]["failed"] == 0
    assert said["events"]["trade.opened"] > 20
    assert said["manager_effects"]["applied"] == said["manager_effects"]["asked"] > 0
    assert said["manager_effects"]["duplicates"] == 0
    assert said["mails"]["asked"] == said["mails"]["received"] > 0
    assert {"deposit-notice", "loss-alert", "volume-bonus-instant"} <= said["runs"].keys()
