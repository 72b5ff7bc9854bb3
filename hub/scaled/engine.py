"""The engine's role: for the partitions a process owns it takes facts in, decides them, and says who is owed what."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from prometheus_client.core import GaugeMetricFamily, Metric

from hub.bus.follower import Follower
from hub.bus.kafka.inbox import KafkaInbox
from hub.bus.kafka.samples import SampleInbox
from hub.bus.kafka.settings import KafkaSettings
from hub.bus.ownership import Ownership
from hub.clock import Clock
from hub.config import Settings
from hub.control.control import Control
from hub.dispatch.fanout import FanOut
from hub.dispatch.subscriptions import Subscriptions
from hub.ending import GiveUp
from hub.engine.live_files import LiveFiles, Reloading
from hub.engine.loop import EngineCounters, EngineLoop
from hub.engine.rows import Peak
from hub.errors import StoreUnavailable
from hub.ids import PARTITIONS
from hub.ingest.peaks import PeakSeen
from hub.ingest.samples import Quote, Sample
from hub.ingest.symbols import SymbolClasses
from hub.ingest.watcher import Watcher
from hub.metrics import decisions, skipped
from hub.parts import Tidy, compile_stored, event_stream, retention, tell_of_money
from hub.pulses import Pulses
from hub.rounds import Rounds
from hub.scaled.admission import Admission, Sampling, consumer, take_all_arrivals
from hub.scaled.bell import Bell
from hub.scaled.ears import Ears
from hub.scaled.hand_over import Beside, DirectHandOver, StoreHandOver
from hub.scaled.looking import Looking
from hub.scaled.owned import ShiftPartitions, only_looking
from hub.scaled.process import Process
from hub.stages import Service, Stages
from hub.store.postgres.database import Database
from hub.store.postgres.endpoints import PostgresEndpoints
from hub.store.postgres.engine import PostgresEngineStore
from hub.store.postgres.log import PostgresLog
from hub.store.postgres.notices import ARRIVALS, ENDPOINTS
from hub.store.postgres.outbox import PostgresDeliveries
from hub.store.postgres.places import PostgresPlaces
from hub.store.postgres.prune import PostgresPruner

ARRIVALS_EVERY = timedelta(seconds=1)  # what came of an action is among them
NAMES = frozenset(str(partition) for partition in range(PARTITIONS))


class Waiter(Protocol):
    def wake(self) -> None:
        """Make a waiting `take` return."""


@dataclass(slots=True)
class EngineRole:
    """Begins shifts; `counters`, `backlog` and `kafka_inbox` are those of the present one."""

    settings: Settings
    database: Database
    kafka: KafkaSettings
    clock: Clock
    files: LiveFiles
    ears: Ears
    beside: Beside | None  # the dispatcher, where it is in this process
    control: Control
    pulses: Pulses
    give_up: GiveUp
    ownership: Ownership | None = None
    counters: EngineCounters | None = None
    backlog: Callable[[], int] = lambda: 0
    kafka_inbox: KafkaInbox | None = None
    subscriptions: Subscriptions = field(default_factory=Subscriptions)

    @asynccontextmanager
    async def begin(self, names: frozenset[str]) -> AsyncIterator[Service]:
        """Build everything that works on these partitions, from what the store says of them."""
        assert self.ownership is not None
        owned = ShiftPartitions(self.ownership, names)
        database, clock = self.database, self.clock
        bell = Bell(database)
        log = PostgresLog(database, clock, owned)
        store = PostgresEngineStore(database, log, owned, clock, told_intents=bell.ring)
        await log.open()
        async with AsyncExitStack() as stack:
            inbox = Follower(log, await store.positions("engine"))
            log.listen(inbox.offer)
            log.let_bulk_wait_for(inbox.backlog)

            async def save_peaks(peaks: Sequence[PeakSeen]) -> None:
                await store.save_peaks(
                    [Peak(*each) for each in peaks], owned.fence({each.partition for each in peaks})
                )

            watcher = Watcher(
                log, clock, save_peaks=save_peaks, class_of=SymbolClasses(self.settings.symbols).of
            )
            engine = EngineLoop(
                store,
                log,
                inbox,
                clock,
                owned.fence,
                compile_stored,
                on_levels=watcher.changed,
                on_committed=lambda batch: self.control.published(batch.intents),
                partitions=sorted(owned.partitions()),
            )
            log.listen(lambda rows: tell_of_money(watcher, rows))
            reloading: list[Service] = []
            # One process says which workflows are live: whoever has the first partition.
            if 0 in owned.partitions():
                await self.control.look()
                rounds = Rounds(self.control, clock, engine.programs, self.files, engine.activate)
                await rounds.make_live(self.files.loaded.workflows, self.files.loaded.unread)
                reloading += [Reloading(self.files, rounds.make_live, clock), rounds]
            elif await store.active() is None:
                raise StoreUnavailable(
                    "nobody has said yet which workflows are live: no event is decided before"
                )
            # Older than anything that comes now: mail of partitions that had another owner keeps its order, and no
            # event is decided before the workflows that were activated ahead of it.
            await take_all_arrivals(log)
            watcher.load(await store.levels())
            await watcher.tell()  # that nobody watched meanwhile, before the engine decides anything

            beside = self.beside
            deliveries = PostgresDeliveries(
                database, owned.fence, only_looking, hears=beside.owns if beside else None
            )
            direct = DirectHandOver(beside.dispatcher, deliveries) if beside else None
            webhooks = Follower(log, await deliveries.fanned_out())
            log.listen(webhooks.offer)
            # Kept over shifts: what was held back is counted since the process began.
            subscriptions, endpoints = self.subscriptions, PostgresEndpoints(database)

            async def subscribe() -> None:
                subscriptions.replace(await endpoints.all())

            await subscribe()
            fan_out = FanOut(webhooks, subscriptions, direct or StoreHandOver(deliveries, clock), clock)

            arrivals = Looking("arrivals", lambda: take_all_arrivals(log), clock, every=ARRIVALS_EVERY)
            subscribing = Looking("endpoints", subscribe, clock)
            stack.enter_context(self.ears.listening(ARRIVALS, lambda _: arrivals.now(), arrivals.now))
            stack.enter_context(self.ears.listening(ENDPOINTS, lambda _: subscribing.now(), subscribing.now))
            kafka = KafkaInbox(self.kafka, clock)
            topics = (self.kafka.live, self.kafka.bulk)
            reached = {topic: await store.positions(consumer(topic)) for topic in topics}
            kafka.assign({p: {topic: reached[topic][p] for topic in topics} for p in owned.partitions()})
            sampled: SampleInbox[Sample | Quote] = SampleInbox(self.kafka, clock, Sample, Quote)
            sampled.assign(owned.partitions())

            waiters: list[Waiter] = [inbox, webhooks, kafka, sampled]
            streams: list[Service] = []
            if self.settings.stream is not None:
                places = PostgresPlaces(database, owned.fence)
                out = Follower(log, await places.reached("stream"))
                log.listen(out.offer)
                waiters.append(out)
                streams.append(event_stream(self.settings.stream, out, places, clock))

            def wake() -> None:
                for waiting in waiters:
                    waiting.wake()

            admission = Admission(kafka, log, inbox, clock, owned=len(names))
            for what, mark in (
                ("engine", engine.mark),
                ("timers", engine.timers_mark),
                ("fan-out", fan_out.mark),
                ("admission", admission.mark),
                ("arrivals", arrivals.mark),
            ):
                stack.enter_context(self.pulses.watching(what, mark))
            self.counters, self.backlog, self.kafka_inbox = engine.counters, inbox.backlog, kafka
            yield Stages(
                (
                    (bell, subscribing, *((direct,) if direct else ())),
                    (engine, fan_out, *streams),
                    (watcher, kafka, sampled, *reloading),
                    (
                        admission,
                        arrivals,
                        Sampling(sampled, watcher),
                    ),
                ),
                wake,
                give_up=self.give_up,
            )

    def metrics(self) -> Iterator[Metric]:
        if self.counters is not None:
            yield from decisions(self.counters, self.backlog(), self.clock.now_us())
        yield from skipped(self.subscriptions.skipped)
        if self.kafka_inbox is not None:
            for lane, waiting in self.kafka_inbox.lag().items():
                yield GaugeMetricFamily(
                    f"hub_kafka_{lane.name.lower()}_lag",
                    "Records that wait in this process's partitions.",
                    value=waiting,
                )


def add(process: Process, files: LiveFiles, beside: Beside | None, control: Control) -> None:
    """Let the process own partitions."""
    role = EngineRole(
        process.settings,
        process.database,
        process.kafka,
        process.clock,
        files,
        process.ears,
        beside,
        control,
        process.pulses,
        process.give_up,
    )
    role.subscriptions.declared = files.declared
    role.ownership = process.work_in_shifts("partition", lambda: NAMES, role.begin)
    pruner = PostgresPruner(process.database, process.clock, retention(process.settings))
    process.working.append(Tidy(pruner, process.clock))
    process.metrics.append(role.metrics)
