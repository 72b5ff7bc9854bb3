"""The first no is the reason: scope, trigger, limit, quiet hours, run mode, in this order; and urgent workflows first."""

import pytest
from unit.engine.desk import Desk, a_workflow

EVERY_NO = {
    "scope": 'scope: account.group == "real"',
    "limit": "limit: {max: 1, every: 1d}",
    "quiet": 'quiet_hours: {from: "00:00", to: "23:59", tz: UTC, then: skip}',
    "run": "run: {mode: single}",
}


@pytest.mark.parametrize(
    ("saying_no", "reason"),
    [
        (("limit", "quiet", "run"), "limit: 1 run(s)"),
        (("quiet", "run"), "quiet hours until"),
        (("run",), "run: 1 open already"),
    ],
)
def test_of_several_reasons_the_first_in_order_is_told(saying_no, reason):
    said = "\n".join(EVERY_NO[name] for name in saying_no if name != "quiet")
    desk = Desk(a_workflow(f"when: [{{event: trade.closed}}]\n{said}\nsteps: [{{wait: {{for: 1d}}}}]"))
    desk.tell("trade.closed")  # it runs, and uses up what there is
    said = "\n".join(EVERY_NO[name] for name in saying_no)
    desk.switch(a_workflow(f"when: [{{event: trade.closed}}]\n{said}\nsteps: [{{wait: {{for: 1d}}}}]"))

    desk.tell("trade.closed")

    (held,) = desk.traces("held_back")
    assert held.reason.startswith(reason)


def test_out_of_scope_nothing_else_is_asked_and_no_limit_is_used_up():
    text = "\n".join(EVERY_NO.values())
    desk = Desk(a_workflow(f"when: [{{event: trade.closed}}]\n{text}\nsteps: [{{stop: x}}]"))

    desk.tell("trade.closed", group="demo")

    assert desk.traces() == []
    assert not [kind for kind, _ in desk.state.values if kind == 5]  # no run was counted


def test_what_is_held_back_by_quiet_hours_or_the_run_mode_uses_up_no_limit():
    quiet = a_workflow(
        "when: [{event: trade.closed}]\n"
        + EVERY_NO["limit"]
        + "\n"
        + EVERY_NO["quiet"]
        + "\nsteps: [{stop: x}]"
    )
    desk = Desk(quiet)
    desk.tell("trade.closed")
    desk.switch(a_workflow("when: [{event: trade.closed}]\n" + EVERY_NO["limit"] + "\nsteps: [{stop: x}]"))

    desk.tell("trade.closed")

    assert len(desk.runs) == 1


def test_of_one_event_the_urgent_workflows_are_decided_first_and_their_actions_are_marked_so():
    text = "when: [{event: trade.closed}]\nsteps: [{do: account.disable}]"
    desk = Desk(
        a_workflow(text, id="a", priority="bulk"),
        a_workflow(text, id="b"),
        a_workflow(text, id="z", priority="critical"),
    )

    intents = desk.tell("trade.closed")

    assert [(intent.workflow, intent.priority) for intent in intents] == [("z", 0), ("b", 1), ("a", 2)]
