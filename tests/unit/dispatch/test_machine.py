from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hub.clock import MICROSECOND
from hub.dispatch.effects import machine
from hub.dispatch.effects.backend import (
    Applied,
    Doubtful,
    Found,
    NotFound,
    NotSent,
    Refused,
    Unknown,
    Unreadable,
)
from hub.dispatch.effects.machine import Timing
from hub.intents.intent import FINAL, MOVES, Intent, State
from hub.intents.outcome import decode_outcome, encode_outcome
from hub.intents.verbs import VERBS

NOW = 1_750_000_000_000_000
TIMING = Timing()
QUIESCE = TIMING.money_quiesce // MICROSECOND


def an_intent(**changes):
    fields = {
        "key": "bonus/live-1:1001/t/e/grant",
        "partition": 1,
        "account": "live-1:1001",
        "verb": "credit.grant",
        "params": b'{"amount":"50"}',
        "workflow": "bonus",
        "run": "r",
        "step": "grant",
        "caused_by": "evt_1",
        "state": State.READY,
        "at": NOW,
        "due": NOW,
    }
    return Intent(**fields | changes)


def test_what_was_applied_is_told_with_its_ticket_and_what_was_before():
    sending = machine.begin(an_intent(), NOW)

    step = machine.after_execute(sending, Applied(77, {"credit": "0"}), NOW, TIMING)

    assert step.after.state is State.APPLIED
    assert decode_outcome(encode_outcome(step.outcome)) == step.outcome
    assert (step.outcome.ticket, step.outcome.before, step.outcome.sends) == (77, {"credit": "0"}, 1)


def test_a_crash_while_sending_makes_it_unknown_and_never_ready():
    step = machine.recover(machine.begin(an_intent(), NOW), NOW + 5, TIMING)

    assert step.after.state is State.UNKNOWN
    assert step.after.due == NOW + 5 + QUIESCE
    assert step.outcome.state == "unknown"


def test_an_unknown_one_is_left_alone_until_it_can_no_longer_happen():
    step = machine.after_execute(machine.begin(an_intent(), NOW), Unknown("dropped"), NOW, TIMING)

    assert step.after.due == NOW + QUIESCE


def test_nothing_sent_means_ready_again_a_little_later_and_uncounted():
    step = machine.after_execute(machine.begin(an_intent(), NOW), NotSent("no session"), NOW, TIMING)

    assert (step.after.state, step.after.sends, step.after.sent_at) == (State.READY, 0, None)
    assert step.after.due > NOW
    assert step.outcome is None


def test_found_once_is_applied_and_found_twice_is_an_incident_too():
    unknown = an_intent(state=State.UNKNOWN, sends=1, sent_at=NOW)

    once = machine.after_look(unknown, Found((5,)), NOW, TIMING)
    twice = machine.after_look(unknown, Found((5, 9)), NOW, TIMING)

    assert (once.after.state, once.after.ticket, once.outcome.incident) == (State.APPLIED, 5, "")
    assert (twice.after.state, twice.after.ticket) == (State.APPLIED, 5)
    assert "2 times (tickets 5, 9)" in twice.outcome.incident


def test_two_complete_looks_allow_one_more_send_and_then_a_person_decides():
    unknown = an_intent(state=State.UNKNOWN, sends=1, sent_at=NOW)

    first = machine.after_look(unknown, NotFound(), NOW, TIMING).after
    second = machine.after_look(first, NotFound(), NOW, TIMING).after
    again = second._replace(state=State.UNKNOWN, sends=2, looks=1)
    parked = machine.after_look(again, NotFound(), NOW, TIMING)

    assert (first.state, second.state) == (State.UNKNOWN, State.READY)
    assert parked.after.state is State.PARKED
    assert "decide" in parked.outcome.incident


def test_an_incomplete_read_starts_the_count_of_looks_again():
    once_looked = an_intent(state=State.UNKNOWN, sends=1, looks=1, sent_at=NOW)

    step = machine.after_look(once_looked, Unreadable("cut off"), NOW, TIMING)

    assert (step.after.state, step.after.looks) == (State.UNKNOWN, 0)


def test_a_refusal_of_the_second_send_says_nothing_about_the_first():
    again = machine.begin(an_intent(sends=1, sent_at=NOW), NOW)

    step = machine.after_execute(again, Refused("no money"), NOW, TIMING)

    assert step.after.state is State.UNKNOWN


def test_a_row_that_may_be_it_is_for_a_person():
    unknown = an_intent(state=State.UNKNOWN, sends=1, sent_at=NOW)

    assert machine.after_look(unknown, Doubtful("same amount"), NOW, TIMING).after.state is State.PARKED


