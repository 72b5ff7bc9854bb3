"""What strikes a fleet, by chance and yet all of it: two hands, each of which plays a shuffled deck again and again."""

import asyncio
import json
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from chaos.fleet_town import DOORS, ENGINES, SENDERS, FleetTown
from processes.fault_proxy import FaultProxy
from processes.program import eventually

BACK_WITHIN = 60.0
_LET_GO = re.compile(r'"event": "ownership\.(lapsed|lost)"')
LONGER_THAN_A_LEASE = (4.0, 6.0)  # seconds; a lease here lasts 3
# A connection that died without a word takes its seconds to be noticed, and losses are told one by one.
NOTICED_WITHIN = 60.0

Fault = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Card:
    name: str
    play: Fault


class Hand:
    """Plays its deck for the time given, and once as a whole however long that takes."""

    def __init__(self, deck: Sequence[Card], dice: random.Random) -> None:
        self._deck = list(deck)
        self._dice = dice
        self.played: Counter[str] = Counter()
        self.lasted: defaultdict[str, float] = defaultdict(
            float
        )  # the longest, until what was struck was back
        self.playing = ""

    def story(self) -> str:
        return "\n".join(
            f"{count:3} x {name}, up to {self.lasted[name]:.1f} s"
            for name, count in sorted(self.played.items())
        )

    async def play(self, until: float) -> None:
        while True:
            for card in self._dice.sample(self._deck, len(self._deck)):
                await asyncio.sleep(self._dice.uniform(0.1, 0.9))
                self.playing, began = card.name, time.monotonic()
                try:
                    await card.play()
                except Exception as error:
                    error.add_note(f"the fault was: {card.name}, after {dict(self.played)}")
                    raise
                self.playing = ""
                self.played[card.name] += 1
                self.lasted[card.name] = max(self.lasted[card.name], time.monotonic() - began)
                if time.monotonic() > until and len(self.played) == len(self._deck):
                    return


def held(output: str) -> int:
    """Return how many things a process holds, as its log tells."""
    count = 0
    for line in output.splitlines():
        if '"event": "ownership.gained"' in line or '"event": "ownership.lost"' in line:
            said = json.loads(line)
            count += said["names"] if said["event"] == "ownership.gained" else -said["names"]
    return count


class ProcessFaults:
    """Kills and pauses processes; `paused_owners` counts those that owned something when they were paused."""

    def __init__(self, town: FleetTown, dice: random.Random) -> None:
        self._town = town
        self._dice = dice
        self.paused_owners = 0

    def deck(self) -> list[Card]:
        kinds = {"door": DOORS, "engine": ENGINES, "sender": SENDERS}
        return [
            *(Card(f"kill {kind}", lambda names=names: self._kill(names)) for kind, names in kinds.items()),
            *(Card(f"pause {kind}", lambda names=names: self._pause(names)) for kind, names in kinds.items()),
        ]

    async def _kill(self, names: Sequence[str]) -> None:
        name = self._dice.choice(names)
        self._town.fleet.insist()
        await self._town.fleet.kill(name)
        await asyncio.sleep(self._dice.uniform(0.0, 4.0))
        await self._town.fleet.come_back(name, within=BACK_WITHIN)

    async def _pause(self, names: Sequence[str]) -> None:
        """Stop a process in the middle for longer than its leases last; awake again it has to notice."""
        name, fleet = self._dice.choice(names), self._town.fleet
        fleet.insist()
        program = fleet.processes[name].program
        said = program.output()
        # By its own word: the database may know of a lease that the process has not heard it got, or has handed over.
        owned = held(said) if await self._town.held_by(name) else 0
        fleet.pause(name)
        try:
            await asyncio.sleep(self._dice.uniform(*LONGER_THAN_A_LEASE))
        finally:
            fleet.resume(name)
        if owned:
            self.paused_owners += 1
            await eventually(
                lambda: _LET_GO.search(program.output(), len(said)) is not None,
                within=NOTICED_WITHIN,
                what=f"{name}, paused when it owned {owned} things, noticed that they are not its own any more",
            )


class ServerFaults:
    """Crashes PostgreSQL and Kafka, and strikes the network before them: for all processes, or on one's way to PostgreSQL."""

    def __init__(self, town: FleetTown, dice: random.Random) -> None:
        self._town = town
        self._dice = dice

    def deck(self) -> list[Card]:
        town = self._town

        kafka_way = town.servers.kafka_way
        assert kafka_way is not None

        def kafka() -> list[FaultProxy]:
            return [kafka_way]

        def postgres() -> list[FaultProxy]:
            return list(town.ways.values())

        def one() -> list[FaultProxy]:
            return [self._dice.choice(list(town.ways.values()))]

        places = {"Kafka": kafka, "PostgreSQL": postgres, "one process' PostgreSQL": one}
        network = {
            "cut": self._cut,
            "silence": self._silence,
            "strand": self._strand,
            "reset": self._reset,
            "delay": self._delay,
        }
        return [
            Card("crash Kafka", self._crash_kafka),
            Card("crash PostgreSQL", self._crash_postgres),
            *(
                Card(f"{fault} {where}", lambda strike=strike, ways=ways: strike(ways()))
                for fault, strike in network.items()
                for where, ways in places.items()
            ),
        ]

    async def _crash_kafka(self) -> None:
        await self._town.servers.kafka.kill()
        await asyncio.sleep(self._dice.uniform(0.0, 3.0))
        await self._town.servers.kafka.start()

    async def _crash_postgres(self) -> None:
        await self._town.servers.postgres.kill()
        await asyncio.sleep(self._dice.uniform(0.0, 3.0))
        await self._town.servers.postgres.start()

    async def _cut(self, ways: Sequence[FaultProxy]) -> None:
        for way in ways:
            await way.cut()
        await self._last(ways)

    async def _silence(self, ways: Sequence[FaultProxy]) -> None:
        for way in ways:
            way.silence()
        await self._last(ways)

    async def _strand(self, ways: Sequence[FaultProxy]) -> None:
        for way in ways:
            way.strand()
        await self._last(ways)

    async def _reset(self, ways: Sequence[FaultProxy]) -> None:
        for way in ways:
            way.reset()

    async def _delay(self, ways: Sequence[FaultProxy]) -> None:
        for way in ways:
            way.latency = self._dice.uniform(0.02, 0.2)
        await self._last(ways)

    async def _last(self, ways: Sequence[FaultProxy]) -> None:
        await asyncio.sleep(self._dice.uniform(0.5, 4.5))
        for way in ways:
            await way.heal()
