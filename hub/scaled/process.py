"""What one process is made of: what its roles work on, what they own, what they show."""

import os
import socket
from collections.abc import Callable, Collection, Iterable
from datetime import timedelta
from random import Random
from typing import Final, final

from prometheus_client.core import Metric

from hub.bus.kafka.settings import KafkaSettings
from hub.bus.lease import Leases
from hub.bus.ownership import Ownership, Told
from hub.clock import Clock
from hub.config import Settings
from hub.ending import GiveUp, only_tell
from hub.pulses import Pulses
from hub.scaled.ears import Ears
from hub.scaled.shifts import Begin, Shifts
from hub.stages import Service
from hub.store.postgres.database import Database

# From telling work to end until the process ends itself: longer than a shift is given, and than the longest attempt at an
# endpoint may take.
MUST_END: Final = timedelta(seconds=90)


@final
class Process:
    """`working` are the services of its roles, `owning` what decides what they may work on: it starts after them and ends before."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        leases: Leases,
        kafka: KafkaSettings,
        clock: Clock,
        give_up: GiveUp = only_tell,
    ) -> None:
        self.settings = settings
        self.database = database
        self.kafka = kafka
        self.clock = clock
        self.random = Random(os.urandom(16))  # noqa: S311 (jitter)
        self.member = f"{socket.gethostname()}-{os.getpid()}-{os.urandom(4).hex()}"
        self.ears = Ears()
        self.leases = leases
        self.give_up = give_up
        self.pulses = Pulses(clock, give_up)
        self.working: list[Service] = []
        self.owning: list[Ownership] = []
        self.problems: list[Callable[[], str | None]] = []
        self.metrics: list[Callable[[], Iterable[Metric]]] = [self.pulses.metrics]

    def own(self, kind: str, names: Callable[[], Collection[str]], gained: Told, lost: Told) -> Ownership:
        ownership = Ownership(
            self.leases,
            self.clock,
            self.random,
            kind=kind,
            member=self.member,
            names=names,
            on_gained=gained,
            on_lost=lost,
            lease=self.settings.leases.duration,
            margin=self.settings.leases.margin,
        )
        self.owning.append(ownership)
        self.pulses.watch(f"handing over of {kind}s", ownership.handing_over, ends_after=MUST_END)
        return ownership

    def work_in_shifts(self, kind: str, names: Callable[[], Collection[str]], begin: Begin) -> Ownership:
        """Own things of a kind, and work on what is owned, a shift for every set of them."""

        def holds(name: str) -> bool:
            return ownership.holds(name)

        shifts = Shifts(kind, begin, self.clock, holds)
        self.working.append(shifts)
        self.pulses.watch(f"begin of a shift on {kind}s", shifts.beginning)
        # What a shift keeps from ending keeps what it owns from everybody, this process's next shift among them.
        self.pulses.watch(f"end of a shift on {kind}s", shifts.ending, ends_after=MUST_END)
        ownership = self.own(kind, names, shifts.gained, shifts.lost)
        return ownership

    def problem(self) -> str | None:
        asked = (*(each.problem for each in self.owning), *self.problems)
        return next((problem for ask in asked if (problem := ask())), None)
