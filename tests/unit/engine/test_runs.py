"""Runs: steps in order, waiting where a manager action has to be known first."""

import msgspec
import pytest
from unit.engine.desk import MORNING, Desk, a_workflow

from hub.engine.code import Act, Branch, Jump, flatten
from hub.engine.run_rows import OpenRun
from hub.engine.values import Kind, decode_value, encode_value
from hub.errors import RecordMalformed
from hub.intents.intent import State

PROMOTE = """
scope: account.type == "real"
when: [{event: trade.closed}]
limit: {max: 9, every: forever}
steps:
  - {id: move, do: account.set_group, with: {group: real/vip, expect_group: = account.group}}
  - {id: gift, do: credit.grant, with: {amount: 10}}
  - {do: event.publish, with: {type: custom.promoted, data: {ticket: = steps.gift.ticket, symbol: = event.symbol}}}
"""
HEADER = {"id": "promote"}


@pytest.fixture
def desk():
    desk = Desk(a_workflow(PROMOTE, id="promote"))
    desk.account(type="real", group="std", currency="USD")
    return desk


def test_a_step_waits_for_the_outcome_of_the_one_before(desk):
    (move,) = desk.tell("trade.closed", symbol="XAUUSD")
    assert (move.verb, move.state) == ("account.set_group", State.READY)
    assert desk.tell("balance.deposited", amount="1") == []

    (gift,) = desk.outcome(move)
    (last,) = desk.outcome(gift, ticket=77)

    assert [move.step, gift.step, last.step] == ["move", "gift", "2"]
    assert msgspec.json.decode(last.params)["data"] == {"ticket": 77, "symbol": "XAUUSD"}
    assert desk.runs[move.run] == "done"
    assert list(desk.state.of_kind(Kind.RUN)) == []


@pytest.mark.parametrize("state", ["rejected", "parked"])
def test_a_step_that_is_refused_or_parked_ends_the_run_with_its_reason(desk, state):
    (move,) = desk.tell("trade.closed")

    assert desk.outcome(move, state, reason="group is full") == []

    assert desk.runs[move.run] == "failed"
    assert desk.traces("failed")[0].reason == f"step move: account.set_group was {state}: group is full"


def test_an_unknown_outcome_keeps_the_run_waiting(desk):
    (move,) = desk.tell("trade.closed")

    assert desk.outcome(move, "unknown") == []
    assert [intent.step for intent in desk.outcome(move)] == ["gift"]


def test_the_same_outcome_told_twice_goes_on_once(desk):
    (move,) = desk.tell("trade.closed")
    (gift,) = desk.outcome(move, ticket=1)

    assert desk.outcome(move, ticket=1) == []
    assert len(desk.outcome(gift, ticket=2)) == 1


def test_every_outcome_is_told_as_an_event_of_the_account(desk):
    (move,) = desk.tell("trade.closed")
    desk.outcome(move, "unknown")
    desk.outcome(move, ticket=5, after={"group": "real/vip"})

    assert [fact.envelope.type for fact in desk.facts] == ["action.unknown", "action.applied"]
    told = desk.facts[1]
    data = msgspec.json.decode(told.envelope.data)
    assert told.account == "live-1:7001"
    assert told.envelope.caused_by == move.key
    assert (data["action"], data["verb"], data["params"]["group"]) == (
        move.key,
        "account.set_group",
        "real/vip",
    )


def test_a_run_keeps_the_version_it_began_with(desk):
    (move,) = desk.tell("trade.closed")
    old = desk.program.workflows["promote"]
    desk.switch(a_workflow(PROMOTE.replace("amount: 10", "amount: 99"), id="promote"))
    desk.program.pin(old)

    (gift,) = desk.outcome(move)
    (new_move,) = desk.tell("trade.closed")
    (new_gift,) = desk.outcome(new_move)

    assert msgspec.json.decode(gift.params)["amount"] == "10.00"
    assert msgspec.json.decode(new_gift.params)["amount"] == "99.00"


def test_a_run_outlives_the_switching_off_of_its_workflow(desk):
    (move,) = desk.tell("trade.closed")
    old = desk.program.workflows["promote"]
    desk.switch(a_workflow(PROMOTE, id="promote", mode="off"))
    desk.program.pin(old)

    assert len(desk.outcome(move)) == 1


