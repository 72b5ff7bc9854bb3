"""Following a source for ever: one session after another, with outages announced once and waits that grow."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

import structlog

from hub.clock import Clock
from hub.errors import HubError
from hub.ingest.waiting import Backoff, first_cause, pause, run_until

log_lines = structlog.get_logger(__name__)


async def keep_following(
    session: Callable[[], Coroutine[object, object, None]],
    *,
    lost: Callable[[str], Awaitable[None]],
    clock: Clock,
    stopping: asyncio.Event,
    backoff: Backoff,
) -> None:
    """Run `session` again and again until `stopping`; `lost` is told the reason each time one ends otherwise.

    The session resets the backoff once it has what it came for. Whatever goes wrong, state is rebuilt from what the
    log remembers, so an error nobody thought of is an outage like any other.
    """
    while not stopping.is_set():
        error = await run_until(stopping, session())
        if stopping.is_set():
            return
        reason = reason_of(error)
        failure = await run_until(stopping, _told(lost, reason))
        if failure is not None:
            log_lines.warning("connector.log_unavailable", reason=reason_of(failure))
        await pause(clock, stopping, backoff.next())


async def _told(lost: Callable[[str], Awaitable[None]], reason: str) -> None:
    await lost(reason)


def reason_of(error: BaseException | None) -> str:
    """Return one sentence for the operator; of errors nobody foresaw only the kind, their text may hold secrets."""
    if error is None:
        return "the source ended the session"
    cause = first_cause(error)
    if isinstance(cause, HubError):
        return str(cause)
    log_lines.error("connector.unforeseen", error=type(cause).__name__, exc_info=cause)
    return f"an error nobody foresaw ({type(cause).__name__})"
