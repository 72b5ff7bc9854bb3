"""What the API shows of workflows, accounts and readiness, read from the rooms that know."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, final

import msgspec

from hub import ids
from hub.api.ports import AccountView as AccountRecord
from hub.api.ports import Reason, Watching, Why, WorkflowInfo
from hub.bus.log import Input, Teller
from hub.bus.pages import Page
from hub.clock import Clock
from hub.engine import keys
from hub.engine.index import Program
from hub.engine.levels import PositionSample, Quote, Sample, Seen
from hub.engine.live_files import LiveFiles
from hub.engine.past import History
from hub.engine.problems import Problem, Severity
from hub.engine.program import Absent, Becomes, Crosses, Mode, OnEvent, PeriodEnd, Trigger, Workflow
from hub.engine.program_timed import Manual, Schedule
from hub.engine.programs import Programs
from hub.engine.record import steady
from hub.engine.rows import EngineStore, RunRow
from hub.engine.short_past import note, note_of_the_past
from hub.engine.then import Then, stood
from hub.engine.triggers import spoken
from hub.engine.values import Kind
from hub.engine.why import Standing, why
from hub.errors import Place
from hub.events.facts import EVENT_PREFIX
from hub.events.watched import POSITION, SYMBOL
from hub.ingest.reading import FIELDS
from hub.turns import a_turn

_STANDS = {True: "would fire", False: "no", None: "unknown"}


def _told(standing: Standing) -> Reason:
    text = f"{standing.trigger}: {standing.reason}" if standing.trigger else standing.reason
    share = min((each.share for each in standing.remains), default=None)
    return Reason(
        _STANDS[standing.holds],
        text,
        remains=tuple(each.text for each in standing.remains),
        share=round(float(share), 4) if share is not None else None,
    )


class Browser(Protocol):
    """What is looked at page by page, of runs and accounts."""

    async def runs(
        self, *, after: str, limit: int, workflow: str = "", key: str = "", state: str = ""
    ) -> Page[RunRow]: ...

    async def sequence(self, account: str) -> int:
        """Return how many events of an account there are."""


@final
class WorkflowView:
    def __init__(
        self,
        store: EngineStore,
        browser: Browser,
        log: Teller,
        programs: Programs,
        watcher: Watching,
        files: LiveFiles,
        clock: Clock,
        history: History,
    ) -> None:
        self._history = history
        self._store = store
        self._browser = browser
        self._log = log
        self._programs = programs
        self._watcher = watcher
        self._files = files
        self._clock = clock

    async def workflows(self) -> Sequence[WorkflowInfo]:
        live = await self._programs.live()
        return [
            WorkflowInfo(
                id=workflow.id,
                title=workflow.title,
                mode=workflow.mode.value,
                version=workflow.hash,
                file=workflow.place.path,
                key=str(workflow.key),
                triggers=_started_by(workflow),
            )
            for workflow in (self._files.loaded.workflows if live is None else live)
        ]

    def file_problems(self) -> Sequence[Problem]:
        away = [
            Problem(Place(str(path), 1, 1), "is not there: what was live of it stays so", Severity.WARNING)
            for path in self._files.away
        ]
        return [*away, *self._files.loaded.problems]

    async def why(self, workflow: str, key: str, *, event: str = "", at: int | None = None) -> Why | None:
        live = await self._programs.live()
        known = self._files.loaded.workflows if live is None else live
        loaded = next((each for each in known if each.id == workflow), None)
        if loaded is None:
            return None
        if problem := keys.problem(key):
            return Why(workflow, key, (), (Reason("unknown", problem),))
        packed = ids.from_id(EVENT_PREFIX, event) if event else None
        row = await self._log.find(packed) if packed else None
        if event and row is None:
            return Why(workflow, key, (), (Reason("unknown", f"no event {event} is in the log (any more)"),))
        program, stands = await self._programs.standing(keys.partition_of(key))
        answer = await why(
            self._store,
            program,
            workflow,
            key,
            now_us=self._clock.now_us(),
            event=row,
            at=at,
            sample=self._last_sample(key),
            pin=self._programs.pin_ledgers,
        )
        decided = tuple(
            Reason(kept.verdict, f"{kept.trigger}: {kept.reason}", kept.at, kept.event or "")
            for kept in answer.kept
        )
        # What was decided with an event is told by its traces. A plain no left none: it is decided again.
        program = program.of(loaded.key)
        short = note(program, workflow, stands.counts_from, at or self._clock.now_us())
        if at is None and (row is None or decided):
            return Why(workflow, key, decided, tuple(map(_told, answer.standing)), note=short)
        then = await self._then(program, loaded, key, row, at)
        untold = note_of_the_past(program, workflow, stands.told_from, at or self._clock.now_us())
        notes = "; ".join(each for each in (then.note, untold, short) if each)
        return Why(workflow, key, decided, (), tuple(map(_told, then.standing)), notes)

    async def _then(
        self, program: Program, loaded: Workflow, key: str, event: Input | None, at: int | None
    ) -> Then:
        live = program.workflows.get(loaded.id, loaded)
        if live.mode is Mode.OFF:
            return Then((Standing("", False, "the workflow is off"),), "")
        partition = keys.partition_of(key)
        rows = (await self._store.load([(partition, key)]))[key]
        known = [(kind, value) for kind, _, value in rows.states if kind in {Kind.ACCOUNT, Kind.CLIENT}]
        return await stood(self._history, live, key, a_turn, event=event, at=at, known=steady(key, known))

    def _last_sample(self, key: str) -> Seen | None:
        seen = self._watcher.last_seen(key)
        if seen is None:
            return None
        if key.startswith(POSITION):
            profit, price, *_ = seen.values
            return PositionSample(int(key.rpartition(":")[2]), profit, price)
        if key.startswith(SYMBOL):
            bid, ask, *_ = seen.values
            return Quote(bid, ask) if bid is not None and ask is not None else None
        known = dict(zip(FIELDS, seen.values, strict=True))
        return Sample(known["equity"], known["floating"], known["free_margin"], known["margin_level"])

    async def run(self, run_id: str) -> RunRow | None:
        return await self._store.run(run_id)

    async def runs(
        self, *, after: str, limit: int, workflow: str = "", key: str = "", state: str = ""
    ) -> Page[RunRow]:
        return await self._browser.runs(after=after, limit=limit, workflow=workflow, key=key, state=state)


def _started_by(workflow: Workflow) -> tuple[str, ...]:
    grant = workflow.grant
    if grant is not None:
        return (f"grant {grant.id}: {grant.verb.name} {grant.amount.text} while {grant.condition.text}",)
    return tuple(_describe(trigger) for trigger in workflow.triggers)


def _describe(trigger: Trigger) -> str:
    match trigger:
        case OnEvent():
            return f"{trigger.id}: {trigger.event}" + (
                f" where {trigger.where.text}" if trigger.where else ""
            )
        case Becomes():
            return f"{trigger.id}: becomes {trigger.condition.text}"
        case Absent():
            since = f" after {trigger.after}" if trigger.after else ""
            return f"{trigger.id}: no {trigger.event} within {spoken(trigger.within)}{since}"
        case PeriodEnd(calendar=calendar):
            return f"{trigger.id}: end of each {calendar.period} in {calendar.zone}"
        case Schedule():
            return f"{trigger.id}: schedule {trigger.rule}"
        case Manual():
            return f"{trigger.id}: manual {', '.join(trigger.inputs)}".rstrip()
        case Crosses():
            field = trigger.field if trigger.field in FIELDS else trigger.watched
            return f"{trigger.id}: {field} {trigger.side} {trigger.limit.text}"


@final
class AccountView:
    def __init__(self, store: EngineStore, browser: Browser) -> None:
        self._store = store
        self._browser = browser

    async def account(self, key: str) -> AccountRecord | None:
        rows = (await self._store.load([(keys.partition_of(key), key)]))[key]
        known = {kind: value for kind, _, value in rows.states if kind in {Kind.ACCOUNT, Kind.CLIENT}}
        if Kind.ACCOUNT not in known:
            return None
        return AccountRecord(known[Kind.ACCOUNT], known.get(Kind.CLIENT), await self._browser.sequence(key))

    async def folded(self, key: str) -> Mapping[str, Any] | None:
        """Return an account as its events told it so far."""
        view = await self.account(key)
        return msgspec.json.decode(view.account, type=dict[str, Any]) if view is not None else None


@final
class Readiness:
    """Ready means: what is posted now would be on disk a moment later, and whoever works on it gets on with that."""

    def __init__(
        self,
        store_problem: Callable[[], Awaitable[str | None]],
        lease_problem: Callable[[], str | None],
        standing: Callable[[], Sequence[str]],
    ) -> None:
        self._store_problem = store_problem
        self._lease_problem = lease_problem
        self._standing = standing

    async def problems(self) -> Sequence[str]:
        asked = (self._lease_problem(), await self._store_problem(), *self._standing())
        return [problem for problem in asked if problem]
