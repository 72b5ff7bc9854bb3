"""The check behind the kill scenario goes red for each breach it is there to find."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from chaos.accounting import Asked, Effect, Logged, Records, breaches

KEY = "big-close-credit/live-1:7/close/evt_b/pay"
MOVE = "move/live-1:7/big/1/move"


def kept() -> Records:
    credit = Asked(KEY, "credit.grant", "live-1:7", "applied", "evt_b")
    move = Asked(MOVE, "account.set_group", "live-1:7", "applied", "evt_b")
    return Records(
        acknowledged=frozenset({"evt_a", "evt_b"}),
        logged=[
            Logged("evt_a", "trade.closed", "live-1:7", 1),
            Logged("evt_b", "trade.closed", "live-1:7", 2),
            Logged("evt_c", "trade.closed", "live-1:8", 1),
            Logged("evt_d", "custom.note", "", None),
        ],
        verified={"evt_a": 1, "evt_b": 3, "evt_c": 1, "evt_d": 1},
        asked=[
            credit,
            move,
            Asked("count/all=/event/evt_b/0", "event.publish", "live-1:7", "delivered", "evt_b"),
        ],
        ledger=[Effect("credit", 7, credit.token), Effect("user.set", 7, "")],
        expected={"credit.grant": 1, "account.set_group": 1, "event.publish": 1},
        told_by_broker={("live-1", "trade.closed"): 1},
        numbered=[1],
    )


def a_lost_acknowledged_event(records: Records) -> Records:
    return replace(records, acknowledged=records.acknowledged | {"evt_z"})


def an_event_logged_twice(records: Records) -> Records:
    return replace(records, logged=[*records.logged, records.logged[3]])


def a_gap_in_a_sequence(records: Records) -> Records:
    logged = [replace(event, sequence=3) if event.id == "evt_b" else event for event in records.logged]
    return replace(records, logged=logged)


def a_broker_fact_that_was_missed(records: Records) -> Records:
    return replace(records, told_by_broker={("live-1", "trade.closed"): 2})


def a_webhook_never_delivered(records: Records) -> Records:
    return replace(records, verified={**records.verified, "evt_c": 0})


def a_webhook_out_of_nowhere(records: Records) -> Records:
    return replace(records, verified={**records.verified, "evt_q": 1})


def a_bad_signature(records: Records) -> Records:
    return replace(records, receiver_complaints=["evt_a is not signed rightly"])


def a_decision_that_was_lost(records: Records) -> Records:
    return replace(records, asked=records.asked[1:], ledger=records.ledger[1:])


def a_decision_made_twice(records: Records) -> Records:
    return replace(records, asked=[*records.asked, records.asked[0]])


def an_action_parked_for_no_reason(records: Records) -> Records:
    return replace(records, asked=[replace(records.asked[0], state="parked"), records.asked[1]])


def an_event_passed_on_twice(records: Records) -> Records:
    return replace(records, numbered=[2])


def an_event_never_passed_on(records: Records) -> Records:
    return replace(records, expected={**records.expected, "event.publish": 2})


def a_payment_applied_twice(records: Records) -> Records:
    return replace(records, ledger=[*records.ledger, records.ledger[0]])


def a_payment_never_applied(records: Records) -> Records:
    return replace(records, ledger=records.ledger[1:])


def a_payment_nobody_asked_for(records: Records) -> Records:
    return replace(records, ledger=[*records.ledger, Effect("credit", 8, "H1:SOMEBODYELSE0000")])


def a_group_move_done_twice(records: Records) -> Records:
    return replace(records, ledger=[*records.ledger, records.ledger[1]])


def waiting_for_a_person(records: Records) -> Records:
    parked = replace(records.asked[0], state="parked", reason="sent 2 times and never found: look and decide")
    return replace(records, asked=[parked, *records.asked[1:]], ledger=records.ledger[1:])


def a_payment_said_to_be_missing_that_was_made(records: Records) -> Records:
    return replace(waiting_for_a_person(records), ledger=records.ledger)


SABOTAGE = [
    (a_lost_acknowledged_event, "acknowledged and is not in the log"),
    (an_event_logged_twice, "is in the log 2 times"),
    (a_gap_in_a_sequence, "has sequence 3, not 2"),
    (a_broker_fact_that_was_missed, "live-1 did trade.closed 2 times, the log holds 1"),
    (a_webhook_never_delivered, "never reached the receiver"),
    (a_webhook_out_of_nowhere, "which is not in the log"),
    (a_bad_signature, "not signed rightly"),
    (a_decision_that_was_lost, "should have been asked for 1 times, and was 0 times"),
    (a_decision_made_twice, "was asked for 2 times"),
    (an_action_parked_for_no_reason, "ended parked"),
    (an_event_passed_on_twice, "number 2 was given 1 times, of 1 events"),
    (an_event_never_passed_on, "number 2 was given 0 times, of 2 events"),
    (a_payment_applied_twice, "in the broker's ledger 2 times, not 1"),
    (a_payment_never_applied, "in the broker's ledger 0 times, not 1"),
    (a_payment_said_to_be_missing_that_was_made, "in the broker's ledger 1 times, not 0"),
    (a_payment_nobody_asked_for, "nobody asked for it"),
    (a_group_move_done_twice, "asked for 1 times and done 2 times"),
]


def test_records_of_a_hub_that_kept_its_promises_show_no_breach() -> None:
    assert breaches(kept()) == []
    assert breaches(waiting_for_a_person(kept())) == []


@pytest.mark.parametrize(("tamper", "complaint"), SABOTAGE, ids=lambda case: getattr(case, "__name__", ""))
def test_every_broken_promise_is_found(tamper: Callable[[Records], Records], complaint: str) -> None:
    found = breaches(tamper(kept()))

    assert any(complaint in breach for breach in found), found
