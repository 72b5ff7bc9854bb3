"""Counting what workflows send: how many within a time, in a row of a few buckets, never too few."""

from datetime import timedelta
from typing import Final, Literal, NamedTuple

import msgspec

from hub.clock import MICROSECOND
from hub.intents.verbs import VERBS

# The oldest bucket counts as a whole: a breaker may trip a sixtieth of its time early, and never late.
BUCKETS: Final = 60


class Rule(NamedTuple):
    """More than so many intents of a risk within a time, and the workflow is stopped."""

    more_than: int
    risk: Literal["money", "account", "trading", "notify", "any"]
    within: timedelta

    def counts(self, verb: str) -> bool:
        known = VERBS.get(verb)
        return known is None or self.risk in {"any", known.risk.value}


class Count(msgspec.Struct, frozen=True):
    """How many were sent in each bucket, the oldest first; `width` in µs."""

    width: int
    buckets: list[tuple[int, int]]

    @property
    def total(self) -> int:
        return sum(number for _, number in self.buckets)


encode_count = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Count).decode


def counted(value: bytes | None, rule: Rule, at: int, number: int = 1) -> Count:
    """Return the count with so many more at a moment; counted by another time before, it begins anew."""
    within = rule.within // MICROSECOND
    width = max(within // BUCKETS, 1)
    known = _decode(value).buckets if value is not None else []
    if value is not None and _decode(value).width != width:
        known = []
    now = max(
        at // width, max((bucket for bucket, _ in known), default=0)
    )  # a clock that went back loses nothing
    kept = {bucket: count for bucket, count in known if (bucket + 1) * width > now * width - within}
    kept[now] = kept.get(now, 0) + number
    return Count(width, sorted(kept.items()))
