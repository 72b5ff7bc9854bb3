"""The service that carries intents out: pulls what is due, routes it by verb, and writes every step down first."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import timedelta
from random import Random
from typing import final

import msgspec
import structlog

from hub.bus.log import InputKind, NewInput
from hub.clock import MICROSECOND, Clock
from hub.dispatch.contacts import ContactGate
from hub.dispatch.effects import fresh, machine, notices, requests, set_back
from hub.dispatch.effects.aftermath import Aftermath
from hub.dispatch.effects.backend import Executed, Found, ManagerBackend, Seen, Unknown, Unreadable
from hub.dispatch.effects.lanes import Lanes
from hub.dispatch.effects.machine import Step, Timing
from hub.dispatch.effects.notifier import Notifier
from hub.dispatch.effects.notifying import STORE_RETRY, Notifying
from hub.dispatch.effects.requests import Asked, Requester, Unanswered
from hub.dispatch.effects.set_back import is_manager as _is_manager
from hub.dispatch.effects.slots import Slots
from hub.dispatch.outbox import Intents, Move
from hub.dispatch.set_back import SetBack
from hub.dispatch.waiting import until
from hub.errors import StoreUnavailable
from hub.intents.checks import without_checks
from hub.intents.gate import Gate, Go, Hold, Open, Refuse
from hub.intents.intent import Intent, State, decided_by
from hub.intents.outcome import encode_outcome

BATCH = 256
IN_FLIGHT = 32
NOT_ARMED = "live manager writes are off: start with --arm"
HELD_BACK = timedelta(milliseconds=250)
SHUT = timedelta(seconds=1)  # how long a shut gate is not asked again
ALL = ""
_EVERYTHING = 1_000_000

log = structlog.get_logger(__name__)


def _everything(_server: str) -> bool:
    return True


@final
class ActionWorker:
    """Call `wake` after intents were committed. One of these owns a server's intents, by lease.

    `control` and `owns` are asked on the last steps before something is sent: the former before it is written down as being
    sent, for what is written so may have happened.
    """

    def __init__(
        self,
        intents: Intents,
        clock: Clock,
        *,
        backends: Iterable[ManagerBackend] = (),
        notifiers: Iterable[Notifier] = (),
        requesters: Iterable[Requester] = (),
        armed: bool = False,
        random: Random,
        timing: Timing | None = None,
        in_flight: int = IN_FLIGHT,
        owns: Callable[[str], bool] = _everything,
        gate: ContactGate | None = None,
        control: Gate | None = None,
        aftermath: Aftermath | None = None,
    ) -> None:
        self._intents = intents
        self._clock = clock
        self._backends = {backend.server: backend for backend in backends}
        self._requesters = {verb: requester for requester in requesters for verb in requester.offers}
        self._armed = armed
        self._notifying = Notifying(notifiers, clock, random, gate=gate, aftermath=aftermath)
        self._timing = timing or Timing()
        self._owns = owns
        self._control = control or Open()
        # Until when, on the monotonic clock, actions of a workflow, or ALL, or one of them, are not looked at.
        self._shut: dict[str, float] = {}
        self._lanes = Lanes()
        self._running = Slots(in_flight)
        self._held_back = 0
        self._set_back = SetBack(clock)
        self._called = asyncio.Event()
        self.counts: dict[State, int] = dict.fromkeys(State, 0)
        self._turns = 0

    def wake(self) -> None:
        self._called.set()

    def mark(self) -> tuple[object, ...] | None:
        """Return what changes while due intents are looked at; None where none is due."""
        due = self._intents.next_due()
        if due is None or due > self._clock.now_us():
            return None
        return self._turns, sum(self.counts.values())

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until `stopping` is set and what is in flight has its outcome on disk; call `wake` after setting it."""
        await self.recover()
        back_us = 0
        async with asyncio.TaskGroup() as group:
            while not stopping.is_set():
                try:
                    back_us += self._set_back.by_us()
                    if back_us:
                        await self._put_right(back_us)
                        back_us = 0
                    started = await self.step(group)
                    self._turns += 1
                except StoreUnavailable as problem:
                    log.warning("actions.unread", reason=str(problem))
                    await self._clock.sleep(STORE_RETRY)
                    continue
                if not started and not stopping.is_set():
                    await until(self._clock, self._next_moment(), self._called)

    async def recover(self) -> None:
        """Make everything that was being sent unknown, and learn which accounts have something open."""
        now_us = self._clock.now_us()
        for intent in await self._intents.in_state(State.SENDING, _EVERYTHING):
            if _is_manager(intent):
                await self._move(intent, machine.recover(intent, now_us, self._timing))
            elif intent.verb in self._requesters:
                await self._move(intent, requests.recover(intent))
            else:
                await self._move(intent, notices.recover(intent))
        for state in (State.UNKNOWN, State.READY):
            for intent in await self._intents.in_state(state, _EVERYTHING):
                if _is_manager(intent):
                    self._lanes.stands(intent)
        await self._put_right()

    async def _put_right(self, back_us: int = 0) -> None:
        """Have what a clock wrote that ran ahead be due by its schedule; `back_us` is by how much it was set back, if known."""
        for state in (State.UNKNOWN, State.READY):
            found = await self._intents.in_state(state, _EVERYTHING)
            idle = [intent for intent in found if intent.key not in self._running]
            moves = set_back.put_right(idle, self._timing, self._clock.now_us(), back_us)
            made: list[bool] = []
            for n in range(0, len(moves), BATCH):
                made += await self._intents.move(moves[n : n + BATCH])
            # What somebody else has moved meanwhile does not stand as it was read.
            for move, done in zip(moves, made, strict=True):
                if done and _is_manager(move.after):
                    self._lanes.stands(move.after)
            if moves:
                log.warning("actions.put_right", intents=len(moves))

    async def step(self, group: asyncio.TaskGroup) -> int:
        """Start what is due and may go; return how many were started."""
        if self._running.full:
            return 0
        limit = BATCH + len(self._running) + 2 * self._held_back
        self._reopen()
        busy = self._running.keys()
        due = await self._intents.due(self._clock.now_us(), limit)
        started = 0
        self._held_back = 0
        passed: set[tuple[str, bool]] = set()
        for intent in due:
            if not self._running.free_for(intent.priority):
                break  # nor is there room for what comes after it: that is no more urgent
            # What was on its way while it was read may have ended since: as it was read, it would go once more.
            if intent.key in busy or self._is_shut(intent):
                if _is_manager(intent):
                    passed.add((intent.account, machine.is_money(intent.verb)))
                self._held_back += 1
                continue
            if _is_manager(intent):
                lane = (intent.account, machine.is_money(intent.verb))
                # Whoever is passed over keeps its place: a later one of the same lane must not overtake it.
                overtakes = lane in passed and not self._lanes.holds(intent)
                if overtakes or not self._lanes.may_go(intent):
                    passed.add(lane)
                    self._held_back += 1
                    continue
                self._lanes.enter(intent)
            self._running.take(intent.key, intent.priority)
            group.create_task(self._carry_out(intent))
            started += 1
        return started

    def _next_moment(self) -> int | None:
        if self._running.full:
            return None  # whoever ends calls
        now_us = self._clock.now_us()
        due = self._intents.next_due()
        if due is not None and due <= now_us:
            # It is in flight or held back, and hides what is due after it: look again before long.
            due = now_us + (SHUT if ALL in self._shut else HELD_BACK) // MICROSECOND
        opened = self._lanes.next_due(now_us)
        return min((moment for moment in (due, opened) if moment is not None), default=None)

    async def _carry_out(self, intent: Intent) -> None:
        try:
            if _is_manager(intent):
                await self._manage(intent)
            elif intent.verb in self._requesters:
                await self._request(self._requesters[intent.verb], intent)
            else:
                await self._notifying.carry_out(intent, self._may_go, self._move)
        finally:
            self._running.leave(intent.key)
            if _is_manager(intent):
                self._lanes.leave(intent.account)
            self._called.set()

    # --- manager actions

    async def _manage(self, intent: Intent) -> None:
        backend = self._backend(intent)
        if intent.state is State.UNKNOWN:
            if backend is not None:
                await self._look(backend, intent)
            else:
                # Nothing can be proven about it here: it waits for a backend that can read.
                seen = Unreadable(f"no configured backend can look for {intent.verb} of {intent.account}")
                await self._move(intent, machine.after_look(intent, seen, self._clock.now_us(), self._timing))
        elif backend is None:
            reason = f"no configured backend offers {intent.verb} for {intent.account or 'no account'}"
            await self._move(intent, machine.reject(intent, reason))
        elif not self._armed and not backend.simulated:
            await self._move(intent, machine.reject(intent, NOT_ARMED))
        else:
            await self._send(backend, intent)

    async def _send(self, backend: ManagerBackend, intent: Intent) -> None:
        if not await self._may_go(intent):
            return
        try:
            why, read = await fresh.guarded(backend, intent)
        except fresh.Unasked as problem:
            step = machine.not_yet(intent, str(problem), self._clock.now_us(), self._timing)
            await self._move(intent, step)
            return
        if why:
            await self._move(intent, machine.reject(intent, why, before=fresh.told(read)))
            return
        if read is not None and not await self._may_go(intent):  # to read took a while
            return
        sending = machine.begin(intent, self._clock.now_us())
        if not await self._move(intent, Step(sending, None)):
            return  # somebody else has it now: nothing was sent
        if not self._owns(backend.server):
            # The lease ended on the way, perhaps because this process was stopped. Whoever has it now looks before sending.
            log.warning("action.server_of_another", intent=intent.key, server=backend.server)
            return
        step = machine.after_execute(
            sending,
            await self._execute(backend, without_checks(sending)),
            self._clock.now_us(),
            self._timing,
        )
        if step.after.state is State.APPLIED and sending.sends > 1 and machine.is_money(sending.verb):
            step = await self._with_duplicates(backend, step)
        await self._move(sending, await self._verified(backend, sending, step))

    async def _verified(self, backend: ManagerBackend, before: Intent, step: Step) -> Step:
        """Return the step with what its `verify` says to it; what cannot be asked now is looked at again."""
        if step.after.state is not State.APPLIED:
            return step
        try:
            why, read = await fresh.verified(backend, before)
        except fresh.Unasked as problem:
            now_us, reason = self._clock.now_us(), f"applied, but {problem}"
            if before.state is State.UNKNOWN:
                return machine.after_look(before, Unreadable(reason), now_us, self._timing)
            return machine.unread(before, reason, now_us, self._timing)
        return machine.unverified(step, why, fresh.told(read)) if why else step

    async def _with_duplicates(self, backend: ManagerBackend, step: Step) -> Step:
        """Look once more after a second send that was applied: the first may have arrived late after all."""
        seen = await self._read(backend, step.after)
        if not isinstance(seen, Found) or step.outcome is None:
            return step
        incident = machine.duplicate(step.after, seen.tickets)
        return step._replace(outcome=msgspec.structs.replace(step.outcome, incident=incident))

    async def _look(self, backend: ManagerBackend, intent: Intent) -> None:
        seen = await self._read(backend, intent)
        step = machine.after_look(intent, seen, self._clock.now_us(), self._timing)
        await self._move(intent, await self._verified(backend, intent, step))

    @staticmethod
    async def _execute(backend: ManagerBackend, intent: Intent) -> Executed:
        try:
            return await backend.execute(intent)
        except Exception as bug:
            # A backend that raises has broken its promise, perhaps after it sent something.
            log.exception("action.backend_failed", intent=intent.key)
            return Unknown(f"the backend failed: {type(bug).__name__}")

    @staticmethod
    async def _read(backend: ManagerBackend, intent: Intent) -> Seen:
        try:
            return await backend.look(without_checks(intent))
        except Exception as bug:
            log.exception("action.look_failed", intent=intent.key)
            return Unreadable(f"the backend failed: {type(bug).__name__}")

    def _backend(self, intent: Intent) -> ManagerBackend | None:
        server, _, _ = intent.account.rpartition(":")
        backend = self._backends.get(server)
        return backend if backend is not None and intent.verb in backend.offers else None

    # --- requests

    async def _request(self, requester: Requester, intent: Intent) -> None:
        """Ask once. One that must not be asked twice is written down before, as an action is."""
        if not await self._may_go(intent):
            return
        if not requester.repeatable(intent):
            sending = requests.begin(intent, self._clock.now_us())
            if not await self._move(intent, Step(sending, None)):
                return
            intent = sending
        asked: Asked
        try:
            asked = await requester.ask(intent)
        except Exception as bug:
            log.exception("request.channel_failed", intent=intent.key)
            asked = Unanswered(f"the channel failed: {type(bug).__name__}", sent=True)
        await self._move(intent, requests.after_ask(intent, asked, again=requester.repeatable(intent)))

    # --- whether it may

    async def _may_go(self, intent: Intent) -> bool:
        """Ask the gate; what it refuses has ended here, and what it holds stays due as it is."""
        opens_at = self._clock.monotonic() + SHUT.total_seconds()
        try:
            answer = await self._control.ask(intent)
        except Exception as problem:  # whatever it is, nobody can say that it may be sent
            log.warning("action.gate_unanswered", intent=intent.key, reason=str(problem))
            self._shut[intent.key] = opens_at
            return False
        match answer:
            case Go():
                return True
            case Refuse(reason):
                await self._move(intent, machine.stop(intent, reason))
            case Hold(reason, workflow):
                log.info("action.held", intent=intent.key, reason=reason)
                self._shut[workflow] = opens_at
        return False

    def _reopen(self) -> None:
        now = self._clock.monotonic()
        self._shut = {name: opens_at for name, opens_at in self._shut.items() if opens_at > now}

    def _is_shut(self, intent: Intent) -> bool:
        shut = self._shut
        if not shut or intent.state is not State.READY:
            return False
        of_workflow = intent.workflow != ALL and intent.workflow in shut
        return of_workflow or intent.key in shut or (ALL in shut and _is_manager(intent))

    # --- writing

    async def _move(self, before: Intent, step: Step) -> bool:
        """Write one step; until the store takes it nothing else happens to this account."""
        outcome = None
        if step.outcome is not None:
            body = encode_outcome(step.outcome)
            outcome = NewInput(before.partition, InputKind.OUTCOME, decided_by(before), before.key, body)
        made: bool | None = None
        while made is None:
            try:
                made = (await self._intents.move([Move(before, step.after, outcome)]))[0]
            except StoreUnavailable as problem:
                log.warning("action.unwritten", intent=before.key, reason=str(problem))
                await self._clock.sleep(STORE_RETRY)
        if not made:
            log.warning("action.moved_by_another", intent=before.key, state=before.state.value)
            return False
        self.counts[step.after.state] += 1
        if _is_manager(before):
            self._lanes.stands(step.after)
        if step.outcome is not None and step.outcome.incident:
            log.error(
                "action.incident", intent=before.key, account=before.account, reason=step.outcome.incident
            )
        return True
