"""Looking at what tripped while the files change: whoever is answered last makes nothing live that is over."""

import asyncio
from random import Random

from hypothesis import given
from hypothesis import strategies as st
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


def a_file(lots):
    return a_workflow(
        f"when: [{{event: trade.closed, where: event.lots > {lots}}}]\nsteps: [{{do: account.disable}}]"
    )


OLD, NEW = a_file(1), a_file(2)


def loaded(workflow):
    return LoadedSet((workflow,), ())


async def changed_while_one_tripped(seed):
    """Return what is live after a file was changed while its workflow tripped, once that is looked at again."""
    clock = ManualClock(MORNING)
    log, switches = MemoryLog(clock), MemorySwitches()
    programs = Programs(LateStore(log, seed), lambda _text, _name: OLD)
    control, files = Control(switches, clock, log), LiveFiles.fixed(loaded(OLD))
    rounds = Rounds(control, clock, programs, files, programs.activate)
    await rounds.make_live(files.loaded.workflows)
    await rounds.look()
    await switches.change(lambda _rows: {TRIPPED + OLD.id: encode(Switched(clock.now_us(), "it", "why"))})

    async def look_a_little_later():
        await asyncio.sleep(0)
        await rounds.look()

    async def reload():
        files.loaded = loaded(NEW)
        await rounds.make_live(files.loaded.workflows)

    at_once = [rounds.look(), reload(), look_a_little_later()]
    Random(seed).shuffle(at_once)
    await asyncio.gather(*at_once)
    await rounds.look()
    return await programs.live()


@given(st.integers(0, 2**32))
def test_what_a_file_says_now_is_live_and_stopped_whoever_is_answered_last(seed):
    (live,) = asyncio.run(changed_while_one_tripped(seed))

    assert live.hash == NEW.hash
    assert (live.mode, live.stopped) == (Mode.SHADOW, True)
