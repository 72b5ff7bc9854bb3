"""Aggregates by another key than the account that were added later: what they know, and what their key was told.

A key such as a client's is mailed what concerns it. What came before anybody asked for it is counted over the logs of
the accounts (`retelling`), and is not in the key's own: a moment of the past cannot be decided again from that. Where a
set of workflows that did not ask for it was on its way for a while, what happened meanwhile is missing altogether.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from hub.clock import MICROSECOND, iso
from hub.engine.index import Program
from hub.engine.manifest import Manifest
from hub.engine.periods import periods
from hub.engine.plans import Feed
from hub.engine.program import Calendar, Sliding, Tumbling, Window


class Lacking(NamedTuple):
    """An aggregate, by its name in the file, that may lack what came before `since`."""

    workflow: str
    name: str
    since: int


def told_from(program: Program, before: Program, known: Mapping[str, int], at: int) -> dict[str, int]:
    """Return since when all that aggregates by other keys know was told to their key, where a set follows another."""
    found = {}
    for name, is_kept in _by_other_keys(program, before):
        if not is_kept:
            found[name] = at
        elif name in known:
            found[name] = known[name]
    return found


def still_lacking(
    program: Program, before: Program, pending: Program, stands: Manifest, at: int
) -> dict[str, int]:
    """Return since when aggregates know all, of those that do not and of those a set in between did not ask for."""
    asked_for = {name for each in pending.mailed for name in each.feeds}
    found = {}
    for name, is_kept in _by_other_keys(program, before):
        if is_kept and name not in asked_for:
            found[name] = at
        elif is_kept and name in stands.counts_from:
            found[name] = stands.counts_from[name]
    return found


def _by_other_keys(program: Program, before: Program) -> Iterator[tuple[str, bool]]:
    """Yield the aggregates over events by other keys than the account, and whether they were there before."""
    for each in program.mailed:
        kept = before.of(each.kind).feeds
        for name, feed in each.feeds.items():
            if feed.aggregate.over is None:  # others are made of rows that are there, which are told anew
                yield name, name in kept


def lacking(program: Program, known: Mapping[str, int], now: int) -> Iterator[Lacking]:
    """Yield which aggregates of a program's workflows may still lack something at a moment."""
    for plan in program.plans.values():
        for name, feed in plan.feeds:
            since = known.get(feed.name)
            if since is not None and _reaches_back(feed, since, now):
                yield Lacking(plan.workflow.id, name, since)


def note(program: Program, workflow: str, known: Mapping[str, int], now: int) -> str:
    """Return which aggregates of a workflow may lack something, in a sentence; "" where none does."""
    return "; ".join(
        f"{each.name} counts from {iso(each.since)}: it was taken away for a while, and what happened then was not sent to this key"
        for each in _of(program, workflow, known, now)
    )


def note_of_the_past(program: Program, workflow: str, known: Mapping[str, int], now: int) -> str:
    """Return which aggregates of a workflow a key's own inputs do not tell from their beginning, in a sentence."""
    return "; ".join(
        f"{each.name} is missing here what happened before {iso(each.since)}: that was counted over the accounts' own "
        "inputs, and this is decided again from the key's"
        for each in _of(program, workflow, known, now)
    )


def _of(program: Program, workflow: str, known: Mapping[str, int], now: int) -> list[Lacking]:
    return [each for each in lacking(program, known, now) if each.workflow == workflow]


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
