"""A process whose store is away for longer than a lease, while it begins to work on what it has got, goes on afterwards."""

from collections.abc import Sequence

from owners_kit import ALL, world

from hub.bus.ownership import LEASE_FOR
from hub.errors import StoreUnavailable


async def test_what_lapses_while_its_work_is_begun_in_vain_is_let_go_once() -> None:
    async with world() as w:
        (ann,) = w.start("ann")
        tried: list[int] = []

        async def begin(names: Sequence[str]) -> None:
            tried.append(len(names))
            if len(tried) == 1:
                ann.line.cut = True
                await w.clock.sleep(2 * LEASE_FOR)
                ann.line.cut = False
                raise StoreUnavailable("what is to be worked on cannot be read")

        ann.gaining = begin
        await w.pass_time(4 * LEASE_FOR)

        assert ann.task is not None
        assert not ann.task.done()
        assert tried[0] == 64
        assert len(tried) > 1
        assert ann.work == set(ALL)
        assert ann.ownership.problem() is None
