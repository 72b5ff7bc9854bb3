"""Looking at what tripped while the files change: whoever is answered last makes nothing live that is over."""

import asyncio
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from unit.control.test_control import an_intent
from unit.engine.desk import MORNING, a_workflow

from hub.clock import ManualClock
from hub.control.control import Control
from hub.control.memory import MemorySwitches
from hub.control.switches import TRIPPED, Switched, encode
from hub.engine.live_files import LiveFiles
from hub.engine.load import LoadedSet
from hub.engine.memory import MemoryEngineStore, MemoryLog
from hub.engine.program import Mode
from hub.engine.programs import Programs
from hub.intents.gate import Go, Refuse
from hub.rounds import Rounds


class LateStore(MemoryEngineStore):
    """Does what it is asked some turns of the loop later, and says so some turns after that."""

    def __init__(self, log, seed):
        super().__init__(log)
        self._random = Random(seed)

    async def active(self):
        found = await super().active()
        await self._turns()
        return found

    async def save_version(self, version, workflow, text):
        await self._turns()
        await super().save_version(version, workflow, text)

    async def activate(self, manifest, inputs):
        await self._turns()
        await super().activate(manifest, inputs)
        await self._turns()

    async def _turns(self):
        for _ in range(self._random.randrange(6)):
            await asyncio.sleep(0)


def a_file(lots, more=""):
    when = f"when: [{{event: trade.closed, where: event.lots > {lots}}}]"
    return a_workflow(f"{more}\n{when}\nsteps: [{{do: account.disable}}]")


OLD, NEW = a_file(1), a_file(2)


def loaded(workflow):
    return LoadedSet((workflow,), ())


class House:
    """A hub with the first of two files."""

    def __init__(self, seed=0):
        self.clock = clock = ManualClock(MORNING)
        log, self.switches = MemoryLog(clock), MemorySwitches()
        self.programs = Programs(LateStore(log, seed), lambda _text, _name: OLD)
        self.control, self.files = Control(self.switches, clock, log), LiveFiles.fixed(loaded(OLD))
        self.rounds = Rounds(self.control, clock, self.programs, self.files, self.programs.activate)

    async def begin(self):
        await self.rounds.make_live(self.files.loaded.workflows)
        await self.rounds.look()

    async def reload(self, workflow=NEW):
        self.files.loaded = loaded(workflow)
        await self.rounds.make_live(self.files.loaded.workflows)


async def changed_while_it_tripped(seed):
    """Return what is live after a file was changed while its workflow tripped, once that is looked at again."""
    house = House(seed)
    await house.begin()
    stop = Switched(house.clock.now_us(), "it", "why")
    await house.switches.change(lambda _rows: {TRIPPED + OLD.id: encode(stop)})

    async def look_a_little_later():
        await asyncio.sleep(0)
        await house.rounds.look()

    at_once = [house.rounds.look(), house.reload(), look_a_little_later()]
    Random(seed).shuffle(at_once)
    await asyncio.gather(*at_once)
    await house.rounds.look()
    return await house.programs.live()


@given(st.integers(0, 2**32))
def test_what_a_file_says_now_is_live_and_stopped_whoever_is_answered_last(seed):
    (live,) = asyncio.run(changed_while_it_tripped(seed))

    assert live.hash == NEW.hash
    assert (live.mode, live.stopped) == (Mode.SHADOW, True)


@given(st.integers(0, 2**32))
def test_what_is_live_is_counted_from_its_first_action_on(seed):
    careful = a_file(3, "trip: {more_than: 1, risk: account, within: 1h}")

    async def answers():
        house = House(seed)
        await house.begin()
        await asyncio.gather(house.rounds.look(), house.reload(careful))
        return [type(await house.control.ask(an_intent(n, "account.disable", careful.id))) for n in range(2)]

    assert asyncio.run(answers()) == [Go, Refuse]
