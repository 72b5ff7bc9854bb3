"""When a delivery that failed is tried again: the waits, additive jitter, and what the receiver asked for."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random
from typing import Annotated

from pydantic import Field

from hub.clock import SECOND_US, to_us

# Seconds between attempts, as Standard Webhooks suggests: ten attempts within some 76 hours.
WAITS: tuple[float, ...] = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
MAX_WAITS = 50  # of the hub's own schedule; an endpoint asks for fewer
JITTER = 0.2
LONGEST_WAIT_US = (
    24 * 3600 * SECOND_US
)  # a receiver is listened to this far, unless the settings say otherwise
MOST_ASKED_US = 7 * LONGEST_WAIT_US
Wait = Annotated[float, Field(strict=True, ge=0, le=MOST_ASKED_US // SECOND_US, allow_inf_nan=False)]

_LONGEST_HEADER = 64
_SECONDS = re.compile(r"[0-9]{1,10}", re.ASCII)


def next_wait_us(
    attempts: int,
    waits: Sequence[float],
    random: Random,
    retry_after_us: int | None = None,
    longest_us: int = LONGEST_WAIT_US,
) -> int | None:
    """Return how long to wait after so many attempts, or None when there are no more.

    Jitter only ever adds, and what the receiver asked for is a floor, so a retry is never early.
    """
    if attempts > len(waits):
        return None
    wait = waits[attempts - 1] * (1 + JITTER * random.random())
    return max(int(wait * SECOND_US), min(retry_after_us or 0, longest_us))


def parse_retry_after(text: str | None, now_us: int, date: str | None = None) -> int | None:
    """Return the wait a Retry-After header asks for, in µs; None for one that says nothing sensible.

    A moment is meant by the receiver's clock, which `date`, its Date header, tells: by ours it may be too soon.
    """
    if text is None or len(text) > _LONGEST_HEADER:
        return None
    text = text.strip()
    if _SECONDS.fullmatch(text):
        wait = int(text) * SECOND_US
    else:
        moment = _http_date(text)
        if moment is None:
            return None
        there = None if date is None or len(date) > _LONGEST_HEADER else _http_date(date)
        wait = max(to_us(moment) - (now_us if there is None else to_us(there)), 0)
    return min(wait, MOST_ASKED_US)


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
