"""What follows from an attempt beside its outcome: addresses nothing is sent to any more, dead tokens, numbers of messages.

All of it is done before the outcome is written, and may be done twice: a crash between them loses nothing.
"""

from collections.abc import Awaitable, Callable
from typing import Final, final

from hub.clock import SECOND_US, Clock
from hub.dispatch.contacts import Suppression, Suppressions
from hub.dispatch.devices import Devices
from hub.dispatch.effects.notifier import (
    Bounced,
    Declined,
    Later,
    News,
    OptedOut,
    SenderRefused,
    Sent,
    TokenDead,
    Told,
)
from hub.dispatch.messages import Messages, message_id
from hub.events.operations import AddressClosed, ChannelRefused, TokenInvalidated
from hub.intents.contact import CHANNELS
from hub.intents.intent import Intent

Said = AddressClosed | TokenInvalidated | ChannelRefused
BOUNCED: Final = "notification.bounced"
UNSUBSCRIBED: Final = "notification.unsubscribed"
TOKEN_DEAD: Final = "notification.token_invalidated"  # noqa: S105 - the name of an event
SENDER_REFUSED: Final = "notification.sender_refused"
_DAY_US: Final = 86_400 * SECOND_US
_BY: Final = "hub"
_REASON: Final = 256

Announce = Callable[[str, Said, str], Awaitable[None]]
"""Tells an event by its type; the last is the key that makes telling it twice harmless."""


@final
class Aftermath:
    def __init__(
        self,
        messages: Messages,
        suppressions: Suppressions,
        devices: Devices,
        announce: Announce,
        clock: Clock,
    ) -> None:
        self._messages = messages
        self._suppressions = suppressions
        self._devices = devices
        self._announce = announce
        self._clock = clock

    async def of(self, intent: Intent, told: Told) -> None:
        """Do what follows from an attempt. Raises StoreUnavailable: then it is to be asked for again."""
        if isinstance(told, Sent) and told.ref and intent.verb in CHANNELS:
            await self._messages.numbered(message_id(intent.key), told.ref)
        if isinstance(told, Sent | Declined | Later):
            for news in told.news:
                await self.heard(news, message_id(intent.key))

    async def heard(self, news: News, message: str) -> None:
        """Take in what a channel told of an address or a device, on account of a message."""
        match news:
            case Bounced(channel, address, reason):
                await self._close(BOUNCED, channel, address, f"bounced: {reason}", message)
            case OptedOut(channel, address, reason):
                await self._close(UNSUBSCRIBED, channel, address, f"opted out: {reason}", message)
            case TokenDead(device, client, seen_at, reason):
                said = TokenInvalidated(token=device, client=client, reason=reason)
                await self._announce(TOKEN_DEAD, said, f"{device}:{seen_at}:dead")
                await self._devices.drop(device, seen_at)
            case SenderRefused(channel, sender, reason):
                # Every message finds it out: it is told once a day.
                day = self._clock.now_us() // _DAY_US
                refused = ChannelRefused(channel=channel, sender=sender, reason=reason)
                await self._announce(SENDER_REFUSED, refused, f"{channel}:{sender}:{reason}:{day}")

    async def unsubscribed(self, address: str, channel: str, category: str, message: str) -> None:
        """Close the way of one category to an address, as whoever is there has asked."""
        await self._close(UNSUBSCRIBED, channel, address, "unsubscribed", message, category)

    async def _close(
        self, kind: str, channel: str, address: str, reason: str, message: str, category: str = ""
    ) -> None:
        known = await self._messages.get(message)
        reason = reason[:_REASON]
        entry = Suppression.of(
            "address",
            address,
            f"{channel}/{category}" if category else channel,
            reason,
            _BY,
            self._clock.now_us(),
        )
        await self._suppressions.add(entry)
        said = AddressClosed(
            message=message,
            channel=channel,
            address=entry.value,
            category=category or None,
            client=known.client or None if known is not None else None,
            reason=reason,
        )
        await self._announce(kind, said, f"{message}:{kind}")
