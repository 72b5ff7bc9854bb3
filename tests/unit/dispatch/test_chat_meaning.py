"""What is told of a message to a team: it goes again only where it surely was not taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.dispatch.channels.chat_meaning import meaning
from hub.dispatch.channels.chat_wire import Answer, Done, Trouble
from hub.dispatch.effects.notifier import Declined, Later, Sent, Unsure

STATUSES = st.integers(min_value=200, max_value=599)


def done(*statuses: int, troubles: tuple[Trouble, ...] = (), taken: bool = False) -> Done:
    return Done(taken, tuple(Answer(status) for status in statuses), troubles)


@pytest.mark.parametrize(
    ("what", "kind", "ours"),
    [
        (done(200, taken=True), Sent, False),
        (done(429, 200, taken=True), Sent, False),
        (done(200), Unsure, False),  # such as {"ok": false} in an answer 200
        (done(200, 404), Unsure, False),  # one of two targets has it
        (done(404, 503), Unsure, False),
        (done(408), Unsure, False),
        (done(troubles=(Trouble.LOST,)), Unsure, False),
        (done(400, troubles=(Trouble.LOST,)), Unsure, False),
        (done(troubles=(Trouble.UNREACHED,)), Later, False),
        (done(troubles=(Trouble.INSIDE,)), Later, True),
        (done(troubles=(Trouble.NO_ADDRESS,)), Later, True),
        (done(400, 429), Later, False),
        (done(301), Later, True),
        (done(401), Later, True),
        (done(422), Declined, False),
        (done(), Declined, False),
    ],
)
def test_an_answer_means(what: Done, kind: type, ours: bool) -> None:
    told, somebody_has_to_look = meaning(what, 0)

    assert (type(told), somebody_has_to_look) == (kind, ours)


@given(st.lists(STATUSES, max_size=5), st.lists(st.sampled_from(Trouble), max_size=3))
def test_nothing_that_may_have_been_taken_goes_again(statuses: list[int], troubles: list[Trouble]) -> None:
    told, _ = meaning(done(*statuses, troubles=tuple(troubles)), 0)

    doubtful = [s for s in statuses if s < 300 or s >= 500 or s == 408]
    if doubtful or Trouble.LOST in troubles:
        assert isinstance(told, Unsure)
    else:
        assert isinstance(told, Later | Declined)
