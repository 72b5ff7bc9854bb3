"""`hub sim`: the simulated broker as a program of its own."""

import asyncio
import json
import signal

from hub.errors import ConfigError
from hub.sim.serve import Options, Simulator


def run_sim(seed: int, ports: tuple[int, int, int], rate: float, zone: str, *, as_json: bool) -> int:
    options = Options(
        seed=seed,
        mt_remote_port=ports[0],
        mt5rest_port=ports[1],
        control_port=ports[2],
        zone=zone,
        events_per_second=max(rate, 0.01),
        traffic=rate > 0,
    )
    asyncio.run(_serve(options, as_json=as_json))
    return 0


async def _serve(options: Options, *, as_json: bool) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    try:
        async with Simulator(options) as simulator:
            print(
                "sim is ready",
                json.dumps(_ready(simulator)) if as_json else "\n" + simulator.describe(),
                flush=True,
            )
            await stopping.wait()
    except OSError as error:
        raise ConfigError(
            f"a port is taken ({error.strerror or error}): choose others, or 0 for any free one"
        ) from error


def _ready(simulator: Simulator) -> dict[str, object]:
    accounts = simulator.broker.accounts.values()
    return {
        "mt_remote_url": simulator.mt_remote_url,
        "mt5rest_url": simulator.mt5rest_url,
        "control_url": simulator.control_url,
        "manager_login": simulator.manager_login,
        "manager_password": simulator.manager_password,
        "accounts": [{"login": a.login, "password": a.password, "platform": a.platform} for a in accounts],
    }
