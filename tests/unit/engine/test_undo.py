"""What a failed run has done is taken back: in reverse order, each step known before the next, once."""

import msgspec
import pytest
from unit.engine.desk import Desk, a_workflow
from unit.engine.test_forks import left_behind, published, restarted

from hub.engine.load_text import load_text
from hub.intents.intent import State

WHEN = "when: [{event: custom.go}]\nlimit: {max: 99, every: forever}\n"
MOVE = "{id: move, do: account.set_group, with: {group: vip}, undo: {do: account.set_group, with: {group: = account.group}}}"
LOWER = "{id: lower, do: account.set_leverage, with: {leverage: 1}, undo: {do: account.set_leverage, with: {leverage: = account.leverage}}}"
LOCK = "{id: lock, do: account.disable_trading, undo: none}"
SAGA = f"""
steps:
  - {MOVE}
  - {LOWER}
  - {LOCK}
on_error:
  - {{do: event.publish, with: {{type: custom.failed, data: {{step: = error.step, why: = error.message}}}}}}
"""


def a_desk(steps=SAGA, **header):
    desk = Desk(a_workflow(WHEN + steps, **header))
    desk.account(type="real", group="std", leverage=100, currency="USD")
    return desk


def params(intent):
    return msgspec.json.decode(intent.params)


def through(desk):
    """Bring a run to its last step."""
    (move,) = desk.tell("custom.go")
    # The platform says what it was before, which is what counts, and tells of the change before its outcome is in.
    desk.account(group="vip")
    (lower,) = desk.outcome(move, before={"group": "real-std"}, after={"group": "vip"})
    (lock,) = desk.outcome(lower, before={"leverage": 500})
    return move, lower, lock


def test_steps_are_taken_back_in_reverse_order_as_the_account_was_before_each():
    desk = a_desk()
    move, lower, lock = through(desk)

    (first,) = desk.outcome(lock, "rejected", reason="no rights")
    assert (first.verb, params(first), first.key) == (
        "account.set_leverage",
        {"leverage": 500},
        f"{lower.key}/undo",
    )
    assert published(desk) == [], "what is done on an error comes after it"
    restarted(desk)
    (second,) = desk.outcome(first)
    assert (second.verb, params(second), second.key) == (
        "account.set_group",
        {"group": "real-std"},
        f"{move.key}/undo",
    )
    restarted(desk)
    desk.outcome(second)

    why = "step lock: account.disable_trading was rejected: no rights"
    assert published(desk) == [{"step": "lock (account.disable_trading)", "why": why}]
    assert desk.runs == {move.run: "failed"}
    assert left_behind(desk) == []


def test_the_same_outcome_told_twice_takes_nothing_back_twice():
    desk = a_desk()
    _, _, lock = through(desk)
    (first,) = desk.outcome(lock, "rejected")

    assert desk.outcome(lock, "rejected") == []
    (second,) = desk.outcome(first)
    assert desk.outcome(first) == []
    desk.outcome(second)
    assert desk.outcome(second) == []
    assert len(published(desk)) == 1


@pytest.mark.parametrize("state", ["rejected", "parked"])
def test_what_cannot_be_taken_back_is_said_and_holds_up_no_other(state):
    desk = a_desk()
    _, _, lock = through(desk)
    (first,) = desk.outcome(lock, "rejected", reason="no rights")

    assert desk.outcome(first, "unknown") == [], "nobody knows yet: the next one waits"
    (second,) = desk.outcome(first, state, reason="group is full")
    desk.outcome(second)

    assert published(desk)[0]["why"] == (
        "step lock: account.disable_trading was rejected: no rights; "
        f"step lower was not taken back: account.set_leverage was {state}: group is full"
    )


def test_a_run_that_does_not_fail_takes_nothing_back():
    desk = a_desk()
    _, _, lock = through(desk)

    assert desk.outcome(lock) == []
    assert set(desk.runs.values()) == {"done"}


def test_nothing_was_done_so_nothing_is_taken_back():
    desk = a_desk()
    (move,) = desk.tell("custom.go")

    assert [each.verb for each in desk.outcome(move, "rejected")] == ["event.publish"]


