"""What every store promises of questions to people: written with the decision, never asked twice, found page by page."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
from conformance.backends import PostgresBackend, StoreBackend, rows_of

from hub.approval_desk import ApprovalDesk
from hub.bus.log import InputKind
from hub.bus.pages import BadCursor
from hub.clock import SystemClock, to_us
from hub.engine.ballots import Ballot, Said, decode_ballot
from hub.engine.rows import ApprovalFilter, ApprovalMove, ApprovalRow, Batch, TimerRow
from hub.engine.run_rows import Vote
from hub.errors import LeaseLost
from hub.scaled.owned import Nothing
from hub.store.postgres.log import PostgresLog
from hub.testing import MORNING

KEY = "live-1:7001"
NOW = to_us(MORNING)
HOUR = timedelta(hours=1)


def a_question(name: str, *, at: int = NOW, state: str = "open", **changes: str) -> ApprovalRow:
    row = ApprovalRow(
        0, name, KEY, "payouts", f"run-{name}", "sign_off", "Pay them", KEY, "money.approve", state, at,
        at + 3_600_000_000, "ab" * 32, b'{"text":"Pay?"}', b'{"votes":[],"refused":[]}',
    )  # fmt: skip
    return row._replace(**changes)


async def test_a_question_is_there_as_it_was_asked_after_a_restart(store: StoreBackend) -> None:
    await store.decide(approvals=[a_question("a")])
    await store.reopen()

    assert await store.store.approvals.approval("a") == a_question("a")
    assert await store.store.approvals.approval("nobody") is None
    assert await store.store.approvals.open_approvals() == 1


async def test_what_is_said_changes_how_it_stands_and_not_what_was_shown(store: StoreBackend) -> None:
    await store.decide(approvals=[a_question("a"), a_question("b")])

    await store.decide(approval_moves=[ApprovalMove("a", "approved", b'{"votes":[1]}')])

    found = await store.store.approvals.approval("a")
    assert found == a_question("a")._replace(state="approved", votes=b'{"votes":[1]}')
    assert await store.store.approvals.approval("b") == a_question("b")
    assert await store.store.approvals.open_approvals() == 1


async def test_a_question_that_is_asked_and_answered_in_one_batch_is_answered(store: StoreBackend) -> None:
    moves = [ApprovalMove("a", "open", b"1"), ApprovalMove("a", "expired", b"2")]

    await store.decide(approvals=[a_question("a")], approval_moves=moves)

    found = await store.store.approvals.approval("a")
    assert found is not None
    assert (found.state, found.votes, found.shown) == ("expired", b"2", a_question("a").shown)


async def test_the_same_decision_told_again_asks_nobody_twice(store: StoreBackend) -> None:
    await store.decide(approvals=[a_question("a")])
    await store.decide(approval_moves=[ApprovalMove("a", "declined", b"{}")])

    await store.decide(approvals=[a_question("a", title="another")])

    found = await store.store.approvals.approval("a")
    assert found is not None
    assert (found.state, found.title) == ("declined", "Pay them")


async def test_the_owner_of_an_old_epoch_asks_nobody(store: StoreBackend) -> None:
    old = await store.lease("this process", timedelta(seconds=1))
    await store.clock.advance(timedelta(seconds=1))
    await store.lease("another process")

    with pytest.raises(LeaseLost):
        await store.engine.commit(Batch(approvals=[a_question("a")]), [old])

    assert await store.store.approvals.approval("a") is None


async def test_questions_are_listed_newest_first_page_by_page(store: StoreBackend) -> None:
    rows = [a_question(f"a{n}", at=NOW + n // 2) for n in range(7)]
    await store.decide(approvals=rows)

    found: list[str] = []
    after: str | None = ""
    while after is not None:
        page = await store.store.approvals.approvals(after=after, limit=3)
        found += [row.id for row in page.items]
        assert all(row.shown == b"" for row in page.items)
        after = page.next

    assert found == ["a6", "a5", "a4", "a3", "a2", "a1", "a0"]
    with pytest.raises(BadCursor):
        await store.store.approvals.approvals(after="x:y", limit=3)


async def test_questions_are_found_by_what_they_are_about(store: StoreBackend) -> None:
    await store.decide(
        approvals=[
            a_question("a"),
            a_question("b", state="approved"),
            a_question("c", workflow="bonus"),
            a_question("d", account="live-1:9"),
            a_question("e", permission="mail.approve"),
        ]
    )

    async def found(**by: str) -> str:
        page = await store.store.approvals.approvals(after="", limit=10, wanted=ApprovalFilter(**by))
        return "".join(sorted(row.id for row in page.items))

    assert await found() == "abcde"
    assert await found(state="open") == "acde"
    assert await found(state="approved") == "b"
    assert await found(workflow="bonus") == "c"
    assert await found(account="live-1:9") == "d"
    assert await found(permission="mail.approve", state="open") == "e"


async def test_what_was_decided_outlives_the_pruning(store: StoreBackend) -> None:
    await store.decide(approvals=[a_question("a", state="approved")])
    await store.clock.advance(timedelta(days=1_000))

    await store.store.pruner.prune()

    assert await store.store.approvals.approval("a") is not None


async def test_many_open_questions_survive_a_restart_and_their_time_comes(store: StoreBackend) -> None:
    rows = [a_question(f"a{n:04}") for n in range(1_000)]
    timers = [TimerRow(n % 64, NOW + 1_000_000, f"t{n}", KEY, "wait", b"{}") for n in range(1_000)]
    await store.decide(approvals=rows, timers=timers)
    await store.reopen()
    await store.clock.advance(HOUR)

    assert await store.store.approvals.open_approvals() == 1_000
    fired = 0
    while more := await store.engine.fire_timers(store.clock.now_us(), 256):
        fired += more

    assert fired == 1_000


async def test_a_process_that_owns_nothing_leaves_a_ballot_for_the_owner(postgres: PostgresBackend) -> None:
    """The API's process has no partitions: its ballot is taken in by who has, and waited for a moment."""
    await postgres.decide(approvals=[a_question("a")])
    far = PostgresLog(postgres.store.database, postgres.clock, Nothing())
    clock = SystemClock()
    desk = ApprovalDesk(postgres.store.approvals, far, clock)
    ballot = Ballot("b1", "a", "payouts", "run-a", "approve", "key_1", "dora", "money.approve", "ab" * 32)

    async def owner() -> None:
        while not await postgres.store.log.take_arrivals(10):
            await asyncio.sleep(0.01)
        (row,) = await rows_of(postgres.log, 0)
        assert (row.kind, row.key, row.ref) == (InputKind.APPROVAL, KEY, "a")
        assert decode_ballot(row.body) == ballot
        said = Said([Vote("b1", "key_1", "dora", "approve", NOW)], [])
        await postgres.decide(approval_moves=[ApprovalMove("a", "approved", msgspec.json.encode(said))])

    async with asyncio.TaskGroup() as group:
        group.create_task(owner())
        decided = await desk.decide(a_question("a"), ballot)

    assert decided.state == "approved"


async def test_an_answer_is_not_waited_for_for_ever(store: StoreBackend) -> None:
    await store.decide(approvals=[a_question("a")])
    desk = ApprovalDesk(store.store.approvals, store.log, store.clock)
    ballot = Ballot("b1", "a", "payouts", "run-a", "approve", "key_1", "dora", "money.approve", "ab" * 32)

    async with asyncio.TaskGroup() as group:
        asking = group.create_task(desk.decide(a_question("a"), ballot))
        while not asking.done():
            await store.clock.advance(timedelta(milliseconds=200))
            await asyncio.sleep(0.01)

    assert asking.result().state == "open"
