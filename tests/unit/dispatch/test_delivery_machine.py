"""A delivery's life against a model that knows only the promise: hypothesis looks for a story in which they differ.

The model sees what the receiver sees, requests and answers, and what an operator does. It never asks the hub.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from unit.dispatch.answering import Answering, killed
from unit.dispatch.test_dispatcher import LOST, OK, an_endpoint, an_event

from hub.clock import SECOND_US
from hub.dispatch.delivery import FINAL, MOVES, Aborted, Delivered, Gone, Refused
from hub.dispatch.outbox import DeliveryState

WAITS = (5.0, 60.0, 600.0)
ANSWERS = {
    "ok": OK,
    "error": Refused(500, 1),
    "no": Refused(404, 1),
    "redirect": Refused(301, 1),
    "later": Refused(429, 1, b"", 90 * SECOND_US),
    "lost": LOST,
    "gone": Gone(1),
    "disable": Gone(1, status=400, by_header=True),
    "farewell": Delivered(200, 1, farewell=True),
    "abort": Aborted(400, 1),
}
ENDS = {
    "ok": DeliveryState.DELIVERED,
    "farewell": DeliveryState.DELIVERED,
    "gone": DeliveryState.CANCELLED,
    "disable": DeliveryState.CANCELLED,
    "abort": DeliveryState.ABORTED,
}
SWITCHES_OFF = {"gone", "disable", "farewell"}


@dataclass
class Owed:
    """What is promised of one event."""

    attempts: int = 0
    not_before: int = 0
    ended: DeliveryState | None = None
    first_tried: int | None = None
    replayed: bool = False


@dataclass
class Model:
    owed: dict[int, Owed] = field(default_factory=dict)
    enabled: bool = True
    paused_until: int = 0
    broken: list[str] = field(default_factory=list)
    began: dict[int, int] = field(default_factory=dict)
    one_at_a_time: bool = True
    told_at: int = -1

    def asked(self, n: int, now: int) -> None:
        """Judge a request the receiver got."""
        one = self.owed[n]
        self.began[n] = now
        too_soon_to_know = not self.one_at_a_time and now == self.told_at  # it was on its way already
        for wrong, why in (
            (not self.enabled and not too_soon_to_know, "was sent while the endpoint was off"),
            (one.ended is not None, f"was sent although it had ended as {one.ended}"),
            (now < one.not_before, "was sent before its wait was over"),
            (now < self.paused_until and not too_soon_to_know, "was sent in a pause"),
        ):
            if wrong:
                self.broken.append(f"event {n} {why}")

    def answered(self, n: int, answer: str, now: int) -> None:
        one = self.owed[n]
        one.attempts += 1
        one.first_tried = one.first_tried if one.first_tried is not None else self.began.pop(n, now)
        if answer == "later" or answer in SWITCHES_OFF:
            self.told_at = now
        if answer == "later":
            self.paused_until = max(self.paused_until, now + 90 * SECOND_US)
        if answer in ENDS:
            one.ended = ENDS[answer]
        elif one.attempts > len(WAITS):
            one.ended = DeliveryState.EXHAUSTED
        else:
            one.not_before = now + int(WAITS[one.attempts - 1] * SECOND_US)
            if answer == "later":
                one.not_before = max(one.not_before, self.paused_until)
        if answer in SWITCHES_OFF:
            self.enabled = False


class Life(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.model = Model()
        self.next_answer = "ok"
        self.hung: dict[int, asyncio.Event] = {}
        self.hangs = False
        self.set_out()

    def set_out(self):
        self.do(self.begin(an_endpoint(schedule=WAITS), concurrency=1))

    def do(self, what):
        return self.loop.run_until_complete(what)

    async def begin(self, endpoint, concurrency):
        self.house = Answering(endpoint, concurrency=concurrency)
        self.house.receivers.answers["ep"] = self.receive
        self.task = self.house.start()
        await self.house.settle()

    def receive(self, headers):
        n = int(headers["webhook-id"].removeprefix("evt_"))
        self.model.asked(n, self.house.clock.now_us())
        if self.hangs:
            self.hung[n] = asyncio.Event()
            return self.answer_later(n)
        return self.answer(n)

    async def answer_later(self, n):
        await self.hung[n].wait()
        return self.answer(n)

    def answer(self, n):
        self.model.answered(n, self.next_answer, self.house.clock.now_us())
        return ANSWERS[self.next_answer]

    def event(self, n):
        return an_event(n)

    @rule(count=st.integers(1, 3))
    def publish(self, count):
        async def tell():
            for _ in range(count):
                n = len(self.model.owed) + 1
                if self.model.enabled:
                    self.model.owed[n] = Owed()
                else:
                    self.model.owed[n] = Owed(ended=DeliveryState.CANCELLED)  # nobody was there to want it
                await self.house.tell(self.event(n))

        self.do(tell())

    @rule(answer=st.sampled_from(sorted(ANSWERS)))
    def change_its_mind(self, answer):
        self.next_answer = answer

    @rule(seconds=st.sampled_from([0.01, 1, 5, 7, 30, 89, 91, 700, 5_000]))
    def time_passes(self, seconds):
        self.do(self.house.advance(seconds=seconds))

    @rule()
    def answers_hang(self):
        self.hangs = True

    @rule()
    def answers_come(self):
        async def come():
            self.hangs = False
            for waiting in self.hung.values():
                waiting.set()
            self.hung.clear()
            await self.house.settle()

        self.do(come())

    @rule()
    def killed(self):
        """Whatever is on its way is forgotten: the receiver was asked, and nobody heard the answer."""

        async def again():
            await killed(self.task)
            self.hung.clear()
            self.hangs = False
            self.forgotten()
            self.house.restart()
            self.task = self.house.start()
            await self.house.settle()

        self.do(again())

    def forgotten(self):
        """Nothing is on its way any more."""

    @precondition(lambda self: not self.hung)
    @rule()
    def switched_off_by_hand(self):
        async def off():
            endpoint = await self.house.endpoints.get("ep")
            self.model.enabled = False
            await self.house.endpoints.replace(endpoint, endpoint._replace(state="disabled"))
            await self.house.dispatcher.refresh()
            await self.house.settle()

        self.do(off())

    @precondition(lambda self: not self.hung)
    @rule()
    def switched_on_again(self):
        async def on():
            endpoint = await self.house.endpoints.get("ep")
            if not self.model.enabled:
                self.model.paused_until = 0  # whoever switches it on again begins anew
            self.model.enabled = True
            await self.house.endpoints.replace(endpoint, endpoint._replace(state="enabled", reason=""))
            await self.house.dispatcher.refresh()
            await self.house.settle()

        self.do(on())

    @precondition(lambda self: not self.hung)
    @rule(which=st.integers(0, 50))
    def replayed(self, which):
        """Somebody puts one that has ended among what waits again, as if it were new."""

        async def replay():
            rows = [row for row in self.house.deliveries.rows() if row.state is not DeliveryState.WAITING]
            if not rows:
                return
            row = rows[which % len(rows)]
            now = self.house.clock.now_us()
            self.model.owed[row.n] = Owed(replayed=True)
            self.house.deliveries._put(
                row._replace(state=DeliveryState.WAITING, attempts=0, due=now, created_at=now)
            )
            self.house.dispatcher.look_at_everything()
            await self.house.settle()

        self.do(replay())

    @invariant()
    def nothing_was_sent_that_should_not_have_been(self):
        assert not self.model.broken, "\n".join(self.model.broken)

    @invariant()
    def what_is_stored_is_what_was_promised(self):
        rows = {row.n: row for row in self.house.deliveries.rows()}
        for n, one in self.model.owed.items():
            if n in self.hung or (n not in rows and one.ended is DeliveryState.CANCELLED):
                continue
            assert rows[n].state == (one.ended or DeliveryState.WAITING), n
            assert rows[n].attempts == one.attempts, n

    @invariant()
    def the_endpoint_is_on_or_off_as_promised(self):
        endpoint = self.do(self.house.endpoints.get("ep"))
        assert (endpoint.state == "enabled") == self.model.enabled

    def teardown(self):
        async def end():
            self.hangs = False
            for waiting in self.hung.values():
                waiting.set()
            await self.house.settle()
            await self.house.advance(hours=2)

        self.next_answer = "ok"
        try:
            if not self.model.enabled:
                self.switched_on_again()
            self.do(end())
            assert not self.model.broken, "\n".join(self.model.broken)
            assert all(one.ended is not None for one in self.model.owed.values()), "something waits for ever"
        finally:
            with suppress(BaseException):
                self.do(killed(self.task))
            self.loop.close()


def test_every_way_a_delivery_can_end_is_among_the_answers():
    told = {DeliveryState.WAITING, DeliveryState.EXHAUSTED, *ENDS.values()}

    assert told == MOVES[DeliveryState.WAITING]
    assert told - {DeliveryState.WAITING} == FINAL


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=30, deadline=timedelta(seconds=20))
