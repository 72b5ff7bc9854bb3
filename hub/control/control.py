"""The kill switch and the circuit breakers: asked before anything is sent, durable, and told to everybody.

What is sent is counted where it is sent and not where it is decided: a storm is decided in many partitions at once,
while every action passes here, one row counts those of all processes, and what was decided before the breaker tripped is
caught as well. Events a workflow publishes leave with the decision, so they are counted just after it, and what is
decided until the workflow is in shadow is published too.

Many ask at once, and each is answered by the rows it read or changed itself: what is kept here is for those who show it,
and whoever comes back later from an earlier read would answer for the others as well.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final, final

import structlog
from typing_extensions import override

from hub.bus.log import Teller
from hub.clock import MICROSECOND, Clock, from_us, iso
from hub.control import switches
from hub.control.switches import (
    COUNT,
    HALT,
    RESET,
    RESUMED,
    TRIPPED,
    Change,
    Rows,
    Stands,
    Switched,
    SwitchStore,
    stands,
)
from hub.errors import HubError, StoreUnavailable
from hub.events.catalogue import BY_NAME
from hub.events.facts import make_fact
from hub.events.operations import ActionsSwitched, WorkflowSwitched
from hub.intents.breakers import Rule, counted, encode_count
from hub.intents.gate import Answer, Gate, Go, Hold, Refuse
from hub.intents.intent import Intent, State
from hub.intents.verbs import PUBLISH, VERBS

TOLD_FOR: Final = timedelta(days=7)  # what is older was told, or nobody waits for it any more
ITSELF: Final = "the hub"
REMEMBERED: Final = 50_000

log = structlog.get_logger(__name__)


class NotSwitched(HubError):
    """There is nothing to switch back."""


@final
class Control(Gate):
    """`stands` is as of the last look or change; `ask` looks anew each time. `rules` None: not known yet."""

    def __init__(self, store: SwitchStore, clock: Clock, teller: Teller) -> None:
        self._store = store
        self._clock = clock
        self._teller = teller
        self._told: set[str] = set()
        self._published: Counter[str] = Counter()  # events, by workflow, that are not counted yet
        self._counted: dict[str, None] = {}  # intents, by key; the oldest is forgotten first
        self.rules: Mapping[str, Rule] | None = None
        self.stands = Stands()
        self._changing, self._counting = asyncio.Lock(), asyncio.Lock()
        self._looks = 0
        self._seen = 0  # which look, in the order they were begun, or change, in the order they were made, `stands` is of

    # --- for whoever sends

    @override
    async def ask(self, intent: Intent) -> Answer:
        halted, _, tripped = stands(await self.look())
        verb = VERBS.get(intent.verb)
        if halted is not None and (verb is None or verb.is_manager):
            return Hold(f"halted by {halted.by}: {halted.because}")
        stop = tripped.get(intent.workflow)
        if stop is not None:
            return self._stopped(intent, stop)
        if self.rules is None:
            return Hold("which workflows have breakers is not known yet", intent.workflow)
        rule = self.rules.get(intent.workflow)
        # Counted once, whatever becomes of it: what is sent again, or asked about again, was counted before.
        counted_before = intent.sends > 0 or intent.key in self._counted
        if rule is None or counted_before or not rule.counts(intent.verb):
            return Go()
        return await self._count(intent, rule)

    # --- for whoever decides

    def published(self, intents: Iterable[Intent]) -> None:
        """Hear of what was decided and is on disk: events leave with their decision, and nobody asks about them before."""
        if self.rules is not None and not self.rules:
            return
        for intent in intents:
            if intent.verb == PUBLISH and intent.state is State.DELIVERED:
                self._published[intent.workflow] += 1

    async def count_published(self) -> None:
        """Count what was published since the last time; where that is too many, the workflow is stopped."""
        async with self._counting:  # two who count the same would count it twice
            await self._count_published()

    async def _count_published(self) -> None:
        while self._published and self.rules is not None:
            name, number = next(iter(self._published.items()))
            rule = self.rules.get(name)
            if rule is not None and rule.counts(PUBLISH) and name not in self.stands.tripped:
                because = (
                    f"more than {rule.more_than} within {rule.within}: {number} more events were published"
                )
                await self._count_more(name, rule, number, because)
            # Counted first: while the store is away it waits for the next time, with what is published meanwhile.
            self._published[name] -= number
            if not self._published[name]:
                del self._published[name]

    # --- for people

    async def halt(self, by: str, because: str) -> Switched:
        """Let no manager action leave from now on. Halted already, it stays as it was said first."""
        now = self._clock.now_us()

        def work(rows: Rows) -> Mapping[str, bytes | None]:
            return {} if HALT in rows else {HALT: switches.encode(Switched(now, by, because))}

        rows = await self._change(work)
        log.warning("manager.halted", by=by, because=because)
        return switches.decode(rows[HALT])

    async def resume(self, by: str, because: str) -> Switched:
        """Let actions go again. Raises NotSwitched when nothing was halted."""
        if HALT not in await self.look():
            raise NotSwitched("nothing is halted")
        said = Switched(self._clock.now_us(), by, because)

        def work(rows: Rows) -> Mapping[str, bytes | None]:
            return {HALT: None, RESUMED: switches.encode(said)} if HALT in rows else {}

        await self._change(work)
        log.warning("manager.resumed", by=by, because=because)
        return said

    async def reset(self, workflow: str, by: str, because: str) -> Switched:
        """Let a workflow that was stopped go on, and count from nothing. Raises NotSwitched when it was not stopped."""
        if TRIPPED + workflow not in await self.look():
            raise NotSwitched(f"the breaker of {workflow} has not tripped")
        said = Switched(self._clock.now_us(), by, because)

        def work(rows: Rows) -> Mapping[str, bytes | None]:
            if TRIPPED + workflow not in rows:
                return {}
            return {
                TRIPPED + workflow: None,
                COUNT + workflow: None,
                RESET + workflow: switches.encode(said),
            }

        await self._change(work)
        log.warning("workflow.reset", workflow=workflow, by=by, because=because)
        return said

    # --- for every process

    async def look(self) -> Rows:
        """Return the rows as they are on disk now, after taking over what they say."""
        self._looks += 1
        begun = self._looks
        rows = await self._store.read()
        self._see(rows, begun)
        return rows

    async def tell(self, rows: Rows) -> None:
        """Tell what was not told yet as events; every process may, for the log takes each once."""
        oldest = self._clock.now_us() - TOLD_FOR // MICROSECOND
        for name, value in sorted(rows.items()):
            if name.startswith(COUNT):
                continue
            said = switches.decode(value)
            key = f"{name}:{said.at}"
            if key not in self._told and said.at >= oldest:
                await self._publish(name, said, key)
                self._told.add(key)

    # ---

    async def _change(self, work: Change) -> Rows:
        """Return the rows right after the change; others may have changed them again by then."""
        async with self._changing:  # so that changes are seen in the order they were made
            rows = await self._store.change(work)
            self._looks += 1
            self._see(rows, self._looks)
        try:
            await self.tell(rows)
        except StoreUnavailable as problem:  # it is in force; whoever looks next tells of it
            log.warning("control.not_told", reason=str(problem))
        return rows

    def _see(self, rows: Rows, place: int) -> None:
        """Take over what rows say, unless something is known that was read, or changed, after these were."""
        if place > self._seen:
            self._seen, self.stands = place, stands(rows)

    async def _count(self, intent: Intent, rule: Rule) -> Answer:
        because = f"more than {rule.more_than} within {rule.within}: {intent.key} would be one too many"
        tripped = await self._count_more(intent.workflow, rule, 1, because)
        if tripped is None:
            self._counted[intent.key] = None
            if len(self._counted) > REMEMBERED:
                del self._counted[next(iter(self._counted))]
            return Go()
        return self._stopped(intent, tripped)

    async def _count_more(self, name: str, rule: Rule, number: int, because: str) -> Switched | None:
        """Count so many more of a workflow; return what stopped it, now or before."""
        now = self._clock.now_us()
        stop = Switched(now, ITSELF, because)

        def work(rows: Rows) -> Mapping[str, bytes | None]:
            if TRIPPED + name in rows:
                return {}
            count = counted(rows.get(COUNT + name), rule, now, number)
            if count.total > rule.more_than:
                return {TRIPPED + name: switches.encode(stop)}
            return {COUNT + name: encode_count(count)}

        tripped = stands(await self._change(work)).tripped.get(name)
        if tripped == stop:
            log.error("workflow.tripped", workflow=name, because=because)
        return tripped

    @staticmethod
    def _stopped(intent: Intent, stop: Switched) -> Answer:
        reason = f"the breaker of {intent.workflow} tripped at {iso(stop.at)}: {stop.because}"
        # What was sent once may still turn up: it is not said to be refused, and waits for the person who looks.
        return Hold(reason, intent.workflow) if intent.sends else Refuse(reason)

    async def _publish(self, name: str, said: Switched, key: str) -> None:
        head, sign, workflow = name.partition(":")
        kind = BY_NAME[_EVENTS[head + sign]]
        told = {"by": said.by[:256], "because": said.because[:2048]}
        data = WorkflowSwitched(workflow=workflow, **told) if sign else ActionsSwitched(**told)
        fact = make_fact(
            kind,
            kind.name,
            data,
            timestamp=from_us(said.at),
            received_us=self._clock.now_us(),
            source="hub",
            dedupe_key=key,
        )
        await self._teller.append([fact])


_EVENTS: Final = {
    HALT: "manager.halted",
    RESUMED: "manager.resumed",
    TRIPPED: "workflow.tripped",
    RESET: "workflow.reset",
}
