"""What one process is made of: what its roles work on, what they own, what they show."""

import os
import socket
from collections.abc import Callable, Collection, Iterable
from random import Random
from typing import final

from prometheus_client.core import Metric

from hub.bus.kafka.settings import KafkaSettings
from hub.bus.lease import Leases
from hub.bus.ownership import Ownership, Told
from hub.clock import Clock
from hub.config import Settings
from hub.scaled.ears import Ears
from hub.scaled.shifts import Begin, Shifts
from hub.stages import Service
from hub.store.postgres.database import Database


@final
class Process:
    """`working` are the services of its roles, `owning` what decides what they may work on: it starts after them and ends before."""

    def __init__(
        self, settings: Settings, database: Database, leases: Leases, kafka: KafkaSettings, clock: Clock
    ) -> None:
        self.settings = settings
        self.database = database
        self.kafka = kafka
        self.clock = clock
        self.random = Random(os.urandom(16))  # noqa: S311 (jitter)
        self.member = f"{socket.gethostname()}-{os.getpid()}-{os.urandom(4).hex()}"
        self.ears = Ears()
        self.leases = leases
        self.working: list[Service] = []
        self.owning: list[Ownership] = []
        self.problems: list[Callable[[], str | None]] = []
        self.metrics: list[Callable[[], Iterable[Metric]]] = []

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
        return ownership

    def work_in_shifts(self, kind: str, names: Callable[[], Collection[str]], begin: Begin) -> Ownership:
        """Own things of a kind, and work on what is owned, a shift for every set of them."""

        def holds(name: str) -> bool:
            return ownership.holds(name)

        shifts = Shifts(kind, begin, self.clock, holds)
        self.working.append(shifts)
        ownership = self.own(kind, names, shifts.gained, shifts.lost)
        return ownership

    def problem(self) -> str | None:
        asked = (*(each.problem for each in self.owning), *self.problems)
        return next((problem for ask in asked if (problem := ask())), None)
