"""Clients: what a change tells, and to whom."""

from typing import Any

import pytest
from conformance.api_bench import MemoryClients
from hypothesis import given
from hypothesis import strategies as st

from hub.clock import ManualClock
from hub.engine.memory import MemoryLog
from hub.errors import StoreUnavailable
from hub.events.records import decode_data, decode_envelope
from hub.ids import partition_of
from hub.ingest.clients import Client
from hub.ingest.directory import AccountTaken, Directory, PutOutcome
from hub.testing import MORNING


class Desk:
    def __init__(self) -> None:
        self.clock = ManualClock(MORNING)
        self.log = MemoryLog(self.clock)
        self.store = MemoryClients(self.log)
        self.directory = Directory(self.store, self.clock)

    async def put(self, client_id: str, **fields: Any) -> Any:
        return await self.directory.put(client_id, Client.model_validate(fields))

    def told(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Return (type, account, changes to) of every event."""
        found = []
        for row in self.log.ranked(0, 10_000):
            event = decode_envelope(row.body)
            changed = decode_data(event).changed
            found.append((event.type, row.key, {name: change["after"] for name, change in changed.items()}))
        return found


@pytest.fixture
def desk() -> Desk:
    return Desk()


def at(*logins: int) -> list[dict[str, Any]]:
    return [{"server": "live-1", "login": login} for login in logins]


async def test_a_new_client_is_told_once_and_whole_to_each_account(desk: Desk) -> None:
    kept = await desk.put("c1", email="a@b.c", tags=["vip", "de"], attributes={"score": 7}, accounts=at(1, 2))

    told = desk.told()
    assert (kept.created, kept.changed, kept.stored.version) == (True, True, 1)
    assert [(name, account) for name, account, _ in told] == [
        ("client.created", ""),
        ("client.linked", "live-1:1"),
        ("client.linked", "live-1:2"),
    ]
    whole = told[1][2]
    assert whole["email"] == "a@b.c"
    assert (whole["tags"], whole["attributes.score"], whole["accounts"]) == ("vip,de", 7, "live-1:1,live-1:2")
    assert whole["phone"] is None


async def test_events_of_an_account_lie_in_its_partition(desk: Desk) -> None:
    await desk.put("c1", accounts=at(1))

    rows = desk.log.ranked(0, 10)

    assert rows[1].partition == partition_of("live-1", 1)


async def test_saying_the_same_again_tells_nothing(desk: Desk) -> None:
    fields = {"email": "a@b.c", "attributes": {"score": 1.5, "note": None}, "accounts": at(1)}
    await desk.put("c1", **fields)
    before = len(desk.told())

    again = await desk.put("c1", **fields)

    assert (again.changed, again.stored.version, len(desk.told())) == (False, 1, before)


async def test_a_change_tells_the_difference_to_every_account(desk: Desk) -> None:
    await desk.put("c1", email="a@b.c", kyc="started", attributes={"score": 7}, accounts=at(1, 2))
    before = len(desk.told())

    await desk.put("c1", email="a@b.c", kyc="confirmed", accounts=at(1, 2))

    assert desk.told()[before:] == [
        ("client.updated", f"live-1:{login}", {"kyc": "confirmed", "attributes.score": None})
        for login in (1, 2)
    ]


async def test_an_account_linked_later_learns_everything_and_one_that_left_forgets(desk: Desk) -> None:
    await desk.put("c1", email="a@b.c", accounts=at(1))
    before = len(desk.told())

    await desk.put("c1", email="a@b.c", accounts=at(2))

    after = {(name, account): changes for name, account, changes in desk.told()[before:]}
    assert after["client.linked", "live-1:2"]["email"] == "a@b.c"
    assert after["client.updated", "live-1:1"] == {"email": None, "accounts": None}


async def test_a_client_without_accounts_is_told_too(desk: Desk) -> None:
    await desk.put("c1", first_name="Ana")
    await desk.put("c1", first_name="Anna")

    assert desk.told() == [
        ("client.created", "", {"first_name": "Ana"}),
        ("client.updated", "", {"first_name": "Anna"}),
    ]


async def test_more_changes_than_an_event_holds_are_told_in_several(desk: Desk) -> None:
    attributes = {f"a{number}": number for number in range(64)}

    await desk.put("c1", email="a@b.c", attributes=attributes, accounts=at(1))

    linked = [changes for name, _, changes in desk.told() if name == "client.linked"]
    assert len(linked) == 2
    assert sum(len(changes) for changes in linked) == 64 + 12


async def test_an_account_is_linked_to_one_client(desk: Desk) -> None:
    await desk.put("c1", accounts=at(1))

    with pytest.raises(AccountTaken, match="live-1:1 is linked to client c1"):
        await desk.put("c2", accounts=at(1))
    await desk.put("c1")
    await desk.put("c2", accounts=at(1))

    assert desk.store.accounts == {"live-1:1": "c2"}


async def test_of_two_changes_at_once_both_are_told_in_some_order(desk: Desk) -> None:
    await desk.put("c1", kyc="started")
    real, interfered = desk.store.put, []

    async def put(*args: Any) -> PutOutcome:
        if not interfered:
            interfered.append(True)
            await desk.put("c1", kyc="started", country="DE")
        return await real(*args)

    desk.store.put = put  # type: ignore[method-assign]  # somebody else comes first

    kept = await desk.put("c1", kyc="confirmed")

    assert kept.stored.version == 3
    assert desk.told()[1:] == [
        ("client.updated", "", {"country": "DE"}),
        ("client.updated", "", {"kyc": "confirmed", "country": None}),
    ]


async def test_a_client_everybody_changes_gives_up_in_the_end(desk: Desk) -> None:
    async def put(*_: Any) -> PutOutcome:
        return PutOutcome("stale")

    desk.store.put = put  # type: ignore[method-assign]  # somebody else always comes first

    with pytest.raises(StoreUnavailable):
        await desk.put("c1", kyc="started")


async def test_a_number_that_becomes_a_truth_is_a_change() -> None:
    desk = Desk()
    await desk.put("c1", attributes={"vip": 0}, accounts=at(1))
    await desk.put("c1", attributes={"vip": False}, accounts=at(1))

    assert desk.told()[-1][2]["attributes.vip"] is False


RECORDS = st.fixed_dictionaries(
    {},
    optional={
        "kyc": st.sampled_from(["started", "confirmed"]),
        "country": st.sampled_from(["DE", "US"]),
        "attributes": st.dictionaries(
            st.sampled_from(["a", "b"]),
            st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["x", 0.5]),
        ),
        "accounts": st.sets(st.integers(1, 3)).map(lambda logins: at(*sorted(logins))),
    },
)


@given(st.lists(RECORDS, max_size=6))
async def test_folding_what_an_account_was_told_gives_the_record(records: list[dict[str, Any]]) -> None:
    desk = Desk()

    for record in records:
        await desk.put("c1", **record)

    last = Client.model_validate(records[-1]) if records else Client()
    for login in (1, 2, 3):
        known: dict[str, Any] = {}
        for _, account, changes in desk.told():
            if account == f"live-1:{login}":
                known |= changes
        known = {name: value for name, value in known.items() if value is not None}
        if any(account.login == login for account in last.accounts):
            assert (known.get("kyc"), known.get("country")) == (last.kyc, last.country)
            attributes = {
                f"attributes.{name}": value for name, value in last.attributes.items() if value is not None
            }
            told = {name: value for name, value in known.items() if name.startswith("attributes.")}
            assert {name: str(value) for name, value in told.items()} == {
                name: str(value) for name, value in attributes.items()
            }
        else:
            assert known == {}
