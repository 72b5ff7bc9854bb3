"""The hub with a hand in its timers, to see that a test notices: HUB_SABOTAGE drops every tenth, or tells every tenth end twice."""

import os
from collections.abc import Sequence
from itertools import count

import msgspec

from hub.bus.lease import Lease
from hub.cli import main
from hub.engine.rows import Batch, TimerRow
from hub.events.facts import EVENT_PREFIX, Fact
from hub.ids import hashed, to_id
from hub.store.sqlite.engine import SqliteEngineStore

SABOTAGE = os.environ["HUB_SABOTAGE"]
_commit = SqliteEngineStore.commit
_timers, _facts = count(), count()


async def commit(self: SqliteEngineStore, batch: Batch, fence: Sequence[Lease]) -> None:
    if SABOTAGE == "drop":
        batch.timers[:] = [timer for timer in batch.timers if not _is_dropped(timer)]
    else:
        batch.facts.extend([_again(fact) for fact in batch.facts if next(_facts) % 10 == 0])
    await _commit(self, batch, fence)


def _is_dropped(timer: TimerRow) -> bool:
    return timer.kind in {"hold", "wait"} and next(_timers) % 10 == 0


def _again(fact: Fact) -> Fact:
    """Return the same event under another identity, as of a decision that was made again and took itself for new."""
    key = hashed(0, f"again/{fact.envelope.id}")
    other = msgspec.structs.replace(fact.envelope, id=to_id(EVENT_PREFIX, key), dedupe_key=key.hex())
    return msgspec.structs.replace(fact, key=key, envelope=other)


if __name__ == "__main__":
    SqliteEngineStore.commit = commit  # type: ignore[method-assign]  # the sabotage this file is for
    main()
