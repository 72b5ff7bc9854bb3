"""Messages and devices in memory, for tests of those who need them."""

from collections.abc import Sequence
from typing import final

from typing_extensions import override

from hub.bus.pages import BadCursor, Page
from hub.dispatch.devices import MOST_DEVICES, Device, Devices
from hub.dispatch.messages import Listed, Message, Messages, Report, after_report
from hub.intents.intent import State


@final
class MemoryMessages(Messages):
    """`states` says how the intents of messages stand."""

    def __init__(self) -> None:
        self.all: dict[str, Message] = {}
        self.states: dict[str, State] = {}

    def add(self, message: Message) -> None:
        self.all.setdefault(message.id, message)

    @override
    async def get(self, message_id: str) -> Message | None:
        return self.all.get(message_id)

    @override
    async def numbered(self, message_id: str, ref: str) -> None:
        known = self.all.get(message_id)
        if known is not None and not known.ref:
            self.all[message_id] = known._replace(ref=ref)

    @override
    async def reported(self, message_id: str, report: Report) -> Message | None:
        known = self.all.get(message_id)
        told = after_report(known, report) if known is not None else None
        if told is not None:
            self.all[message_id] = told
        return told

    @override
    async def of_client(self, client: str, *, after: str, limit: int) -> Page[Listed]:
        if after and not after.isdigit():
            raise BadCursor(after)
        found = [message for message in self.all.values() if message.client == client]
        found.sort(key=lambda message: (message.at, message.id), reverse=True)
        start = int(after or 0)
        shown = [
            Listed(message, self.states.get(message.intent), "", 0)
            for message in found[start : start + limit]
        ]
        return Page(shown, str(start + limit) if len(found) > start + limit else None)


@final
class MemoryDevices(Devices):
    """`linked` is whose an account is."""

    def __init__(self) -> None:
        self.all: dict[str, Device] = {}
        self.linked: dict[str, str] = {}

    @override
    async def put(self, device: Device, *, most: int = MOST_DEVICES) -> bool:
        known = self.all.get(device.id)
        had = known is not None and known.client == device.client
        self.all[device.id] = device._replace(added_at=known.added_at) if known and had else device
        others = [each for each in await self.of_client(device.client) if each.id != device.id]
        for each in others[most - 1 :]:
            del self.all[each.id]
        return not had

    @override
    async def remove(self, client: str, device_id: str) -> bool:
        known = self.all.get(device_id)
        if known is None or known.client != client:
            return False
        del self.all[device_id]
        return True

    @override
    async def drop(self, device_id: str, token_seen_at: int) -> bool:
        known = self.all.get(device_id)
        if known is None or known.seen_at > token_seen_at:
            return False
        del self.all[device_id]
        return True

    @override
    async def of_client(self, client: str) -> Sequence[Device]:
        found = [device for device in self.all.values() if device.client == client]
        return sorted(found, key=lambda device: (device.seen_at, device.id), reverse=True)

    @override
    async def reached_by(self, client: str | None, account: str) -> Sequence[Device]:
        whose = client or self.linked.get(account)
        return await self.of_client(whose) if whose is not None else []
