"""Deliveries to endpoints that are Kafka topics: one record each, with the request's headers, in the account's partition."""

import zlib
from typing import Final, final

import yarl
from typing_extensions import override

from hub.bus.kafka.producer import Line
from hub.bus.kafka.settings import KafkaSettings
from hub.clock import Clock
from hub.dispatch.delivery import Delivered, ErrorClass, Outcome, Unreachable
from hub.dispatch.request_maker import KEY_HEADER
from hub.dispatch.safe_http import Headers, Transport
from hub.errors import StoreUnavailable

# Headers of HTTP that say nothing in a record.
_OF_HTTP: Final = frozenset({"Accept", "Accept-Encoding", "User-Agent"})


@final
class KafkaDestination(Transport):
    """Acknowledged by all replicas in sync is delivered; what is not comes again on the endpoint's schedule."""

    def __init__(self, settings: KafkaSettings, clock: Clock) -> None:
        self._line = Line(settings, safe=True)
        self._clock = clock
        self._partitions: dict[str, int] = {}

    async def close(self) -> None:
        await self._line.close()

    @override
    async def send(self, url: yarl.URL, headers: Headers, body: bytes) -> Outcome:
        topic, key = url.path, headers.pop(KEY_HEADER, "").encode()
        started = self._clock.monotonic()
        said = [(name.lower(), value.encode()) for name, value in headers.items() if name not in _OF_HTTP]
        try:
            partition = await self._partition(topic, key or headers["webhook-id"].encode())
            await self._line.tell(topic, [(partition, body, key, said)])
        except StoreUnavailable as problem:
            return Unreachable(ErrorClass.CONNECT, str(problem)[:200], self._since(started))
        return Delivered(200, self._since(started), f"acknowledged in partition {partition}".encode())

    async def _partition(self, topic: str, key: bytes) -> int:
        count = self._partitions.get(topic)
        if count is None:
            count = self._partitions[topic] = await self._line.partitions(topic)
        return zlib.crc32(key) % count

    def _since(self, started: float) -> int:
        return int((self._clock.monotonic() - started) * 1e6)
