"""`manual:` starts a run because somebody asked: what he gives is checked twice, and who he was is kept."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.engine.desk import MORNING, Desk, a_workflow
from unit.engine.test_loop import Engine

from hub.bus.log import Input
from hub.engine.explain import explain
from hub.engine.load_text import load_text
from hub.engine.starting import StartRefused, asked_for
from hub.engine.starts import START, InputRefused, read_input
from hub.expr import Kind

TRIGGER = """
when:
  - manual:
      inputs:
        amount: {type: money, currency: USD, about: what to give back}
        reason: {type: string}
        days: {type: number, default: 7}
        note: {type: string, required: false}
scope: account.currency == "USD"
limit: {max: 9, every: 1d}
steps:
  - {id: pay, do: balance.deposit, with: {amount: = trigger.inputs.amount, comment: "{{ trigger.inputs.reason }}"}}
  - {do: event.publish, with: {type: custom.done, data: {by: "= default(trigger.by, 'nobody')", days: = trigger.inputs.days, note: "= default(trigger.inputs.note, '-')"}}}
"""
GIVEN = {"amount": "12.50", "reason": "goodwill"}


def refunds(**header):
    return a_workflow(TRIGGER, **header)


def a_desk(*workflows):
    desk = Desk(*(workflows or (refunds(),)))
    desk.account(currency="USD")
    return desk


def ask(desk, workflow=None, name="one", **changes):
    inputs = {key: value for key, value in {**GIVEN, **changes}.items() if value is not None}
    told = asked_for(
        workflow or refunds(), desk.state.key, trigger=None, inputs=inputs, name=name, by="key_1 (support)"
    )
    number = len(desk.inputs) + 1
    new = told.input
    row = Input(new.partition, number, desk.now, int(new.kind), new.key, new.ref, None, new.body)
    desk.inputs.append(row)
    return told, desk.take(row)


def test_a_run_begins_under_the_name_that_was_promised_and_knows_what_was_given_and_by_whom():
    desk = a_desk()

    told, (intent,) = ask(desk)

    assert list(desk.runs) == [told.run]
    assert intent.verb == "balance.deposit"
    assert b'"amount":"12.50"' in intent.params
    assert b'"comment":"goodwill"' in intent.params
    assert intent.caused_by == f"command:{START}"
    (trace,) = desk.traces("fired")
    assert trace.reason == "asked for by key_1 (support)"
    (published,) = desk.outcome(intent)
    assert b'"by":"key_1 (support)"' in published.params
    assert b'"days":"7"' in published.params
    assert b'"note":"-"' in published.params


def test_the_same_name_is_the_same_run_and_the_log_takes_it_once():
    one, again = (
        asked_for(refunds(), "live-1:7001", trigger=None, inputs=GIVEN, name="n", by="a") for _ in range(2)
    )
    other = asked_for(refunds(), "live-1:7001", trigger=None, inputs=GIVEN, name="m", by="a")

    assert one.run == again.run
    assert one.input.unique == again.input.unique
    assert other.run != one.run


async def test_a_command_that_is_told_twice_is_one_run():
    engine = Engine()
    await engine.loop.activate([a_workflow("when: [{manual: {}}]\nsteps: [{stop: x}]", key="all")])
    await engine.settle()
    workflow = a_workflow("when: [{manual: {}}]\nsteps: [{stop: x}]", key="all")
    for _ in range(2):
        told = asked_for(workflow, "all=", trigger=None, inputs={}, name="n", by="a")
        await engine.log.append((), inputs=(told.input,))
    await engine.settle()

    assert list(engine.store.runs) == [told.run]


async def test_a_run_for_what_events_have_in_a_field_is_asked_for_with_its_value():
    workflow = a_workflow("when: [{manual: {}}]\nsteps: [{stop: x}]", key="event.request")

    told = asked_for(workflow, "event.request=r-1", trigger=None, inputs={}, name="n", by="a")

    assert told.input.key == "event.request=r-1"


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"amount": None}, "inputs.amount", "it is missing (what to give back)"),
        ({"amount": "1e5"}, "inputs.amount", "it is a plain number"),
        ({"amount": "NaN"}, "inputs.amount", "it is a plain number"),
        ({"reasn": "x"}, "inputs.reasn", "did you mean reason?"),
        ({"reason": "\x00"}, "inputs.reason", "printable"),
        ({"reason": "x" * 2001}, "inputs.reason", "at most 2000"),
    ],
)
def test_what_is_wrong_with_inputs_is_said_with_their_name(changes, field, reason):
    with pytest.raises(StartRefused, match=reason.split("(")[0].strip()) as problem:
        ask(a_desk(), **changes)

    assert problem.value.field == field
    assert reason in str(problem.value)


@pytest.mark.parametrize(
    ("workflow", "key", "trigger", "said"),
    [
        (refunds(), "client=7", None, "key: rule is kept by account; write it as server:login"),
        (refunds(), "nonsense", None, "key: 'nonsense' is no key"),
        (
            refunds(),
            "live-1:7001",
            "manul",
            "trigger: rule has no manual trigger 'manul'; did you mean manual?",
        ),
        (refunds(mode="off"), "live-1:7001", None, "workflow: rule is off"),
        (
            a_workflow("when: [{event: trade.closed}]\nsteps: [{stop: x}]"),
            "live-1:7001",
            None,
            "workflow: rule has no manual trigger",
        ),
        (
            a_workflow("when: [{id: a, manual: {}}, {id: b, manual: {}}]\nsteps: [{stop: x}]"),
            "live-1:7001",
            None,
            "trigger: it has several manual triggers; name one of a, b",
        ),
    ],
)
def test_who_asks_for_what_there_is_not_is_told_what_to_mend(workflow, key, trigger, said):
    with pytest.raises(StartRefused) as problem:
        asked_for(workflow, key, trigger=trigger, inputs=GIVEN, name="n", by="a")

    assert said in str(problem.value)


def test_decide_looks_at_the_inputs_again_because_the_text_may_have_changed():
    stricter = a_workflow(TRIGGER.replace("default: 7", "about: now needed"))
    desk = a_desk(stricter)

    _, intents = ask(desk, refunds())

    assert intents == []
    (held,) = desk.traces("held_back")
    assert held.reason == "asked for by key_1 (support): input days: it is missing (now needed)"


@pytest.mark.parametrize(
    ("desk", "reason"),
    [
        (a_desk(a_workflow("when: [{event: trade.closed}]\nsteps: [{stop: x}]")), "no such manual trigger"),
        (Desk(refunds()), "nothing was ever heard of live-1:7001"),
    ],
)
def test_what_cannot_be_started_says_why(desk, reason):
    ask(desk)

    (held,) = desk.traces("held_back")
    assert reason in held.reason


def test_out_of_scope_nothing_begins_and_the_scope_is_the_reason():
    desk = Desk(refunds())
    desk.account(currency="EUR")

    told, intents = ask(desk)

    assert intents == []
    (held,) = desk.traces("held_back")
    assert 'scope: account.currency == "USD" is false' in held.reason
    assert held.run == told.run


def test_the_limit_holds_for_whoever_asks():
    limited = a_workflow(TRIGGER.replace("max: 9", "max: 1"))
    desk = a_desk(limited)
    ask(desk, limited)

    ask(desk, limited, name="two")

    assert [trace.reason.split(";")[0] for trace in desk.traces("held_back")] == ["limit: 1 run(s) within 1d"]


def test_a_run_that_waits_still_knows_its_inputs():
    waits = a_workflow(
        "when: [{manual: {inputs: {days: {type: number}}}}]\n"
        "steps:\n  - {wait: {for: 1h}}\n"
        "  - {do: event.publish, with: {type: custom.x, data: {days: = trigger.inputs.days * 2}}}\n"
    )
    desk = a_desk(waits)
    told = asked_for(waits, desk.state.key, trigger=None, inputs={"days": "3"}, name="n", by="a")
    desk.take(desk._input(told.input.kind, told.input.ref, told.input.body))

    (intent,) = desk.until(MORNING + timedelta(hours=2))

    assert b'"days":"6"' in intent.params


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("inputs: {a: {type: money}}", "a money input names its currency"),
        ("inputs: {a: {type: number, default: x}}", "it is a plain number"),
        ("inputs: {a: {type: day}}", "`type` is money, number"),
        ("inputs: {A: {type: number}}", "`A` is not a name"),
        ("input: {}", "unknown key `input`; did you mean inputs?"),
    ],
)
def test_what_is_wrong_with_the_declaration_is_said_where_it_stands(text, complaint):
    report = load_text(
        f"schema: 1\nid: a\ntitle: t\nwhen:\n  - manual: {{{text}}}\nsteps: [{{stop: x}}]\n", "a.yaml"
    )

    (problem, *_) = report.problems
    assert complaint in str(problem)
    assert str(problem).startswith("a.yaml:5:")


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("= trigger.inputs.amout", "amount"),
        ("= trigger.inputs.reason + 1", "text"),
    ],
)
def test_inputs_are_typed_while_loading(value, complaint):
    text = TRIGGER.replace("= trigger.inputs.amount", value)

    report = load_text(f"schema: 1\nid: a\ntitle: t\n{text}", "a.yaml")

    assert any(complaint in str(problem) for problem in report.problems)


def test_nobody_gives_inputs_to_a_workflow_that_starts_by_itself():
    text = "when: [{event: trade.closed}]\nsteps: [{do: event.publish, with: {type: custom.x, data: {a: = trigger.inputs.a}}}]"

    report = load_text(f"schema: 1\nid: a\ntitle: t\n{text}", "a.yaml")

    assert "inputs" in str(report.problems[0])


@given(st.sampled_from([Kind.NUMBER, Kind.BOOL, Kind.STRING, Kind.DURATION, Kind.TIME]), st.text(max_size=40))
def test_whatever_is_given_is_a_value_or_is_refused(kind, text):
    try:
        found = read_input("a", kind, text)
    except InputRefused:
        return
    assert not isinstance(found, Decimal) or found.is_finite()


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-10:00", "noon"])
def test_a_time_no_clock_can_show_is_refused(text):
    with pytest.raises(InputRefused, match="it is a time with its offset from UTC"):
        read_input("a", Kind.TIME, text)


def test_it_is_explained_in_plain_english():
    text = explain(refunds()).text()

    assert (
        "Starts when somebody asks for it. He gives: amount (what to give back); reason; days (7 if left out); "
        "note (may be left out)." in text
    )
    assert "the amount that was given" in text
