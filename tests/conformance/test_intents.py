"""What dispatch relies on: due intents come in order, and an intent moves for one mover only."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from conformance.backends import Dispatch, SqliteBackend, error_of
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.bus.log import Input, InputKind
from hub.clock import to_us
from hub.dispatch.outbox import Move
from hub.intents.intent import Intent, State
from hub.store.sqlite.outbox import SqliteIntents
from hub.testing import MORNING, an_input, an_intent

NOW = to_us(MORNING)


# --- intents


async def test_due_intents_come_most_urgent_first(dispatch: Dispatch) -> None:
    await dispatch.add_intents(
        an_intent("normal-late", due=NOW - 1),
        an_intent("normal-b", due=NOW - 5),
        an_intent("normal-a", due=NOW - 5),
        an_intent("bulk", due=NOW - 9, priority=2),
        an_intent("critical", due=NOW, priority=0),
        an_intent("unknown", due=NOW - 3, state=State.UNKNOWN),
        an_intent("future", due=NOW + 1, priority=0),
        *(
            an_intent(f"over-{state}", due=0, state=state)
            for state in State
            if state not in {"ready", "unknown"}
        ),
    )

    due = [intent.key for intent in await dispatch.intents.due(NOW, 100)]

    assert due == ["critical", "normal-a", "normal-b", "unknown", "normal-late", "bulk"]
    assert [intent.key for intent in await dispatch.intents.due(NOW, 2)] == due[:2]


async def test_an_intent_comes_back_as_it_was_written(dispatch: Dispatch) -> None:
    intent = an_intent("i1", state=State.UNKNOWN)._replace(
        sends=1, looks=2, sent_at=5, ticket=2**62, reason="why"
    )
    await dispatch.add_intents(intent)
    await dispatch.reopen()

    found = await dispatch.intents.get("i1")

    assert found == intent
    assert isinstance(found, Intent)
    assert isinstance(found.state, State)
    assert await dispatch.intents.in_state(State.UNKNOWN, 10) == [intent]
    assert await dispatch.intents.in_state(State.READY, 10) == []
    assert await dispatch.intents.get("i2") is None


async def test_of_two_movers_one_wins(dispatch: Dispatch) -> None:
    intent = an_intent("i1")
    await dispatch.add_intents(intent)
    sending = intent._replace(state=State.SENDING, attempts=1)

    async with asyncio.TaskGroup() as group:
        movers = [group.create_task(dispatch.intents.move([Move(intent, sending)])) for _ in range(5)]

    assert sorted(mover.result() for mover in movers) == [[False]] * 4 + [[True]]
    assert await dispatch.intents.get("i1") == sending


async def test_each_move_of_a_call_stands_for_itself(dispatch: Dispatch) -> None:
    one, gone, stranger = an_intent("i1"), an_intent("i2", state=State.APPLIED), an_intent("i3")
    await dispatch.add_intents(one, gone)

    made = await dispatch.intents.move(
        [
            Move(gone._replace(state=State.SENDING), gone._replace(state=State.REJECTED)),
            Move(one, one._replace(state=State.SENDING, attempts=1)),
            Move(stranger, stranger._replace(state=State.SENDING)),
            Move(one, one._replace(state=State.REJECTED)),
        ]
    )

    assert made == [False, True, False, False]
    assert await dispatch.intents.get("i2") == gone
    assert await dispatch.intents.get("i3") is None


async def test_a_move_by_one_who_missed_an_attempt_is_refused(dispatch: Dispatch) -> None:
    before = an_intent("i1", attempts=1)
    await dispatch.add_intents(before._replace(attempts=2))

    assert await dispatch.intents.move([Move(before, before._replace(state=State.DELIVERED))]) == [False]


async def test_the_outcome_is_told_with_the_move_that_was_made_and_only_then(dispatch: Dispatch) -> None:
    intent = an_intent("i1", state=State.SENDING)
    await dispatch.add_intents(intent)

    def applied(body: bytes) -> Move:
        outcome = an_input(kind=InputKind.OUTCOME, key=intent.account, ref="i1", body=body)
        return Move(intent, intent._replace(state=State.APPLIED, ticket=77), outcome)

    made = [await dispatch.intents.move([applied(body)]) for body in (b"first", b"second")]

    assert made == [[True], [False]]
    assert await dispatch.outcomes() == [("i1", b"first")]
    stored = await dispatch.intents.get("i1")
    assert stored is not None
    assert stored.ticket == 77


async def test_an_outcome_that_cannot_be_written_takes_its_move_back(sqlite: SqliteBackend) -> None:
    intent = an_intent("i1", state=State.SENDING)
    await sqlite.add_intents(intent)
    bad = an_input(kind=InputKind.OUTCOME, body="not bytes")  # type: ignore[arg-type]  # on purpose

    error = await error_of(sqlite.intents.move([Move(intent, intent._replace(state=State.APPLIED), bad)]))

    assert error is not None
    assert await sqlite.intents.get("i1") == intent
    assert await sqlite.outcomes() == []


async def test_a_listener_hears_the_outcome(sqlite: SqliteBackend) -> None:
    heard: list[Input] = []
    sqlite.store.log.listen(heard.extend)
    intent = an_intent("i1", state=State.SENDING)
    await sqlite.add_intents(intent)

    outcome = an_input(kind=InputKind.OUTCOME, ref="i1")
    await sqlite.intents.move([Move(intent, intent._replace(state=State.APPLIED), outcome)])

    assert [row.ref for row in heard] == ["i1"]


# --- when to look next


async def test_intents_that_were_due_before_a_restart_are_looked_for_after_it(dispatch: Dispatch) -> None:
    await dispatch.add_intents(an_intent("i1", due=NOW))
    await dispatch.reopen()

    next_due = dispatch.intents.next_due()

    assert next_due is not None
    assert next_due <= NOW


class SlowReader:
    """Reads at once and answers only when it may."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.looked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def read(self, work: Any) -> Any:
        answer = await self._reader.read(work)
        self.looked.set()
        await self.may_answer.wait()
        return answer


