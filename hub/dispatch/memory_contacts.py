"""Contacts and suppressions in memory, for tests of those who need them."""

from collections.abc import Sequence
from typing import final

from typing_extensions import override

from hub.dispatch.contacts import (
    Asked,
    Contacts,
    Known,
    Suppression,
    Suppressions,
    counted_for,
    message_of,
    refusal,
    too_many,
    ways,
)
from hub.dispatch.memory_messages import MemoryMessages


@final
class MemoryContacts(Contacts, Suppressions):
    """`records` are clients' records as JSON, `linked` whose an account is, `not_sent` intents that came to nothing."""

    def __init__(self) -> None:
        self.records: dict[str, bytes] = {}
        self.linked: dict[str, str] = {}
        self.not_sent: set[str] = set()
        self._entries: dict[str, Suppression] = {}
        self._contacts: dict[str, tuple[str, str, int]] = {}
        self.messages = MemoryMessages()

    @override
    async def admit(self, asked: Asked) -> str | None:
        client = asked.client or self.linked.get(asked.account)
        self.messages.add(message_of(asked, client, ""))
        record = self.records.get(client) if client is not None else None
        fitting = [
            entry
            for entry in sorted(self._entries.values())
            if entry.value == (asked.address if entry.kind == "address" else client)
            and entry.channel in ways(asked.channel, asked.category)
        ]
        refused = refusal(asked, Known(client, record, fitting[0].reason if fitting else None))
        if refused is not None or asked.most is None or asked.intent in self._contacts:
            return refused
        name = counted_for(asked, client)
        had = sum(
            (whose, category) == (name, asked.category) and at > asked.since and intent not in self.not_sent
            for intent, (whose, category, at) in self._contacts.items()
        )
        refused = too_many(asked, had)
        if refused is None:
            self._contacts[asked.intent] = (name, asked.category, asked.at)
        return refused

    @override
    async def add(self, entry: Suppression) -> bool:
        is_new = entry.id not in self._entries
        self._entries[entry.id] = entry
        return is_new

    @override
    async def remove(self, entry_id: str) -> bool:
        return self._entries.pop(entry_id, None) is not None

    @override
    async def list(self, *, after: str, limit: int) -> Sequence[Suppression]:
        return [self._entries[name] for name in sorted(self._entries) if name > after][:limit]
