"""The same life for an endpoint in order of accounts: who waits for whom, who passes whom, and who is given up for it.

To what any delivery is promised comes what the order promises: of an account one at a time, and none before those that
came earlier, but for what `stuck` says of one that fails.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule
from unit.dispatch.test_delivery_machine import ENDS, WAITS, Life, Model
from unit.dispatch.test_dispatcher import an_endpoint, an_event

from hub.clock import SECOND_US
from hub.dispatch.options import EndpointOptions
from hub.dispatch.outbox import DeliveryState

ACCOUNTS = 3


class Policy(NamedTuple):
    stuck: str
    seconds: float | None

    @property
    def patience(self) -> int | None:
        """Return how long one that fails holds up those behind it, in µs; None for as long as it takes."""
        if self.seconds is None:
            return None if self.stuck == "block" else 0
        return int(self.seconds * SECOND_US)


POLICIES = [
    Policy("block", None),
    Policy("block", 45.0),
    Policy("park", None),
    Policy("park", 45.0),
    Policy("skip", None),
    Policy("skip", 45.0),
]


@dataclass
class Ordered(Model):
    policy: Policy = POLICIES[0]
    on_their_way: set[int] = field(default_factory=set)

    def asked(self, n: int, now: int) -> None:
        super().asked(n, now)
        one = self.owed[n]
        earlier = [m for m in self.owed if m < n and account_of(m) == account_of(n)]
        if any(account_of(m) == account_of(n) for m in self.on_their_way - {n}):
            self.broken.append(f"event {n} was sent while another of its account was on its way")
        if not one.replayed:
            for m in earlier:
                if self.owed[m].ended is None and not self.owed[m].replayed and not self.may_pass(m, now):
                    self.broken.append(f"event {n} was sent before event {m} of its account")
        self.on_their_way.add(n)

    def may_pass(self, m: int, now: int) -> bool:
        """Return whether those behind one that failed need not wait for it any more."""
        patience, first = self.policy.patience, self.owed[m].first_tried
        return (
            self.policy.stuck != "park"
            and patience is not None
            and first is not None
            and now >= first + patience
        )

    def answered(self, n: int, answer: str, now: int) -> None:
        super().answered(n, answer, now)
        self.on_their_way.discard(n)
        one = self.owed[n]
        if self.policy.stuck != "park" or answer in ENDS or one.ended is not None:
            return
        assert self.policy.patience is not None
        assert one.first_tried is not None
        end = one.first_tried + self.policy.patience
        if end <= now:
            one.ended = DeliveryState.EXHAUSTED
        else:
            one.not_before = min(one.not_before, end)


def account_of(n: int) -> int:
    return n * 7 % 5 % ACCOUNTS


class InOrder(Life):
    def set_out(self):
        """Wait for the policy."""

    @initialize(policy=st.sampled_from(POLICIES))
    def choose(self, policy):
        self.model = Ordered(policy=policy, one_at_a_time=False)
        options = EndpointOptions(order="account", stuck=policy.stuck, stuck_s=policy.seconds)
        self.do(self.begin(an_endpoint(schedule=WAITS, options=options), concurrency=ACCOUNTS))

    def event(self, n):
        login = account_of(n)
        return an_event(n, partition=login, account={"server": "live-1", "login": login})

    @rule(
        answer=st.sampled_from(["error", "later", "lost", "no", "ok", "abort"]),
        count=st.integers(1, 4),
        seconds=st.sampled_from([1, 7, 30, 91, 700]),
    )
    def some_fail_and_more_come(self, answer, count, seconds):
        """What single steps would seldom come to by chance."""
        self.change_its_mind(answer)
        self.publish(count)
        self.time_passes(seconds)

    def forgotten(self):
        self.model.on_their_way.clear()


TestInOrder = InOrder.TestCase
TestInOrder.settings = settings(max_examples=40, stateful_step_count=20, deadline=timedelta(seconds=20))
