"""When an endpoint that keeps failing is spoken of, and when it is switched off: pure, over what is stored of it."""

from typing import Final, NamedTuple, Protocol

from hub.clock import SECOND_US, iso

DISABLE_AFTER_US: Final = 5 * 24 * 3600 * SECOND_US
# One attempt that failed is no news: a retry seconds later mends most. Failing this long is.
FIRST_WORD_US: Final = 600 * SECOND_US
ENOUGH: Final = 5  # failures before the first word
ENOUGH_TO_DISABLE: Final = 10  # as many as one delivery has attempts
_TENTH: Final = 10
WARNINGS: Final = (50, 70, 90)  # per cent of the time until it is switched off
LAST_STAGE: Final = 1 + len(WARNINGS)


class Health(NamedTuple):
    """How an endpoint has been since its last success; moments in µs, 0 for none.

    `stage` counts what was told of it: 1 that it fails, then a warning each.
    """

    endpoint: str
    failing_since: int = 0
    failures: int = 0
    failed_at: int = 0
    last_error: str = ""
    stage: int = 0
    told_at: int = 0
    paused_until: int = 0

    @property
    def is_worth_keeping(self) -> bool:
        return bool(self.failing_since or self.paused_until)


class Healths(Protocol):
    """What is stored of endpoints that are not well. Only who sends to an endpoint writes it."""

    async def get(self, endpoint: str) -> Health | None: ...

    async def save(self, health: Health) -> None:
        """Write it, or forget it when there is nothing to keep, or the endpoint is not enabled any more."""

    async def forget_disabled(self) -> None:
        """Forget those of endpoints that are disabled or gone: whoever enables one again begins anew."""


def failed(health: Health, error: str, now_us: int) -> Health:
    return health._replace(
        failing_since=health.failing_since or now_us,
        failures=health.failures + 1,
        failed_at=now_us,
        last_error=error,
    )


def well(health: Health, now_us: int) -> Health:
    return Health(health.endpoint, paused_until=health.paused_until if health.paused_until > now_us else 0)


def stage_now(health: Health, now_us: int, limit_us: int) -> int:
    """Return how much there is to tell: 0 nothing yet, 1 that it fails, then one more with each warning.

    A `limit_us` of 0 means that nothing is ever switched off, so that there is nothing to warn of.
    """
    failing = now_us - health.failing_since
    if not health.failing_since or health.failures < ENOUGH:
        return 0
    if not limit_us:
        return int(failing >= FIRST_WORD_US)
    if failing < min(FIRST_WORD_US, limit_us // _TENTH):
        return 0
    return 1 + sum(failing * 100 >= limit_us * percent for percent in WARNINGS)


def is_over(health: Health, now_us: int, limit_us: int) -> bool:
    """Say whether it is time to switch it off.

    Of one that is seldom sent to, the attempts may be days apart: the last warning comes a while before all the same.
    """
    return (
        limit_us > 0
        and health.stage >= LAST_STAGE
        and health.failures >= ENOUGH_TO_DISABLE
        and now_us - health.failing_since >= limit_us
        and now_us - health.told_at >= limit_us // _TENTH
    )


def disabled_at(health: Health, limit_us: int) -> int | None:
    """Return when it is switched off at the earliest, in µs."""
    if not health.failing_since or not limit_us:
        return None
    last_warning = health.told_at if health.stage >= LAST_STAGE else 0
    return max(health.failing_since + limit_us, last_warning + limit_us // _TENTH if last_warning else 0)


def words(health: Health, limit_us: int) -> str:
    said = (
        f"nothing was accepted since {iso(health.failing_since)}: {health.failures} attempts failed, "
        f"the last one: {health.last_error}"
    )
    end = disabled_at(health, limit_us)
    return said if end is None else f"{said}; it is switched off when this goes on until {iso(end)}"
