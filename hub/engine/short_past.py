"""Aggregates by another key than the account that were added later: since when they know all.

A key such as a client's counts what is mailed to it, and an event is mailed only where a workflow by such a key could
make something of it. What came before the first one that counts it was never sent, so it is not in the key's log, and
nobody should take for the whole what is a part.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from hub.clock import MICROSECOND, iso
from hub.engine.index import Program
from hub.engine.periods import periods
from hub.engine.plans import Feed
from hub.engine.program import Calendar, Sliding, Tumbling, Window


class Lacking(NamedTuple):
    """An aggregate, by its name in the file, that may lack what came before `since`."""

    workflow: str
    name: str
    since: int


def counts_from(program: Program, before: Program, known: Mapping[str, int], at: int) -> dict[str, int]:
    """Return since when aggregates by other keys know all, where a set of workflows follows another at a moment."""
    found = {}
    for each in program.mailed:
        kept = before.of(each.kind).feeds
        for name, feed in each.feeds.items():
            if feed.aggregate.over is not None:  # made of rows that are there, which are told anew
                continue
            if name not in kept:
                found[name] = at
            elif name in known:
                found[name] = known[name]
    return found


def lacking(program: Program, known: Mapping[str, int], now: int) -> Iterator[Lacking]:
    """Yield which aggregates of a program's workflows may still lack something at a moment."""
    for plan in program.plans.values():
        for name, feed in plan.feeds:
            since = known.get(feed.name)
            if since is not None and _reaches_back(feed, since, now):
                yield Lacking(plan.workflow.id, name, since)


def note(program: Program, workflow: str, known: Mapping[str, int], now: int) -> str:
    """Return which aggregates of a workflow may lack something, in a sentence; "" where none does."""
    found = [each for each in lacking(program, known, now) if each.workflow == workflow]
    return "; ".join(
        f"{each.name} counts from {iso(each.since)}: it came later, and what happened before was not sent to this key"
        for each in found
    )


def _reaches_back(feed: Feed, since: int, now: int) -> bool:
    return _begins(feed.aggregate.window, now) < since


def _begins(window: Window, now: int) -> int:
    """Return from when on a window counts what it is worth now."""
    match window:
        case Calendar() | Tumbling():
            return periods(window).span(now)[0]
        case Sliding(duration=duration):
            return now - duration // MICROSECOND
        case _:
            return -1
