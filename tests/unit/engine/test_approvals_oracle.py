"""Whatever people try, in whatever order and over restarts: nothing is done that was not approved, and all of it is replayable."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from unit.engine.desk import MORNING
from unit.engine.test_approvals import Town, a_payout

from hub.clock import to_us
from hub.events.facts import stored

PEOPLE = ("carl", "dora", "emil", "fritz")
QUORUM = 2
DUE = 24
ASKS = f'within: {DUE}h, quorum: {QUORUM}, not_by: ["= event.requested_by"]'
WORKFLOW = a_payout(ASKS)

tries = st.one_of(
    st.tuples(st.just("approve"), st.sampled_from(PEOPLE), st.booleans()),
    st.tuples(st.just("decline"), st.sampled_from(PEOPLE), st.booleans()),
    st.tuples(st.just("wait"), st.integers(1, 30), st.booleans()),
    st.tuples(st.just("restart"), st.just(""), st.just(False)),
    st.tuples(st.just("move"), st.integers(1, 9), st.just(False)),
)


@dataclass
class Rulebook:
    """What has to come of it, told as simply as can be."""

    hours: int = 0
    state: str = "open"
    approved_by: set[str] = field(default_factory=set)

    def says(self, who: str, decision: str, *, seen: bool) -> None:
        self.passes(0)
        if self.state != "open" or who == "carl" or not seen:
            return
        if decision == "decline":
            self.state = "declined"
            return
        self.approved_by.add(who)
        if len(self.approved_by) == QUORUM:
            self.state = "approved"

    def passes(self, hours: int) -> None:
        self.hours += hours
        if self.hours >= DUE and self.state == "open":
            self.state = "expired"


def play(script: list[tuple[str, str | int, bool]]) -> tuple[Town, Rulebook]:
    town, rules = Town(WORKFLOW), Rulebook()
    town.account(currency="USD", digits=2)
    town.request(amount="5000", by="carl")
    for what, who, flag in script:
        match what:
            case "approve" | "decline":
                town.says(str(who), what, **({} if flag else {"hash": "0" * 64}))
                rules.says(str(who), what, seen=flag)
            case "wait":
                rules.passes(int(who))
                if flag:
                    town.timers.clear()  # the hub is away, and hears of the time with the next input
                    town.now = to_us(MORNING + timedelta(hours=rules.hours))
                else:
                    town.until(MORNING + timedelta(hours=rules.hours))
            case "restart":
                town.restart()
            case _:
                town.account(group=f"group-{who}", digits=2)
    town.account(group="the end")  # so that time is noticed
    return town, rules


@given(st.lists(tries, max_size=14))
def test_it_is_done_once_and_only_if_enough_different_people_approved_in_time(script) -> None:
    town, rules = play(script)

    assert town.asked.state == rules.state
    paid = [i for d in town.decisions for i in d.intents if i.verb == "balance.withdraw"]
    assert len(paid) == (rules.state == "approved")
    assert all(intent.params == b'{"amount":"5000.00","comment":"for w1"}' for intent in paid)
    told = [fact.envelope.type for fact in town.facts if fact.envelope.type.startswith("action.")]
    expected = {"open": [], "approved": ["action.approved"]}
    assert told == expected.get(rules.state, ["action.declined"])
    assert (town.state.alarm_due < 2**63) is (rules.state == "open")


SCRIPT: list[tuple[str, str | int, bool]] = [
    ("approve", "carl", True), ("approve", "dora", False), ("approve", "dora", True), ("move", 3, False),
    ("wait", 3, False), ("approve", "dora", True), ("approve", "emil", True), ("decline", "fritz", True),
]  # fmt: skip


def digest() -> str:
    town, _ = play(SCRIPT)
    written = [str(town.rows)]
    for *rows, facts in town.written():
        written += [str(rows), *(str((fact.key, fact.content, stored(fact.envelope))) for fact in facts)]
    return sha256("\n".join(written).encode()).hexdigest()


def test_the_same_log_gives_the_same_bytes_under_any_hash_seed() -> None:
    tests = Path(__file__).parents[2]
    command = [sys.executable, "-c", "from unit.engine.test_approvals_oracle import digest; print(digest())"]
    found = {
        subprocess.run(
            command,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{tests}:{tests.parent}"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert found == {f"{digest()}\n"}
