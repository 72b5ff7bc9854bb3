"""A command as somebody types it."""

import os
import tempfile
from collections.abc import Mapping

from processes.harness import HUB, HubProcess
from processes.preloaded import start

_LONGEST = 90.0


def ran(*arguments: str, environment: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Return the exit code of a `hub` command, and what it printed and complained."""
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as complained:
        process = start([HUB, *arguments], {**os.environ, **(environment or {})}, printed, complained)
        try:
            code = process.wait(_LONGEST)
        except BaseException:
            process.kill()
            process.wait()
            raise
        printed.seek(0)
        complained.seek(0)
        return code, printed.read().decode(), complained.read().decode()


def typed(hub: HubProcess, *arguments: str, key: str = "") -> tuple[int, str, str]:
    """Return its exit code and what it printed and complained; `key` is the hub's own when left out."""
    code, out, error = ran(*arguments, environment={"HUB_KEY": key or hub.key, "HUB_URL": hub.url})
    assert "Traceback" not in error, error
    return code, out, error
