"""Messages to teams, through whatever they read: Slack, Teams, Telegram, Discord and what else Apprise knows.

No service has a key by which a repeated message would be known: one whose answer was lost is not sent again. The
library is held in processes of its own, because it waits, prints, and can be ended only with them.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Final, final

import structlog
from pydantic import SecretStr, ValidationError
from typing_extensions import override

from hub.clock import Clock
from hub.dispatch.addresses import Networks
from hub.dispatch.channels.chat_meaning import PAUSE_US, meaning
from hub.dispatch.channels.chat_processes import ChatProcesses, Cut, NeverBegun
from hub.dispatch.channels.chat_settings import TeamSettings
from hub.dispatch.channels.chat_wire import Order
from hub.dispatch.channels.rest import Rest
from hub.dispatch.effects.notifier import Declined, Later, Notifier, SendsOnce, Told, Unsure
from hub.dispatch.lateness import too_late
from hub.intents.intent import Intent
from hub.intents.verbs import SendMessage

CHAT: Final = "notify.chat"
PAGE: Final = "notify.page"
LONGEST: Final = 16_384
_TURN_SECONDS: Final = 30.0  # for the messages that are before it

log = structlog.get_logger(__name__)


@final
class ChatChannel(Notifier, SendsOnce):
    """`urls` has the address of each team, which is a secret as a whole. One message goes to a team at a time."""

    def __init__(
        self,
        verb: str,
        settings: TeamSettings,
        urls: Mapping[str, SecretStr],
        clock: Clock,
        *,
        allow_loopback: bool = False,
        networks: Networks = (),
        processes: ChatProcesses | None = None,
    ) -> None:
        self._verb = verb
        self._settings = settings
        self._urls = urls
        self._clock = clock
        self._allow_loopback = allow_loopback
        self._networks = tuple(map(str, networks))
        self._processes = processes or ChatProcesses(settings.processes)
        self._turns = {team: asyncio.Lock() for team in urls}
        # While a team takes nothing from us, nothing is asked.
        self._rests = {team: Rest(clock) for team in urls}

    @property
    @override
    def offers(self) -> frozenset[str]:
        return frozenset({self._verb})

    @property
    @override
    def sends_once(self) -> bool:
        return True

    async def close(self) -> None:
        await self._processes.close()

    @override
    async def send(self, intent: Intent) -> Told:
        try:
            message = SendMessage.model_validate_json(intent.params)
        except ValidationError as problem:
            return Declined(f"the message cannot be read: {problem.errors()[0]['msg']}")
        if message.to is not None or message.team is None:
            return Declined(f"{self._verb} goes to a `team`, which hub.yaml names")
        if message.team not in self._urls:
            return Declined(f"hub.yaml names no such team: {', '.join(sorted(self._urls)[:8])} are there")
        text = (message.text or "").strip()
        if not text:
            return Declined("a message to a team needs `text`")
        if len(text) > LONGEST:
            return Declined(f"the text has {len(text)} characters: at most {LONGEST} are sent")
        return await self._in_turn(intent, message.team, (message.title or "").strip(), text)

    async def _in_turn(self, intent: Intent, team: str, title: str, text: str) -> Told:
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(_TURN_SECONDS):
                    await stack.enter_async_context(self._turns[team])
                    await stack.enter_async_context(self._processes.room())
            except TimeoutError:
                return Later("other messages to teams take their time")
            return await self._hand_over(intent, team, title, text)

    async def _hand_over(self, intent: Intent, team: str, title: str, text: str) -> Told:
        late = too_late(intent, self._clock.now_us())  # it may have waited for its turn
        if late is not None:
            return Declined(late)
        paused_us = self._rests[team].left_us()
        if paused_us:
            return Later("its service takes nothing from us for now", paused_us)
        order = Order(
            self._urls[team].get_secret_value(),
            title,
            text,
            self._verb == PAGE,
            self._settings.timeout_s,
            self._allow_loopback,
            self._networks,
        )
        try:
            done = await self._processes.send(order, self._settings.within)
        except NeverBegun as problem:
            return Later(str(problem))
        except Cut as problem:
            self._rests[team].begin(PAUSE_US)
            return Unsure(f"{problem}: it may have been taken")
        told, ours = meaning(done, self._clock.now_us())
        if ours and isinstance(told, Later):
            log.error("chat.not_set_up", verb=self._verb, team=team, reason=told.reason)
        if isinstance(told, Later) and told.after_us:
            self._rests[team].begin(told.after_us)
        return told
