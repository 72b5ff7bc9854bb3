"""A command as somebody types it, about a hub that runs."""

import os
import subprocess

from processes.harness import HUB, HubProcess


def typed(hub: HubProcess, *arguments: str, key: str = "") -> tuple[int, str, str]:
    """Return its exit code and what it printed and complained; `key` is the hub's own when left out."""
    done = subprocess.run(
        [HUB, *arguments],
        env={**os.environ, "HUB_KEY": key or hub.key, "HUB_URL": hub.url},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr
