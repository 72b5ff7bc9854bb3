"""Records that wait for their turn together go in one request."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar, final

from hub.dispatch.channels.crm.answers import Made, Maybe, Verdict
from hub.dispatch.channels.crm.line import Line
from hub.dispatch.channels.one_exchange import Lost, NotSent

Result = Made | Verdict | NotSent | Lost
Of = TypeVar("Of", bound=Hashable)
Values = dict[str, str]
Write = Callable[[Of, list[tuple[str, Values]]], Awaitable[list[Result | None]]]


@final
class Batch(Generic[Of]):
    """The first that waits takes along those of its kind that came while it did: without a queue each goes alone.

    Writing a record has to be repeatable. Where `write` knows nothing of one, that one goes again by itself. No id is in
    one request twice: callers hold their record.
    """

    def __init__(self, line: Line, write: Write[Of], most: int) -> None:
        self._line = line
        self._write = write
        self._most = most
        self._waiting: dict[Of, list[tuple[str, Values, asyncio.Future[Result]]]] = {}

    async def put(self, of: Of, own: str, values: Values) -> Result:
        mine: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        queue = self._waiting.get(of)
        if queue is not None and len(queue) < self._most:
            queue.append((own, values, mine))
            return await mine
        queue = self._waiting[of] = [(own, values, mine)]
        try:
            try:
                await self._line.turn()
            finally:
                if self._waiting.get(of) is queue:
                    del self._waiting[of]
            await self._go(of, queue)
        finally:
            for _, _, theirs in queue:  # whatever became of this one, nobody waits for it for ever
                if not theirs.done():
                    theirs.set_result(Maybe("the request it was to go with came to nothing"))
        return mine.result()

    async def _go(self, of: Of, queue: list[tuple[str, Values, asyncio.Future[Result]]]) -> None:
        known = await self._write(of, [(own, values) for own, values, _ in queue])
        for (own, values, theirs), result in zip(queue, known, strict=True):
            found = result
            if found is None:
                await self._line.turn()
                (found,) = await self._write(of, [(own, values)])
            if not theirs.done():
                theirs.set_result(found or Maybe("nothing was said of the record"))