def test_the_first_send_stays_the_beginning_of_the_window_to_look_in():
    again = machine.begin(an_intent(sends=1, sent_at=NOW, attempts=4), NOW + 90_000_000)

    assert again.sent_at == NOW


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS.values() if verb.is_manager])
def test_only_verbs_with_a_desired_state_are_sent_more_than_twice(verb):
    rules = machine.policy(verb, TIMING)

    assert (rules.sends > 2) == VERBS[verb].desired_state
    assert machine.is_money(verb) != VERBS[verb].desired_state
    assert rules.looks >= (1 if VERBS[verb].desired_state else 2)


def test_a_verb_nobody_knows_is_handled_like_money():
    assert machine.is_money("future.verb")
    assert machine.policy("future.verb", TIMING).sends == 2


executed = st.one_of(
    st.builds(Applied, st.none() | st.integers(1, 99)),
    st.builds(Refused, st.text(max_size=5)),
    st.builds(Unknown, st.text(max_size=5)),
    st.builds(NotSent, st.text(max_size=5)),
)
seen = st.one_of(
    st.builds(Found, st.lists(st.integers(1, 99), max_size=3, unique=True).map(tuple)),
    st.just(NotFound()),
    st.just(NotFound()),
    st.builds(Unreadable, st.text(max_size=5)),
    st.builds(Doubtful, st.text(max_size=5)),
)


class MoneyLife(RuleBasedStateMachine):
    """Any story a backend and crashes can write, told to one money intent."""

    def __init__(self):
        super().__init__()
        self.intent = an_intent()
        self.now = NOW
        self.complete_looks = 2  # nothing was sent yet, so nothing has to be looked for
        self.last_sent = None
        self.really_sent = 0

    def follow(self, after):
        assert after.state in MOVES[self.intent.state]
        assert after.attempts == self.intent.attempts + 1
        self.intent = after

    @precondition(lambda self: self.intent.state is State.READY)
    @rule(done=executed, crash=st.booleans(), took=st.integers(0, 20_000_000))
    def send(self, done, crash, took):
        self.now = max(self.now, self.intent.due)
        assert self.complete_looks >= 2, "sent again without two complete looks"
        if self.last_sent is not None:
            assert self.now - self.last_sent >= QUIESCE, "sent again before the first could no longer happen"
        self.follow(machine.begin(self.intent, self.now))
        if crash:
            self.now += took
            self.follow(machine.recover(self.intent, self.now, TIMING).after)
            sent = True
        else:
            self.now += took
            self.follow(machine.after_execute(self.intent, done, self.now, TIMING).after)
            sent = not isinstance(done, NotSent)
        if sent:
            self.really_sent += 1
            self.complete_looks = 0
            self.last_sent = self.now

    @precondition(lambda self: self.intent.state is State.UNKNOWN)
    @rule(what=seen)
    def look(self, what):
        self.now = max(self.now, self.intent.due)
        self.complete_looks = self.complete_looks + 1 if isinstance(what, NotFound) else 0
        self.follow(machine.after_look(self.intent, what, self.now, TIMING).after)

    @precondition(lambda self: self.intent.state in FINAL)
    @rule(what=seen, done=executed)
    def nothing_moves_what_has_ended(self, what, done):
        for act in (
            lambda: machine.begin(self.intent._replace(state=State.APPLIED), self.now),
            lambda: machine.after_execute(self.intent, done, self.now, TIMING),
            lambda: machine.recover(self.intent._replace(state=State.REJECTED), self.now, TIMING),
            lambda: machine.after_look(self.intent._replace(state=State.DELIVERED), what, self.now, TIMING),
        ):
            with pytest.raises(machine.MoveForbidden):
                act()

    @precondition(lambda self: self.intent.state is State.PARKED)
    @rule(verdict=st.sampled_from([State.APPLIED, State.REJECTED]))
    def a_person_decides(self, verdict):
        self.follow(machine.decided(self.intent, verdict, "looked at the account", self.now).after)

    @invariant()
    def it_is_sent_twice_at_most(self):
        assert self.really_sent <= 2
        assert self.intent.sends <= 2


TestMoneyLife = MoneyLife.TestCase
TestMoneyLife.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)


@given(st.integers(0, 60))
def test_waiting_for_a_session_grows_and_never_passes_its_limit(attempts):
    sending = an_intent(state=State.SENDING, sends=1, attempts=attempts)

    due = machine.after_execute(sending, NotSent("away"), NOW, TIMING).after.due

    assert timedelta(0) < (due - NOW) * MICROSECOND <= TIMING.longest_retry