def test_two_runs_of_one_account_do_not_mix(desk):
    (first,) = desk.tell("trade.closed", symbol="A")
    (second,) = desk.tell("trade.closed", symbol="B")

    (gift,) = desk.outcome(second)

    assert gift.run == second.run != first.run


def test_an_outcome_that_cannot_be_read_is_refused(desk):
    (move,) = desk.tell("trade.closed")
    item = desk.inputs[-1]._replace(kind=3, ref=move.key, body=b"{")

    with pytest.raises(RecordMalformed):
        desk.take(item)


BRANCHES = """
when: [{event: trade.closed}]
steps:
  - if: event.net_profit > 0
    then: [{do: event.publish, with: {type: custom.won}}]
    else: [{do: event.publish, with: {type: custom.lost}}]
  - {do: event.publish, with: {type: custom.after}}
"""


@pytest.mark.parametrize(
    ("fields", "types"),
    [
        ({"net_profit": "1"}, ["custom.won", "custom.after"]),
        ({"net_profit": "-1"}, ["custom.lost", "custom.after"]),
        ({}, ["custom.after"]),
    ],
)
def test_a_condition_takes_its_way_and_an_unknown_one_neither(fields, types):
    desk = Desk(a_workflow(BRANCHES))

    intents = desk.tell("trade.closed", **fields)

    assert [msgspec.json.decode(intent.params)["type"] for intent in intents] == types
    assert [fact.envelope.type for fact in desk.facts] == types
    assert len({intent.key for intent in intents}) == len(types)


def test_steps_flatten_to_instructions_that_meet_again():
    code = flatten(a_workflow(BRANCHES).steps)

    branch = code[0]
    assert [type(part) for part in code] == [Branch, Act, Jump, Act, Act]
    assert isinstance(branch, Branch)
    assert (branch.otherwise, branch.end) == (3, 4)
    assert code[2] == Jump(4)


def test_a_published_event_is_in_the_same_decision_with_the_intent_as_its_cause():
    desk = Desk(a_workflow(BRANCHES))

    (intent, _) = desk.tell("trade.closed", net_profit="1")
    fact = desk.facts[0]

    assert intent.state is State.DELIVERED
    assert fact.envelope.caused_by == intent.key
    assert fact.envelope.dedupe_key == f"engine/1:custom.won:{intent.key}"


def test_what_is_published_has_to_be_valid():
    text = "when: [{event: trade.closed}]\nsteps: [{do: event.publish, with: {type: challenge.failed, data: {rule: = event.comment}}}]"
    desk = Desk(a_workflow(text))

    assert desk.tell("trade.closed", comment="x" * 200) == []
    assert "data.rule: String should have at most 128 characters" in desk.traces("failed")[0].reason
    assert len(desk.tell("trade.closed", comment="daily")) == 1


def test_an_open_run_survives_being_stored(desk):
    desk.tell("trade.closed")
    ((_, run),) = desk.state.of_kind(Kind.RUN)

    again = msgspec.json.decode(msgspec.json.encode(run), type=OpenRun)

    assert again == run
    assert run.cause.at == MORNING
    assert bytes(run.event) == desk.inputs[-1].body


def test_a_run_that_no_event_began_survives_being_stored():
    text = PROMOTE.replace("event: trade.closed", "becomes: account.credit > 5").replace(
        ", symbol: = event.symbol", ""
    )
    desk = Desk(a_workflow(text, id="promote"))
    desk.account(type="real", group="std", currency="USD", credit="0")
    (move,) = desk.account(credit="10")
    ((name, run),) = desk.state.of_kind(Kind.RUN)
    desk.state.values[(Kind.RUN, name)] = decode_value(Kind.RUN, encode_value(run))

    assert [intent.step for intent in desk.outcome(move)] == ["gift"]


def test_what_became_of_an_action_is_told_although_nobody_can_carry_its_run_on(desk):
    (move,) = desk.tell("trade.closed")
    desk.switch(a_workflow(PROMOTE, id="promote", title="edited"))  # this desk has no older versions at hand

    assert desk.outcome(move) == []

    (told,) = [fact for fact in desk.facts if fact.envelope.type == "action.applied"]
    assert told.envelope.caused_by == move.key
    (trace,) = desk.traces("failed")
    assert trace.reason.startswith("account.set_group was applied, and version ")
    assert trace.reason.endswith("of the workflow cannot be loaded any more")
    assert [run.lost for run in desk.state.open_runs] == [True]
