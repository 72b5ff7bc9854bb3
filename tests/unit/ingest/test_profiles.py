"""What the broker says about accounts: only what is named changes, and only what changes is told."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from conformance.api_bench import MemoryProfiles
from pydantic import ValidationError

from hub.clock import ManualClock
from hub.engine.account_rows import NO_ACCOUNT
from hub.engine.fold import fold_account
from hub.engine.memory import MemoryLog
from hub.errors import StoreUnavailable
from hub.events.records import decode_data, decode_envelope
from hub.ids import partition_of
from hub.ingest.clients import LinkedAccount
from hub.ingest.profiles import AccountProfile, Profiles
from hub.testing import MORNING

ACCOUNT = LinkedAccount(server="live-1", login=7001)


class Desk:
    def __init__(self) -> None:
        self.clock = ManualClock(MORNING)
        self.log = MemoryLog(self.clock)
        self.store = MemoryProfiles(self.log)
        self.folded: dict[str, Any] | None = None
        self.profiles = Profiles(self.store, self.clock, self._folded)

    async def _folded(self, _account: str) -> Mapping[str, Any] | None:
        return self.folded

    async def change(self, **fields: Any) -> Any:
        return await self.profiles.change(ACCOUNT, AccountProfile.model_validate(fields))

    def told(self) -> list[dict[str, Any]]:
        return [decode_data(decode_envelope(row.body)).changed for row in self.log.ranked(0, 1_000)]


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_what_is_named_is_told_to_the_account_and_folds_into_it(desk: Desk) -> None:
    kept = await desk.change(
        program="challenge",
        phase="1",
        type="demo",
        initial_balance="10000.00",
        tags=["eu", "vip"],
        attributes={"desk": "b", "score": 7},
    )

    row = NO_ACCOUNT
    for item in desk.log.ranked(0, 10):
        assert item.partition == partition_of("live-1", 7001)
        event = decode_envelope(item.body)
        assert (event.type, item.key) == ("account.updated", "live-1:7001")
        row, _ = fold_account(row, event, decode_data(event))
    assert (kept.created, kept.changed, kept.stored.version) == (True, True, 1)
    assert (row.program, row.phase, row.type, str(row.initial_balance)) == (
        "challenge",
        "1",
        "demo",
        "10000.00",
    )
    assert (row.tags, row.attributes) == (["eu", "vip"], {"desk": "b", "score": 7})


async def test_what_is_not_named_stays_and_null_makes_unknown(desk: Desk) -> None:
    await desk.change(program="challenge", phase="1", attributes={"desk": "b", "score": 7})

    kept = await desk.change(phase=None, attributes={"score": None, "tier": "gold"})

    assert json.loads(kept.stored.body) == {
        "program": "challenge",
        "attributes": {"desk": "b", "tier": "gold"},
    }
    assert {name: change["after"] for name, change in desk.told()[-1].items()} == {
        "phase": None,
        "attributes.tier": "gold",
        "attributes.score": None,
    }


async def test_saying_it_again_tells_nothing(desk: Desk) -> None:
    await desk.change(program="challenge", initial_balance="100")

    again = await desk.change(program="challenge", initial_balance="100")

    assert (again.changed, again.stored.version, len(desk.told())) == (False, 1, 1)


async def test_what_others_said_since_is_put_right_again(desk: Desk) -> None:
    """The phase moved by a challenge.* event; asking for the old one is a change, though not for the directory."""
    await desk.change(program="challenge", phase="1", tags=["eu"], initial_balance="100")
    desk.folded = {"program": "challenge", "phase": "2", "tags": ["eu"], "initial_balance": "100.0"}

    at_once = await desk.change(phase="1", tags=["eu"], initial_balance="100")
    await desk.clock.advance(timedelta(minutes=2))
    later = await desk.change(phase="1", tags=["eu"], initial_balance="100")

    assert (at_once.changed, later.changed) == (False, True)
    assert desk.told()[-1] == {"phase": {"before": "2", "after": "1"}}


async def test_more_changes_than_an_event_holds_are_told_in_several(desk: Desk) -> None:
    await desk.change(attributes={f"a{number}": number for number in range(64)})
    await desk.change(attributes={f"a{number}": None for number in range(64)})
    await desk.change(program="p", phase="1", attributes={f"b{number}": number for number in range(64)})

    assert [len(changes) for changes in desk.told()] == [64, 64, 64, 2]


async def test_of_two_changes_at_once_both_stand(desk: Desk) -> None:
    await desk.change(program="a")
    real, interfered = desk.store.put, []

    async def put(*args: Any) -> Any:
        if not interfered:
            interfered.append(True)
            await desk.change(tags=["eu"])
        return await real(*args)

    desk.store.put = put  # type: ignore[method-assign]  # somebody else comes first

    kept = await desk.change(phase="1")

    assert json.loads(kept.stored.body) == {"program": "a", "phase": "1", "tags": ["eu"], "attributes": {}}


async def test_an_account_everybody_changes_gives_up_in_the_end(desk: Desk) -> None:
    async def put(*_: Any) -> Any:
        return "stale"

    desk.store.put = put  # type: ignore[method-assign]  # somebody else always comes first

    with pytest.raises(StoreUnavailable):
        await desk.change(program="a")


@pytest.mark.parametrize(
    "fields",
    [
        {"balance": "1000000"},
        {"type": "house"},
        {"initial_balance": "-1"},
        {"initial_balance": "NaN"},
        {"program": ""},
        {"tags": ["a b"]},
        {"tags": ["x" * 64] * 5},
        {"attributes": {"Bad Name": 1}},
        {"attributes": {"a": [1]}},
    ],
)
def test_what_a_profile_cannot_hold_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AccountProfile.model_validate(fields)
