"""Follows a run as it goes: a line now and then, and the longest that anything acknowledged waited to be delivered."""

import asyncio
import time
from collections.abc import Awaitable, Collection, Sequence
from typing import TypeVar

from chaos.faults import Hand
from processes.receiver import VerifyingReceiver

T = TypeVar("T")

LOOK = 0.25
SAY_EVERY = 10.0


class Watch:
    """`acknowledged` may grow meanwhile; times are those at which it was looked."""

    def __init__(
        self, acknowledged: Collection[str], receiver: VerifyingReceiver, hands: Sequence[Hand]
    ) -> None:
        self._acknowledged = acknowledged
        self._receiver = receiver
        self._hands = hands
        self._owed: dict[str, tuple[float, str]] = {}  # since when, and what struck then
        self._known = 0
        self._longest = (0.0, "nothing")
        self._began = time.monotonic()

    async def while_doing(self, work: Awaitable[T]) -> T:
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(self._keep_looking())
            done = await work
            looking.cancel()
        return done

    async def _keep_looking(self) -> None:
        said = self._began
        while True:
            self._look()
            if time.monotonic() - said >= SAY_EVERY:
                said = time.monotonic()
                print(self._line(), flush=True)
            await asyncio.sleep(LOOK)

    def _look(self) -> None:
        now, accepted = time.monotonic(), self._receiver.accepted
        if len(self._acknowledged) > self._known:
            striking = self._striking()
            for name in self._acknowledged:
                if name not in accepted:
                    self._owed.setdefault(name, (now, striking))
            self._known = len(self._acknowledged)
        for since, striking in self._owed.values():
            self._longest = max(self._longest, (now - since, striking))
        self._owed = {name: since for name, since in self._owed.items() if name not in accepted}

    def _striking(self) -> str:
        return " and ".join(hand.playing for hand in self._hands if hand.playing) or "nothing"

    def _line(self) -> str:
        faults = sum(sum(hand.played.values()) for hand in self._hands)
        oldest = min((since for since, _ in self._owed.values()), default=time.monotonic())
        return (
            f"{time.monotonic() - self._began:4.0f} s: {faults} faults were, now {self._striking()};"
            f" {len(self._acknowledged)} acknowledged, {len(self._receiver.accepted)} delivered, {len(self._owed)} owed,"
            f" the oldest for {time.monotonic() - oldest:.1f} s"
        )

    def longest(self) -> str:
        seconds, striking = self._longest
        return f"longest from acknowledged to delivered {seconds:.1f} s, acknowledged under {striking}"
