"""Keeps a stream going: sends what there is, beats while there is nothing, and ends it with a reason."""

import asyncio
from typing import Protocol

import structlog
from aiohttp import web

from hub.api.event_source import HEARTBEAT_US, EventSource, Gone, problem_frame
from hub.api.feeds import Feeds
from hub.api.server import kept_open
from hub.api.stream_counts import Ended, StreamKind
from hub.api.viewer import Viewer
from hub.bus.feed import TooOld
from hub.bus.tail import TOO_SLOW
from hub.dispatch.waiting import until
from hub.errors import StoreUnavailable

_log = structlog.get_logger(__name__)


class Stream(Protocol):
    """`cut` says why it has ended; `wake` is set when there is something to do."""

    @property
    def kind(self) -> StreamKind: ...

    @property
    def wake(self) -> asyncio.Event: ...

    @property
    def cut(self) -> str: ...

    @property
    def is_waiting(self) -> bool: ...

    async def send(self, source: EventSource) -> int:
        """Send what is at hand; return how many events or accounts that were."""

    def place(self) -> str:
        """Return where to resume, "" where there is no such place."""


async def keep_going(
    request: web.Request, feeds: Feeds, viewer: Viewer, accounts: frozenset[str] | None, stream: Stream
) -> web.StreamResponse:
    """Answer with a stream until somebody ends it: the reader, the hub, or what the viewer may see no more."""
    source = EventSource(request, feeds.clock)
    counts, ended = feeds.counts, Ended.LEFT
    lost = False

    def hear_of_loss() -> None:
        nonlocal lost
        lost = True
        stream.wake.set()

    with kept_open(request, hear_of_loss):
        response = source.response
        try:
            await source.begin()
            reason = ""
            beat = feeds.clock.now_us() + HEARTBEAT_US
            while not reason and not lost:
                counts.told[stream.kind] += await stream.send(source)
                now = feeds.clock.now_us()
                if now >= min(beat, _ends(viewer)):
                    reason = await feeds.why_over(viewer, accounts)
                    ended = Ended.BARRED if reason else ended
                    if not reason:
                        await source.beat(stream.place())
                    beat = now + HEARTBEAT_US
                elif stream.cut:
                    reason = stream.cut
                    ended = Ended.SLOW if reason.startswith(TOO_SLOW) else Ended.STOPPING
                elif stream.is_waiting:
                    await until(feeds.clock, min(beat, _ends(viewer)), stream.wake)
            await source.end(reason)
        except Gone:
            if source.is_slow:
                ended = Ended.SLOW
                await source.end(f"{TOO_SLOW}: nothing was read for a while")
        except TooOld as problem:
            ended = Ended.TOO_OLD
            await source.last(problem_frame("too_old", str(problem)))
        except StoreUnavailable as problem:
            ended = Ended.FAILED
            _log.warning("stream.store_unavailable", path=request.path, reason=str(problem))
            await source.end("the store cannot be read now: reconnect")
        except Exception:
            ended = Ended.FAILED
            # The answer has begun: nothing but the end of the connection can say that it went wrong.
            _log.exception("stream.failed", path=request.path)
            source.abort()
        finally:
            counts.ended[stream.kind, ended] += 1
    return response


def _ends(viewer: Viewer) -> int:
    return viewer.token.expires_at if viewer.token is not None else 2**62
