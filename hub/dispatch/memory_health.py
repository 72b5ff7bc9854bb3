"""How endpoints are, in memory: the same promises as the stores, for tests and for trying things out."""

from typing import final

from typing_extensions import override

from hub.dispatch.health import Health, Healths
from hub.dispatch.outbox import Endpoints
from hub.dispatch.subscriptions import ENABLED


@final
class MemoryHealths(Healths):
    def __init__(self, endpoints: Endpoints | None = None) -> None:
        self._endpoints = endpoints
        self._rows: dict[str, Health] = {}

    @override
    async def get(self, endpoint: str) -> Health | None:
        return self._rows.get(endpoint)

    @override
    async def save(self, health: Health) -> None:
        if health.is_worth_keeping and await self._is_enabled(health.endpoint):
            self._rows[health.endpoint] = health
        else:
            self._rows.pop(health.endpoint, None)

    @override
    async def forget_disabled(self) -> None:
        if self._endpoints is None:
            return
        enabled = {endpoint.id for endpoint in await self._endpoints.all() if endpoint.state == ENABLED}
        self._rows = {name: health for name, health in self._rows.items() if name in enabled}

    async def _is_enabled(self, name: str) -> bool:
        if self._endpoints is None:
            return True
        endpoint = await self._endpoints.get(name)
        return endpoint is not None and endpoint.state == ENABLED
