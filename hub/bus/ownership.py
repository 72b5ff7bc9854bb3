"""What this process owns among the processes of its kind: taken by lease, kept by renewing, handed over in good order.

    taken ──on_gained──▶ held ──no longer ours──▶ on_lost ──▶ released
                          │
                          └─ not renewed in time: refused at once, then on_lost

Time is read again at every question, from the clock that never goes back and counts while a process is stopped. So a
process that was stopped for longer than its leases finds, before it does anything else, that it owns nothing.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import final

import structlog

from hub.bus.lease import Lease, Leases
from hub.bus.members import share
from hub.clock import Clock
from hub.errors import ConfigError, LeaseLost, StoreError, StoreUnavailable

LEASE_FOR = timedelta(seconds=10)
MARGIN = timedelta(seconds=2)
TICKS = 3  # a lease is renewed so often in its time

log = structlog.get_logger(__name__)

Told = Callable[[Sequence[str]], Awaitable[None]]


@dataclass(slots=True)
class _Tenure:
    """One time of holding one name. `ends` is on the monotonic clock, the margin already taken off."""

    lease: Lease
    ends: float
    told: bool = False
    leaving: bool = False


@final
class Ownership:
    """One of these a process and kind of thing; the lease of a thing is called `<kind>:<name>`.

    `member` must be unique to this run of the process: two that share it would take each other's leases for their own.
    `names` are all the things there are now, whoever owns them.

    `on_gained` and `on_lost` are awaited one at a time, never both at once. While `on_gained` runs the names are ours
    already. While `on_lost` runs in a hand-over they still are, so that what is in flight can be written; after a loss
    they are not. When `on_lost` returns, work on the names must have stopped. Leases are renewed meanwhile, but nothing
    else is taken or handed over: both should be done within a lease. A StoreError in `on_gained` gives the names
    back, told by `on_lost`, to be taken again later.
    """

    def __init__(
        self,
        leases: Leases,
        clock: Clock,
        random: Random,
        *,
        kind: str,
        member: str,
        names: Callable[[], Collection[str]],
        on_gained: Told,
        on_lost: Told,
        lease: timedelta = LEASE_FOR,
        margin: timedelta = MARGIN,
    ) -> None:
        if not timedelta() < margin <= lease / 4:  # two renewals may fail before the margin begins
            raise ConfigError(
                f"a lease of {lease} needs a margin above 0 and of at most {lease / 4}, not {margin}"
            )
        self._leases = leases
        self._clock = clock
        self._random = random
        self._kind = kind
        self._member = member
        self._names = names
        self._on_gained = on_gained
        self._on_lost = on_lost
        self._lease = lease
        self._margin = margin
        self._lasts = (lease - margin).total_seconds()
        self._tenures: dict[str, _Tenure] = {}
        self._tenure_number = 0
        self._owed: deque[Lease] = deque()  # ours no more, and not yet released
        self._membership: Lease | None = None
        self._share: tuple[frozenset[str], frozenset[str], frozenset[str]] | None = None
        self._settled_at: float | None = None
        self._trouble = "it has not been looked at yet"
        self._missed: dict[str, float] = {}
        self._leaving = False
        self._left = False
        self._settling = asyncio.Lock()
        self._keeping = asyncio.Lock()
        self._telling = asyncio.Lock()

    def holds(self, name: str) -> bool:
        """Return whether this is ours at this very moment; what a sender asks right before it sends."""
        tenure = self._tenures.get(name)
        return tenure is not None and self._clock.monotonic() < tenure.ends

    def held(self) -> Sequence[str]:
        """Return the names to work on; those not yet told to `on_gained`, or being handed over, are not among them."""
        now = self._clock.monotonic()
        return sorted(
            name
            for name, tenure in self._tenures.items()
            if tenure.told and not tenure.leaving and now < tenure.ends
        )

    def fence(self, names: Collection[str]) -> Sequence[Lease]:
        """Return the leases that prove these are ours; raises LeaseLost when one of them is not."""
        now = self._clock.monotonic()
        proof: list[Lease] = []
        for name in names:
            tenure = self._tenures.get(name)
            if tenure is None or now >= tenure.ends:
                raise LeaseLost(f"{self._kind}:{name} is not held by this process: it stops writing")
            proof.append(tenure.lease)
        return proof

    def handing_over(self) -> tuple[object, ...] | None:
        """Return what whoever works on it was told to leave and has not left; None where there is nothing of the kind."""
        leaving = tuple(name for name, tenure in self._tenures.items() if tenure.told and tenure.leaving)
        return (self._tenure_number, *leaving) if leaving else None

    def problem(self) -> str | None:
        """Return why this process does not own what it should, in a sentence; None when it does."""
        now, patience = self._clock.monotonic(), self._lease.total_seconds()
        if self._settled_at is None:
            return f"this process owns no {self._kind} yet: {self._trouble}"
        if now - self._settled_at > patience:
            reason = self._trouble or "taking over or handing over is not finished"
            return (
                f"who owns which {self._kind} was last settled {now - self._settled_at:.0f} s ago: {reason}"
            )
        for name, since in self._missed.items():
            if now - since > patience:
                return f"{self._kind}:{name} is free, and could not be taken for {now - since:.0f} s"
        return None

    async def run(self, stopping: asyncio.Event) -> None:
        """Own until told to stop, then hand everything over."""
        async with asyncio.TaskGroup() as group:
            # Apart from each other: neither a slow callback nor a slow store may hold up a renewal or the watch.
            tasks = [group.create_task(loop()) for loop in (self._keep_on, self._watch, self._settle_on)]
            await stopping.wait()
            await self.leave()
            for task in tasks:
                task.cancel()

    async def _keep_on(self) -> None:
        while True:
            kept = await self.keep()
            await self._clock.sleep(self._tick() if kept else self._margin / 4)

    async def _watch(self) -> None:
        while True:
            await self.drop_lapsed()
            await self._clock.sleep(self._margin / 4)

    async def _settle_on(self) -> None:
        while True:
            waiting = await self.settle()
            await self._clock.sleep(self._margin / 4 if waiting else self._tick())

    def _tick(self) -> timedelta:
        return self._lease / TICKS * (0.9 + 0.2 * self._random.random())

    async def keep(self) -> bool:
        """Renew the membership and every lease; return whether the store answered."""
        async with self._keeping:
            if self._left:
                return True
            try:
                await self._renew()
                if self._membership is None:
                    await self._join()
            except StoreError as problem:
                self._note("ownership.not_renewed", problem)
                return False
            return True

    async def _renew(self) -> None:
        asked = self._clock.monotonic()
        membership = self._membership
        asking = {name: tenure for name, tenure in self._tenures.items() if asked < tenure.ends}
        wanted = [tenure.lease for tenure in asking.values()]
        renewed = await self._answer(
            self._leases.renew([*wanted, membership] if membership else wanted, self._lease)
        )
        answer = {lease.name: lease for lease in renewed}
        if membership is not None:
            self._membership = answer.get(membership.name)
        now = self._clock.monotonic()
        for tenure in asking.values():
            lease = answer.get(tenure.lease.name)
            if lease is None:
                tenure.ends = min(tenure.ends, now)
            elif now < tenure.ends:  # what was refused once stays refused, until `on_lost` has heard of it
                tenure.lease = lease
                # Counted from before the question: the store, too, began to count after that.
                tenure.ends = asked + self._lasts

    async def _join(self) -> None:
        name = f"member:{self._kind}:{self._member}"
        self._membership = await self._leases.take(name, self._member, self._lease)
        if self._membership is None:
            raise StoreError(f"{name} is held by another process: give each its own name")

    async def drop_lapsed(self) -> None:
        """Tell of what could not be renewed in time. It was refused from that moment on; here the work learns of it."""
        now = self._clock.monotonic()
        lapsed = [name for name, tenure in self._tenures.items() if now >= tenure.ends and not tenure.leaving]
        if lapsed:
            log.warning("ownership.lapsed", kind=self._kind, names=len(lapsed))
            await self._let_go(lapsed)

    async def settle(self) -> bool:
        """Take what is ours and free, hand over what is no longer ours; return whether to look again soon."""
        async with self._settling:
            if self._leaving:
                return False
            if self._membership is None and not await self.keep():
                return True
            try:
                await self._release_owed()
                mine = await self._mine()
                free = mine - await self._elsewhere()
                trouble = await self._take(free)
                await self._tell_gained()
                await self._let_go(
                    [
                        name
                        for name, tenure in self._tenures.items()
                        if name not in mine and not tenure.leaving
                    ]
                )
                await self._release_owed()
                if trouble is not None:
                    raise trouble
            except StoreError as problem:
                self._note("ownership.not_settled", problem)
                return True
            self._trouble = ""
            self._settled_at = now = self._clock.monotonic()
            self._missed = {
                name: self._missed.get(name, now) for name in sorted(free) if name not in self._tenures
            }
            return not mine <= self._tenures.keys()

    async def _mine(self) -> frozenset[str]:
        leases = await self._answer(self._leases.held(f"member:{self._kind}:"))
        members = frozenset(lease.owner for lease in leases) | {self._member}
        names = frozenset(self._names())
        if self._share is None or self._share[:2] != (names, members):
            plan = share(names, members)
            self._share = names, members, frozenset(n for n, member in plan.items() if member == self._member)
        return self._share[2]

    async def _elsewhere(self) -> frozenset[str]:
        prefix = f"{self._kind}:"
        leases = await self._answer(self._leases.held(prefix))
        return frozenset(lease.name.removeprefix(prefix) for lease in leases if lease.owner != self._owner())

    def _owner(self) -> str:
        # Another name for every time of holding, so that the epoch rises even when we take again what we just lost:
        # a transaction of the time before must not pass for one of the new.
        return f"{self._member}/{self._tenure_number}"

    async def _take(self, free: frozenset[str]) -> StoreError | None:
        # In no fixed order: one that makes trouble every time must not be in the way of always the same others.
        names = sorted(free - self._tenures.keys())
        self._random.shuffle(names)
        for name in names:
            if self._leaving:
                break
            asked = self._clock.monotonic()
            try:
                lease = await self._leases.take(f"{self._kind}:{name}", self._owner(), self._lease)
            except StoreError as problem:
                return problem
            if lease is not None:
                self._tenures[name] = _Tenure(lease, asked + self._lasts)
        return None

    async def _tell_gained(self) -> None:
        async with self._telling:
            gained = sorted(
                name for name, tenure in self._tenures.items() if not tenure.told and self.holds(name)
            )
            if not gained:
                return
            for name in gained:
                self._tenures[name].told = True
            log.info("ownership.gained", kind=self._kind, names=len(gained))
            try:
                await self._on_gained(gained)
                return
            except StoreError as problem:
                log.warning("ownership.not_begun", kind=self._kind, reason=str(problem))
        # What lapsed meanwhile is let go already, by who saw it lapse.
        await self._let_go([name for name in gained if not self._tenures[name].leaving])

    async def _let_go(self, names: Collection[str]) -> None:
        for name in names:
            self._tenures[name].leaving = True
        told = sorted(name for name in names if self._tenures[name].told)
        async with self._telling:
            if told:
                log.info("ownership.lost", kind=self._kind, names=len(told))
                try:
                    await self._on_lost(told)
                except (
                    StoreError
                ) as problem:  # what could not be written the next owner does again, as after a crash
                    log.warning("ownership.not_ended", kind=self._kind, reason=str(problem))
        # Only now may they be taken again: before, the old work could have passed under the new lease.
        self._owed.extend(self._tenures.pop(name).lease for name in names)
        self._tenure_number += bool(names)

    async def _release_owed(self) -> None:
        while self._owed:
            await self._leases.release(self._owed[0])
            self._owed.popleft()

    async def _answer(self, asked: Awaitable[list[Lease]]) -> list[Lease]:
        # A connection that died without a word must leave time to ask over another before the leases end.
        try:
            async with asyncio.timeout(self._lease.total_seconds() / TICKS):
                return await asked
        except TimeoutError as error:
            raise StoreUnavailable("the store of the leases did not answer in time") from error

    def _note(self, event: str, problem: StoreError) -> None:
        if (
            str(problem) != self._trouble
        ):  # asked twice a second, a store that is away says the same each time
            log.warning(event, kind=self._kind, reason=str(problem))
        self._trouble = str(problem)

    async def leave(self) -> None:
        """Hand everything over, the membership last, and take nothing more."""
        self._leaving = True
        async with self._settling:
            await self._let_go([name for name, tenure in self._tenures.items() if not tenure.leaving])
            async with self._keeping:
                self._left = True
                try:
                    await self._release_owed()
                    if self._membership is not None:
                        await self._leases.release(self._membership)
                except StoreError as problem:  # they run out by themselves
                    log.warning("ownership.not_released", kind=self._kind, reason=str(problem))