def test_a_step_whose_way_back_is_not_known_is_told_of():
    desk = Desk(a_workflow(WHEN + SAGA))  # nobody told the account's group
    (move,) = desk.tell("custom.go")
    (lower,) = desk.outcome(move)
    (publish,) = desk.outcome(lower, "rejected", reason="no")

    assert publish.verb == "event.publish"
    assert "step move was not taken back: group: account.group is missing" in published(desk)[0]["why"]


def test_branches_that_came_about_are_taken_back_too():
    desk = a_desk(f"""
steps:
  - parallel:
      - {MOVE}
      - {LOWER}
      - {LOCK}
""")
    move, lower, lock = desk.tell("custom.go")
    desk.outcome(move, before={"group": "std"})
    assert desk.outcome(lock, "rejected", reason="no rights") == []
    restarted(desk)
    (first,) = desk.outcome(lower, before={"leverage": 7})

    assert (first.key, params(first)) == (f"{lower.key}/undo", {"leverage": 7})
    (second,) = desk.outcome(first)
    assert (second.key, params(second)) == (f"{move.key}/undo", {"group": "std"})
    desk.outcome(second)
    assert desk.runs == {move.run: "failed"}
    assert left_behind(desk) == []


def test_an_item_that_fails_takes_back_what_it_did_where_the_others_go_on():
    desk = a_desk("""
steps:
  - for_each:
      in: event.amounts
      as: amount
      steps:
        - {id: pay, do: credit.grant, with: {amount: = amount}, undo: {do: credit.remove, with: {amount: = amount}}}
        - {id: lock, do: account.disable_trading, undo: none}
    on_error: continue
  - {do: event.publish, with: {type: custom.after}}
""")
    (pay,) = desk.tell("custom.go", amounts=[5, 7])
    (lock,) = desk.outcome(pay)
    (undo,) = desk.outcome(lock, "rejected")
    assert (undo.key, params(undo)["amount"]) == (f"{pay.run}/pay/0/undo", "5.00")
    restarted(desk)
    (second,) = desk.outcome(undo)
    assert second.key == f"{pay.run}/pay/1"
    (lock,) = desk.outcome(second)
    desk.outcome(lock)

    assert published(desk) == [{}]
    assert desk.runs == {pay.run: "done"}
    assert left_behind(desk) == []


def test_in_shadow_what_would_be_taken_back_is_recorded():
    desk = a_desk(
        SAGA.replace(LOCK, "{id: odd, do: account.set_leverage, with: {leverage: = steps.move.ticket}}"),
        mode="shadow",
    )
    intents = desk.tell("custom.go")

    assert [intent.key.rpartition("event/")[2].partition("/")[2] for intent in intents] == [
        "move",
        "lower",
        "lower/undo",
        "move/undo",
        "on_error.0",
    ]
    assert {intent.state for intent in intents} == {State.SHADOW}


@pytest.mark.parametrize(
    ("steps", "complaints"),
    [
        (f"[{MOVE}, {{do: position.close_all}}]", ["error: position.close_all cannot be taken back"]),
        (f"[{MOVE}, {{do: position.close_all, undo: none}}]", []),
        (f"[{MOVE}, {{do: account.disable}}]", ["warning: account.disable is not taken back when the run fails"]),
        ("[{do: position.close_all}]", []),
        ("[{do: event.publish, with: {type: custom.a}, undo: {do: account.enable}}]", ["event.publish cannot be taken back"]),
        ("[{do: account.disable, undo: {do: event.publish, with: {type: custom.a}}}]", ["event.publish takes nothing back"]),
        ("[{do: account.disable, undo: {do: account.enabel}}]", ["unknown verb `account.enabel`; did you mean account.enable?"]),
        ("[{do: account.disable, undo: {do: account.set_group}}]", ["account.set_group needs `group`"]),
        ("[{do: account.disable, timeout: 5s, undo: {do: account.enable}}]", ["nothing would take it back"]),
        ("[{stop: x}]\non_error: [{do: account.disable, undo: {do: account.enable}}]", ["what is done on an error is not taken back"]),
    ],
)  # fmt: skip
def test_undo_is_looked_at_when_the_file_is_read(steps, complaints):
    report = load_text(f"schema: 1\nid: rule\ntitle: t\nowner: t\n{WHEN}steps: {steps}\n", "w.yaml")

    told = [str(problem) for problem in report.problems]
    assert len(told) == len(complaints), told
    assert all(wanted in said for wanted, said in zip(complaints, told, strict=True)), told
