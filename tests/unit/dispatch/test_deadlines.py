import asyncio

import pytest

from hub.dispatch.deadlines import Deadlines


async def test_whoever_takes_longer_is_stopped_and_the_others_are_not():
    deadlines = Deadlines(0.05)
    outcomes = {}

    async def work(name, waits_for):
        try:
            with deadlines.start():
                await waits_for
                outcomes[name] = "done"
        except TimeoutError:
            outcomes[name] = "too late"

    soon = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(work(f"hanging {number}", asyncio.get_running_loop().create_future()))
        group.create_task(work("in time", soon))
        asyncio.get_running_loop().call_soon(soon.set_result, None)

    assert outcomes == {"in time": "done"} | {f"hanging {number}": "too late" for number in range(3)}


async def test_a_later_start_has_its_own_time():
    deadlines = Deadlines(0.05)
    loop = asyncio.get_running_loop()
    for _ in range(3):
        began = loop.time()
        with pytest.raises(TimeoutError), deadlines.start():
            await loop.create_future()
        assert loop.time() - began >= 0.05


async def test_a_cancellation_from_elsewhere_stays_one():
    deadlines = Deadlines(60)

    async def hang():
        with deadlines.start():
            await asyncio.get_running_loop().create_future()

    task = asyncio.ensure_future(hang())
    asyncio.get_running_loop().call_soon(task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task
    deadlines.close()


async def test_an_error_of_the_body_is_passed_on():
    deadlines = Deadlines(60)
    with pytest.raises(KeyError), deadlines.start():
        raise KeyError("x")
    deadlines.close()
