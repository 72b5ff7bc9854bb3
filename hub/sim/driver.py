"""Keeps the simulated day going by the clock."""

import asyncio
from datetime import timedelta

from hub.clock import MICROSECOND, Clock
from hub.sim.broker import Broker


class Driver:
    def __init__(
        self, broker: Broker, clock: Clock, *, cadence: timedelta = timedelta(milliseconds=100)
    ) -> None:
        self._broker = broker
        self._clock = clock
        self._cadence = cadence
        self.traffic = True

    def stop_traffic(self) -> None:
        """Let traders and prices rest: from here on nothing happens that nobody asked for."""
        self.traffic = False

    def start_traffic(self) -> None:
        self.traffic = True

    async def run(self, stopping: asyncio.Event) -> None:
        last = self._clock.now_us()
        while not stopping.is_set():
            await self._clock.sleep(self._cadence)
            now = self._clock.now_us()
            self._broker.move_to(now)
            if self.traffic:
                self._broker.run_market()
                self._broker.run_traders((now - last) * MICROSECOND)
            last = now
