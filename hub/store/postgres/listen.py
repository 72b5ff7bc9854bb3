"""Hears what the hub's other processes have to tell: one connection of its own, made again whenever it is lost."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, final

import asyncpg
import structlog

from hub.clock import MICROSECOND, Clock
from hub.dispatch.waiting import until
from hub.store.postgres.database import failure
from hub.store.postgres.notices import CHANNELS
from hub.store.postgres.session import ALIVE, Session

_FIRST_WAIT = timedelta(milliseconds=100)
_LONGEST_WAIT = timedelta(seconds=5)
_HEARTBEAT = timedelta(seconds=10)  # a connection that a firewall forgot says nothing by itself
_ANSWER_SECONDS = 10.0

OnNotice = Callable[[str, str], None]
OnGap = Callable[[], None]

log = structlog.get_logger(__name__)


@final
class Listener:
    """`on_notice` gets (channel, payload); `on_gap` is called whenever notices may have been missed, the first time too."""

    def __init__(
        self,
        dsn: str,
        clock: Clock,
        *,
        on_notice: OnNotice,
        on_gap: OnGap,
        channels: Sequence[str] = CHANNELS,
    ) -> None:
        self._dsn = dsn
        self._clock = clock
        self._on_notice = on_notice
        self._on_gap = on_gap
        self._channels = channels
        self._wait = _FIRST_WAIT

    async def run(self, stopping: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(self._listen_on())
            await stopping.wait()
            listening.cancel()

    async def _listen_on(self) -> None:
        while True:
            try:
                await self._listen()
                log.warning("notices.connection_lost")
            except (
                asyncpg.PostgresError,
                asyncpg.InterfaceError,
                asyncpg.InternalClientError,
                OSError,
            ) as error:
                log.warning("notices.unheard", reason=str(failure(error)))
            await self._clock.sleep(self._wait)
            self._wait = min(self._wait * 2, _LONGEST_WAIT)

    async def _listen(self) -> None:
        """Hear notices until the connection is lost."""
        connection = await asyncpg.connect(
            self._dsn,
            timeout=_ANSWER_SECONDS,
            command_timeout=_ANSWER_SECONDS,
            connection_class=Session,
            server_settings={**ALIVE, "application_name": "hub notices"},
        )
        try:
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _: lost.set())
            for channel in self._channels:
                await connection.add_listener(channel, self._heard)
            self._wait = _FIRST_WAIT
            # From here on everything is heard; what was written before has to be looked for.
            self._on_gap()
            while not connection.is_closed():
                await until(self._clock, self._clock.now_us() + _HEARTBEAT // MICROSECOND, lost)
                if not connection.is_closed():
                    await connection.execute("SELECT 1")
        finally:
            connection.terminate()

    def _heard(self, _connection: Any, _process: int, channel: str, payload: object) -> None:
        try:
            self._on_notice(channel, str(payload))
        except Exception:
            # The hearer's bug: later notices must still be heard.
            log.exception("notices.hearer_failed", channel=channel)
