"""What kills made the hub send again: a pure check of the copies a receiver got against the attempts the hub has on record.

A copy no attempt tells of was on its way, or waited for its turn to be written, when a kill struck: it was sent again by
the next hub. So there is a kill after each of them and before the next copy, and one kill makes few of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from processes.client import HubClient


class Kill(NamedTuple):
    """From just before the signal until the next hub was ready, on the monotonic clock."""

    began: float
    ready: float


async def attempts_of(client: HubClient, endpoint: str) -> dict[str, int]:
    """Return how many attempts are on record for each event an endpoint is owed."""
    deliveries = client.pages(f"/v1/endpoints/{endpoint}/deliveries")
    return {delivery["event"]: delivery["attempts"] async for delivery in deliveries}


def unrecorded(copies: Mapping[str, Sequence[float]], recorded: Mapping[str, int]) -> dict[str, int]:
    """Return how many copies of each event no attempt tells of, of those of which there are any."""
    extra = {name: len(times) - recorded.get(name, 0) for name, times in copies.items()}
    return {name: count for name, count in extra.items() if count > 0}


def unexplained(
    copies: Mapping[str, Sequence[float]],
    recorded: Mapping[str, int],
    kills: Sequence[Kill],
    *,
    most_a_kill: int,
) -> Iterator[str]:
    """Yield one sentence for each event that was repeated for no reason, and one when kills repeat too much.

    `most_a_kill` bounds their mean: a single kill may find a disk that is slow to take what was sent.
    """
    extra = unrecorded(copies, recorded)
    for name, count in extra.items():
        cut = sum(_killed_between(pair, kills) for pair in pairwise(sorted(copies[name])))
        if count > cut:
            yield (
                f"event {name} arrived {len(copies[name])} times, {recorded.get(name, 0)} attempts are on record, "
                f"and kills lie between {cut} of the copies"
            )
    repeated = sum(extra.values())
    if repeated > most_a_kill * len(kills):
        yield f"{len(kills)} kills repeated {repeated} attempts, more than {most_a_kill} each"


def _killed_between(pair: tuple[float, float], kills: Sequence[Kill]) -> bool:
    before, after = pair
    # What was sent just before the kill may be read by the receiver after it; the next hub may send before it is ready.
    return any(before < kill.ready and kill.began < after for kill in kills)