async def test_what_comes_while_a_look_is_on_its_way_is_not_forgotten(sqlite: SqliteBackend) -> None:
    slow = SlowReader(sqlite.store.reader)
    intents = SqliteIntents(sqlite.store.writer, slow, sqlite.store.log)  # type: ignore[arg-type]  # slower, not other
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        look = group.create_task(intents.due(NOW, 10))
        await slow.looked.wait()
        intents.told([an_intent("i1", due=NOW + 5), an_intent("i2", due=NOW + 9)])
        slow.may_answer.set()

    assert look.result() == []
    assert intents.next_due() == NOW + 5


async def test_a_look_that_was_given_up_forgets_nothing(sqlite: SqliteBackend) -> None:
    await sqlite.add_intents(an_intent("i1", due=NOW))
    async with asyncio.TaskGroup() as group:
        look = group.create_task(sqlite.intents.due(NOW, 10))
        await asyncio.sleep(0)
        look.cancel()

    next_due = sqlite.intents.next_due()
    assert next_due is not None
    assert next_due <= NOW


ADD = st.tuples(st.just("add"), st.integers(0, 9), st.integers(0, 20), st.integers(0, 2))
LOOK = st.tuples(st.just("look"), st.integers(0, 20), st.integers(1, 3), st.just(0))
MOVE = st.tuples(st.just("move"), st.integers(0, 9), st.integers(0, 20), st.sampled_from([0, 1]))
RESTART = st.tuples(st.just("restart"), st.just(0), st.just(0), st.just(0))


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(ADD | LOOK | MOVE | RESTART, max_size=14))
async def test_the_next_due_moment_is_never_told_too_late(steps: list[tuple[str, int, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sqlite = await SqliteBackend(Path(folder)).open()
        try:
            await _walk(sqlite, steps)
        finally:
            await sqlite.close()


async def _walk(sqlite: SqliteBackend, steps: list[tuple[str, int, int, int]]) -> None:
    model: dict[str, Intent] = {}
    for what, number, due, extra in steps:
        key = f"i{number}"
        if what == "add":
            intent = an_intent(key, due=due, priority=extra)
            await sqlite.add_intents(intent)
            model.setdefault(key, intent)
        elif what == "look":
            found = await sqlite.intents.due(number, due)
            right = sorted(
                (i for i in model.values() if i.state is State.READY and i.due <= number), key=_urgency
            )
            assert found == right[:due]
            first = min((i.due for i in model.values() if i.state is State.READY), default=None)
            assert sqlite.intents.next_due() == first
        elif what == "move" and key in model:
            before = model[key]
            state = State.SENDING if extra else State.READY
            after = before._replace(state=state, due=due, attempts=before.attempts + 1)
            assert await sqlite.intents.move([Move(before, after)]) == [True]
            model[key] = after
        elif what == "restart":
            await sqlite.reopen()
        soonest = min((i.due for i in model.values() if i.state is State.READY), default=None)
        told = sqlite.intents.next_due()
        assert soonest is None or (told is not None and told <= soonest)


def _urgency(intent: Intent) -> tuple[int, int, str]:
    return intent.priority, intent.due, intent.key
