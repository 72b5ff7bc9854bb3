"""The hub and the simulated broker as real processes, with everything a test needs to talk to them."""

import json
import os
import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from processes.preloaded import HUB as HUB
from processes.program import Program

_READY = r"^hub is ready at (http://\S+)\s*$"
_KEY = r"admin key: (hub_\S+)"


# Below those that connections are given: one of these, once free, soon belongs to whoever connects to anything. Each of the
# processes that run tests side by side has a stretch of its own, and goes round in it.
_FIRST_PORT, _PORTS_EACH = 10_000, 2_000
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 11
_ports = count(os.getpid() % _PORTS_EACH)


def free_port() -> int:
    """Return a port nobody listens on now. For programs that must come back on the same one."""
    while True:
        port = _FIRST_PORT + _WORKER * _PORTS_EACH + next(_ports) % _PORTS_EACH
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class HubProcess:
    """A hub on one data folder, or one process of several. It comes back on the same port with the same key after `kill`.

    `key` is that of a hub somebody else started first; `hub` is the command to run in the place of the real one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        config: Mapping[str, Any] | None = None,
        workflows: Sequence[Path] = (),
        environment: Mapping[str, str] | None = None,
        roles: Sequence[str] = (),
        key: str = "",
        hub: Sequence[str] = (HUB,),
    ) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.key = key
        self.starts = 0
        command = [*hub, "run", "--data", str(folder / "data"), "--port", str(self.port)]
        command.append("--allow-loopback-endpoints")
        if config is not None:
            path = folder / "hub.yaml"
            # JSON is YAML, and quotes every string.
            path.write_text(json.dumps(config, indent=2), encoding="utf-8")
            command += ["--config", str(path)]
        for path in workflows:
            command += ["--workflows", str(path)]
        for role in roles:
            command += ["--role", role]
        self.program = Program(command, folder / "hub.log", environment=environment)

    @property
    def data(self) -> Path:
        return self._folder / "data"

    @property
    def headers(self) -> dict[str, str]:
        return {"X-API-Key": self.key}

    async def start(self, *, within: float = 30.0) -> None:
        await self.program.start(_READY, within=within)
        self.starts += 1
        if not self.key:
            self.key = _only(_KEY, self.program.output())

    async def kill(self) -> None:
        self.program.insist()
        await self.program.kill()

    async def stop(self) -> int:
        self.program.insist()
        return await self.program.stop()


@dataclass(frozen=True, slots=True)
class SimAccount:
    login: int
    password: str
    platform: str


class SimProcess:
    """The simulated broker; its ledger outlives every hub."""

    def __init__(
        self, folder: Path, *, seed: int = 1, rate: float = 5.0, zone: str = "Europe/Nicosia"
    ) -> None:
        command = [HUB, "sim", "--json", "--seed", str(seed), "--rate", str(rate), "--zone", zone]
        for name in ("mt-remote", "mt5rest", "control"):
            command += [f"--{name}-port", "0"]
        self.zone = zone
        self.program = Program(command, folder / "sim.log")
        self.mt_remote_url = self.mt5rest_url = self.control_url = self.manager_password = ""
        self.manager_login = 0
        self.accounts: tuple[SimAccount, ...] = ()

    async def start(self) -> None:
        ready = await self.program.start(r"^sim is ready (\{.*\})\s*$")
        told = json.loads(ready.group(1))
        self.mt_remote_url = told["mt_remote_url"]
        self.mt5rest_url = told["mt5rest_url"]
        self.control_url = told["control_url"]
        self.manager_login = told["manager_login"]
        self.manager_password = told["manager_password"]
        self.accounts = tuple(SimAccount(**account) for account in told["accounts"])

    def on(self, platform: str) -> list[SimAccount]:
        return [account for account in self.accounts if account.platform == platform]

    async def stop(self) -> int:
        return await self.program.stop()


def _only(pattern: str, text: str) -> str:
    found = set(re.findall(pattern, text))
    assert len(found) == 1, (
        f"the first start of a hub says {pattern!r} once, this one said {found or 'nothing'}:\n{text}"
    )
    return str(found.pop())
