from random import Random

from hypothesis import given
from hypothesis import strategies as st

from hub.dispatch.delivery import (
    FINAL,
    MOVES,
    Aborted,
    Delivered,
    ErrorClass,
    Gone,
    Refused,
    Unreachable,
    answered,
    as_text,
    settle,
)
from hub.dispatch.outbox import Delivery, DeliveryState
from hub.dispatch.schedule import WAITS

NOW = 1_750_000_000_000_000


def a_delivery(**changes):
    fields = {
        "endpoint": "ep",
        "partition": 3,
        "n": 7,
        "event_id": "evt_x",
        "state": DeliveryState.WAITING,
        "attempts": 0,
        "due": NOW,
        "created_at": NOW,
    }
    return Delivery(**fields | changes)


def after(delivery, outcome, waits=WAITS, seed=1):
    return settle(delivery, outcome, started_us=NOW, now_us=NOW + 5, waits=waits, random=Random(seed))


def test_two_hundreds_alone_are_success():
    kinds = {status: type(answered(status, 1, b"")) for status in range(200, 600)}

    assert {status for status, kind in kinds.items() if kind is Delivered} == set(range(200, 300))
    assert {status for status, kind in kinds.items() if kind is Gone} == {410}
    assert kinds[302] is Refused


def test_a_delivered_one_is_done_and_its_attempt_says_how():
    settled = after(a_delivery(attempts=2), Delivered(204, 900, b"ok"))

    assert settled.delivery.state is DeliveryState.DELIVERED
    assert (settled.attempt.number, settled.attempt.status, settled.attempt.response) == (3, 204, "ok")
    assert settled.due == NOW


def test_a_refused_one_waits_at_least_as_long_as_the_receiver_asked():
    settled = after(a_delivery(), Refused(503, 10, b"", 3_600_000_000))

    assert settled.delivery.state is DeliveryState.WAITING
    assert settled.delivery.due >= NOW + 5 + 3_600_000_000
    assert settled.attempt.error == "status"


def test_a_receiver_that_is_gone_gets_nothing_more():
    assert after(a_delivery(), Gone(10)).delivery.state is DeliveryState.CANCELLED


def test_a_receiver_may_say_that_it_wants_no_more_or_not_this_one():
    assert answered(200, 1, b"", control="disable") == Delivered(200, 1, b"", None, True)
    assert answered(200, 1, b"", control="abort") == Delivered(200, 1)
    assert answered(503, 1, b"", 60, control=" Disable ") == Gone(1, b"", None, 503, True)
    assert answered(500, 1, b"", 60, control="abort") == Aborted(500, 1, retry_after_us=60)
    assert answered(500, 1, b"", 60, control="please") == Refused(500, 1, b"", 60)
    assert answered(410, 1, b"", control="abort") == Gone(1)

    aborted, farewell, gone = (
        after(a_delivery(), outcome)
        for outcome in (
            Aborted(422, 1),
            Delivered(200, 1, farewell=True),
            Gone(1, status=503, by_header=True),
        )
    )
    assert (aborted.delivery.state, aborted.attempt.outcome) == (DeliveryState.ABORTED, "aborted")
    assert (farewell.delivery.state, farewell.attempt.outcome) == (DeliveryState.DELIVERED, "disabled")
    assert (gone.delivery.state, gone.attempt.outcome, gone.attempt.status) == (
        DeliveryState.CANCELLED,
        "disabled",
        503,
    )


def test_after_the_last_wait_a_delivery_is_exhausted():
    lost = Unreachable(ErrorClass.TIMEOUT, "no answer", 15_000_000)

    assert after(a_delivery(attempts=8), lost).delivery.state is DeliveryState.WAITING
    assert after(a_delivery(attempts=9), lost).delivery.state is DeliveryState.EXHAUSTED


outcomes = st.one_of(
    st.builds(Delivered, st.integers(200, 299), st.integers(0, 10**8), st.binary(max_size=20)),
    st.builds(
        Refused,
        st.integers(300, 599),
        st.integers(0, 10**8),
        st.binary(max_size=20),
        st.none() | st.integers(0, 86_400_000_000),
    ),
    st.builds(Gone, st.integers(0, 10**8)),
    st.builds(Aborted, st.integers(300, 599), st.integers(0, 10**8)),
    st.builds(Unreachable, st.sampled_from(ErrorClass), st.text(max_size=10), st.integers(0, 10**8)),
)


@given(st.lists(outcomes, max_size=15), st.lists(st.floats(0, 10_000), max_size=9), st.integers())
def test_whatever_happens_a_delivery_ends_and_then_stays_as_it_is(story, waits, seed):
    delivery = a_delivery()
    random = Random(seed)

    for outcome in story:
        if delivery.state in FINAL:
            break
        settled = settle(
            delivery, outcome, started_us=delivery.due, now_us=delivery.due, waits=waits, random=random
        )
        assert settled.delivery.state in MOVES[delivery.state]
        assert settled.delivery.attempts == delivery.attempts + 1 == settled.attempt.number
        assert settled.delivery.due >= delivery.due
        delivery = settled.delivery

    assert delivery.attempts <= len(waits) + 1
    assert delivery.state in FINAL or len(story) <= len(waits)


def test_what_a_receiver_says_is_kept_as_harmless_text():
    assert as_text(b"line\nnext\x1b[31m\x00\xff") == "line\nnext\ufffd[31m\ufffd\ufffd"
