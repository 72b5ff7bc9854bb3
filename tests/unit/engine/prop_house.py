"""A prop house in memory: workflow files, the real engine, the real watcher, and a clock that moves when it is told to."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from unit.engine.desk import a_workflow

from hub.bus.lease import Lease
from hub.bus.log import InputKind
from hub.clock import ManualClock, to_us
from hub.engine.decision import decode_trace
from hub.engine.index import Program
from hub.engine.loop import EngineLoop
from hub.engine.memory import MemoryEngineStore, MemoryInbox, MemoryLog
from hub.engine.program import Workflow
from hub.engine.rows import KeyRows, Peak
from hub.engine.state import KeyState
from hub.engine.trigger_rows import Anchor
from hub.engine.values import Kind
from hub.engine.why import why
from hub.events.account import AccountChanged
from hub.events.base import AccountRef
from hub.events.catalogue import event_type
from hub.events.facts import make_fact
from hub.events.records import decode_data, decode_envelope
from hub.ids import partition_of
from hub.ingest.samples import PositionSample, Sample
from hub.ingest.watcher import Watcher

LEASE = Lease("engine", "house", 1, 2**62)
LOGIN, KEY = 7001, "live-1:7001"


class House:
    """One account of one server; `rule` is loaded from what matters of its text."""

    def __init__(self, rule: str | Workflow, begins: str, **header: Any) -> None:
        self.clock = ManualClock(datetime.fromisoformat(begins))
        self.log = MemoryLog(self.clock)
        self.store = MemoryEngineStore(self.log)
        self.rule = rule if isinstance(rule, Workflow) else a_workflow(rule, **header)
        self.rules = [self.rule]
        self.number = 0
        self.inbox, self.loop = self._engine([0] * 64)
        self.watcher = self._watcher()

    async def open(self, **account: Any) -> "House":
        await self.loop.activate(self.rules)
        await self.account(**account)
        return self

    # What happens

    async def account(self, **fields: Any) -> None:
        changed = {name: {"after": value} for name, value in fields.items()}
        await self.tell("account.updated", AccountChanged(changed=changed))

    async def tell(self, name: str, data: Any = None, *, login: int = LOGIN, **fields: Any) -> None:
        self.number += 1
        kind = event_type(name)
        assert kind is not None
        fact = make_fact(
            kind,
            name,
            data if data is not None else kind.model.model_validate(fields),
            timestamp=self.clock.now(),
            received_us=self.clock.now_us(),
            source="test",
            account=AccountRef(server="live-1", login=login),
            dedupe_key=f"n{self.number}",
        )
        await self.log.append([fact])
        await self.settle()

    async def sample(self, equity: str | int, **fields: Any) -> None:
        await self.watcher.samples([self.a_sample(equity, **fields)])
        await self.settle()

    def a_sample(self, equity: str | int, **fields: Any) -> Sample:
        numbers = {
            name: None if value is None else Decimal(value)
            for name, value in fields.items()
            if name not in FLAGS
        }
        known: dict[str, Any] = dict.fromkeys(NUMBERS)
        flags = {name: fields[name] for name in FLAGS if name in fields}
        return Sample("live-1", LOGIN, Decimal(equity), **(known | numbers), at=self.clock.now_us(), **flags)

    async def positions(self, *seen: PositionSample, **fields: Any) -> None:
        """Sample the account with these of its positions."""
        sample = replace(self.a_sample("1000", **fields), positions=seen)
        await self.watcher.samples([sample])
        await self.settle()

    async def at(self, moment: str) -> None:
        """Let time pass, each timer and each end of a day at its own moment."""
        target = to_us(datetime.fromisoformat(moment))
        while self.clock.now_us() < target:
            timer = self.store.next_timer()
            await self._move(min(each for each in (timer, self.watcher.next_day, target) if each is not None))
            await self.store.fire_timers(self.clock.now_us(), 1000)
            await self.watcher.roll()
            await self.settle()

    async def settle(self) -> None:
        while True:
            while self.inbox.backlog() or self.loop.waiting or self.loop.changing:
                await self.loop.step()
            await self.watcher.tell()
            if not self.inbox.backlog():
                return

    async def restart(self) -> None:
        """Start both again on what is stored, as after a kill."""
        self.inbox, self.loop = self._engine(await self.store.positions("engine"))
        self.watcher = self._watcher()
        self.watcher.load(await self.store.levels())
        await self.watcher.tell()
        await self.settle()

    async def edit(self, *rules: Workflow) -> None:
        self.rules = list(rules)
        self.rule = rules[0] if rules else self.rule
        await self.loop.activate(rules)
        await self.settle()

    # What came of it

    @property
    def fired(self) -> list[str]:
        """Return the triggers that fired, in order."""
        return [each.run.split("/")[2] for each in self.intents]

    @property
    def intents(self) -> list[Any]:
        return sorted(self.store.intents.values(), key=lambda each: (each.at, each.key))

    @property
    def floor(self) -> Decimal | None:
        """Return where the only level is, as the watcher has it."""
        (level,) = [row for row in self.store.level_rows.values() if row.state in {"new", "armed", "crossed"}]
        cell = self.watcher._table.get(level.key, level.level_id)
        assert cell is not None
        return cell.threshold

    async def anchor(self, name: str) -> Anchor | None:
        state = await self.state()
        found = state.values.get((Kind.ANCHOR.value, f"{self.rule.id}/{name}"))
        return found if isinstance(found, Anchor) else None

    async def value(self, name: str) -> str | None:
        found = await self.anchor(name)
        return found.value[1] if found is not None and found.value is not None else None

    async def state(self) -> KeyState:
        """Return what is known of the account, out of the bytes that are stored."""
        partition = partition_of("live-1", LOGIN)
        rows = (await self.store.load([(partition, KEY)])).get(KEY, KeyRows((), (), ()))
        return KeyState.from_rows(partition, KEY, rows)

    async def why(self) -> list[str]:
        now = self.clock.now_us()
        answer = await why(self.store, Program(self.rules), self.rule.id, KEY, now_us=now)
        return [each.reason for each in answer.standing]

    def events(self, name: str) -> list[Any]:
        bodies = [row.body for row in self.log.ranked(0, 100_000) if row.kind == InputKind.EVENT]
        return [decode_data(envelope) for body in bodies if (envelope := decode_envelope(body)).type == name]

    def commands(self) -> list[str]:
        rows = self.log.ranked(0, 100_000)
        return [row.ref for row in rows if row.kind == InputKind.COMMAND and row.ref != "level.observed"]

    def reasons(self, outcome: str = "held_back") -> list[str]:
        return [
            decode_trace(row.body).reason for row in self.store.trace_rows.values() if row.outcome == outcome
        ]

    def _engine(self, positions: list[int]) -> tuple[MemoryInbox, EngineLoop]:
        inbox = MemoryInbox(self.log, positions)
        by_text = {rule.text: rule for rule in self.rules}
        loop = EngineLoop(
            self.store,
            self.log,
            inbox,
            self.clock,
            lambda _: [LEASE],
            lambda text, _id: by_text[text],
            on_levels=lambda rows: self.watcher.changed(rows),  # noqa: PLW0108 - another one after a restart
        )
        return inbox, loop

    def _watcher(self) -> Watcher:
        return Watcher(self.log, self.clock, save_peaks=self._save)

    async def _save(self, peaks: Any) -> None:
        await self.store.save_peaks([Peak(*each) for each in peaks], (LEASE,))

    async def _move(self, target: int) -> None:
        await self.clock.advance(timedelta(microseconds=max(target - self.clock.now_us(), 0)))


NUMBERS = ("balance", "credit", "margin", "free_margin", "margin_level", "floating")
FLAGS = ("degraded", "gap")
