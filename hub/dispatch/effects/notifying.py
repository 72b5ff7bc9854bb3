"""One message from due to its outcome: whether it may go, the one attempt, and what follows from it."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from random import Random
from typing import Final, final

import msgspec
import structlog

from hub.clock import Clock
from hub.dispatch.contacts import ContactGate
from hub.dispatch.effects import machine, notices
from hub.dispatch.effects.aftermath import Aftermath
from hub.dispatch.effects.machine import Step
from hub.dispatch.effects.notifier import Later, Notifier, SendsOnce, Told, Unsure
from hub.dispatch.lateness import too_late
from hub.errors import StoreUnavailable
from hub.intents.intent import Intent

STORE_RETRY: Final = timedelta(seconds=1)
MayGo = Callable[[Intent], Awaitable[bool]]
Move = Callable[[Intent, Step], Awaitable[bool]]

log = structlog.get_logger(__name__)


@final
class Notifying:
    def __init__(
        self,
        notifiers: Iterable[Notifier],
        clock: Clock,
        random: Random,
        *,
        gate: ContactGate | None,
        aftermath: Aftermath | None,
    ) -> None:
        self._notifiers = {verb: notifier for notifier in notifiers for verb in notifier.offers}
        self._clock = clock
        self._random = random
        self._gate = gate
        self._aftermath = aftermath

    async def carry_out(self, intent: Intent, may_go: MayGo, move: Move) -> None:
        """Make one attempt, if there may be one, and have written where the message stands."""
        notifier = self._notifiers.get(intent.verb)
        if notifier is None:
            await move(intent, machine.reject(intent, f"no configured channel offers {intent.verb}"))
            return
        if not await may_go(intent):
            return
        refused = await self._refusal(intent) or too_late(intent, self._clock.now_us())
        if refused is not None:
            await move(intent, notices.suppressed(intent, refused))
            return
        once = isinstance(notifier, SendsOnce) and notifier.sends_once
        if once:
            sending = notices.begin(intent, self._clock.now_us())
            if not await move(intent, Step(sending, None)):
                return
            intent = sending
        told: Told
        try:
            told = await notifier.send(intent)
        except Exception as bug:
            log.exception("notification.channel_failed", intent=intent.key)
            reason = f"the channel failed: {type(bug).__name__}"
            told = Unsure(reason) if once else Later(reason)
        await self._follow(intent, told)
        await move(intent, notices.after_attempt(intent, told, self._clock.now_us(), self._random))

    async def _refusal(self, intent: Intent) -> str | None:
        """Return why a message may not go; until the store says so or otherwise it is not sent."""
        while self._gate is not None:
            try:
                return await self._gate.refusal(intent)
            except StoreUnavailable as problem:
                log.warning("notification.not_asked", intent=intent.key, reason=str(problem))
                await self._clock.sleep(STORE_RETRY)
            except (msgspec.DecodeError, msgspec.ValidationError) as problem:
                return f"its parameters cannot be read: {problem}"
        return None

    async def _follow(self, intent: Intent, told: Told) -> None:
        """Do what follows from an attempt beside its outcome, before that is written: a crash must not forget it."""
        while self._aftermath is not None:
            try:
                await self._aftermath.of(intent, told)
            except StoreUnavailable as problem:
                log.warning("notification.unwritten", intent=intent.key, reason=str(problem))
                await self._clock.sleep(STORE_RETRY)
            else:
                return
