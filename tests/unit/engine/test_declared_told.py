"""Declared events as a workflow tells and hears of them while it runs, and when its inputs are decided again."""

from typing import Any

import msgspec
import pytest
from unit.engine.desk import Desk

from hub.engine.explain import explain
from hub.engine.load_text import load_text
from hub.engine.message_files import NO_MESSAGES
from hub.engine.program import Workflow
from hub.events.declared import Declarations, Declared
from hub.events.records import decode_envelope

HEAD = "schema: 1\nid: rule\ntitle: t\nmode: live\n"
SEEN = """\
schema: 1
event: custom.seen
version: {version}
about: Something was seen.
fields:
  amount: {amount}
  tier: {{type: string, required: false, one_of: [gold, silver]}}
  since: {{type: moment, required: false}}
  took: {{type: duration, required: false}}
"""
TELLS = "when: [{{event: trade.closed}}]\nsteps: [{{do: event.publish, with: {{type: custom.seen, data: {data}}}}}]"
SUMS = """\
aggregates: {spent: {from: custom.seen, sum: event.amount, window: lifetime}}
when: [{becomes: spent > 100}]
steps: [{do: event.publish, with: {type: custom.enough, data: {spent: = spent}}}]
"""


def seen(version: int = 1, amount: str = "decimal") -> Declared:
    report = load_text(SEEN.format(version=version, amount=amount), "seen.yaml", NO_MESSAGES)
    assert report.declared is not None, report.problems
    return report.declared


def a_workflow(text: str, declared: Declared | None = None) -> Workflow:
    known = Declarations({} if declared is None else {declared.name: declared})
    report = load_text(HEAD + text, "rule.yaml", NO_MESSAGES, known)
    assert report.workflow is not None, [str(problem) for problem in report.problems]
    return report.workflow


def told(desk: Desk) -> list[tuple[int, dict[str, Any]]]:
    """Return the events that were published: their versions, and what they say."""
    found = [fact.envelope for decision in desk.decisions for fact in decision.writes.facts]
    return [(each.schema, msgspec.json.decode(bytes(each.data))) for each in found]


def test_what_is_told_is_stored_as_it_is_declared_under_its_version() -> None:
    data = "{amount: = event.lots / 3, tier: gold, took: = hours(6), since: = now}"
    desk = Desk(a_workflow(TELLS.format(data=data), seen(version=4)))

    desk.tell("trade.closed", deal=1)

    assert told(desk) == [
        (4, {"amount": "0.3333333333", "tier": "gold", "took": "6h", "since": "2026-03-02T08:00:00Z"})
    ]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("{amount: 1, tier: = event.symbol}", "data.tier: is none of gold, silver"),
        ("{amount: = event.lots * 12345678901234567}", "data.amount: should be a decimal"),
        ("= steps.all", "data.tiers: unknown field of custom.seen: did you mean tier?"),
    ],
)
def test_what_does_not_fit_is_a_failed_step_that_says_why_and_no_event(data: str, reason: str) -> None:
    text = TELLS.format(data=data)
    if "steps.all" in data:
        text = text.replace("steps: [", "steps: [{id: all, set: {amount: 1, tiers: gold}}, ").replace(
            "with: {type: custom.seen, data: = steps.all}",
            "with: {type: custom.seen, data: '= steps.all'}",
        )
    desk = Desk(a_workflow(text, seen()))

    desk.tell("trade.closed", deal=1, lots="2")

    assert told(desk) == []
    (failed,) = desk.traces("failed")
    assert "custom.seen as it is declared (version 1)" in failed.reason
    assert reason in failed.reason


def test_a_decimal_that_is_told_as_text_is_counted_as_a_number() -> None:
    desk = Desk(a_workflow(SUMS, seen()))

    desk.tell("custom.seen", amount="60.50")
    assert told(desk) == []
    desk.tell("custom.seen", amount="nothing that is a number")  # from before anybody declared it
    desk.tell("custom.seen", amount="60.50")

    assert told(desk) == [(1, {"spent": "121.00"})]


def test_what_is_decided_again_comes_out_the_same_with_nothing_but_the_stored_version() -> None:
    version = a_workflow(SUMS, seen())
    first = Desk(version)
    for _ in range(2):
        first.tell("custom.seen", amount="60.50")

    stored = load_text(version.text, "rule (stored)").workflow
    assert stored is not None
    again = Desk(stored)
    for item in first.inputs:
        again.take(item)

    assert [decision.writes.facts for decision in again.decisions] == [
        decision.writes.facts for decision in first.decisions
    ]
    assert [aggregate.id for aggregate in stored.aggregates] == [each.id for each in version.aggregates]
    assert told(first)


def test_a_version_from_before_an_event_was_declared_goes_on_as_it_was() -> None:
    number = SUMS.replace("event.amount", "number(event.amount)")
    before, after = a_workflow(number), a_workflow(number, seen())

    assert "custom.seen" not in before.text.partition("--- #")[2]
    # A text that is read as a number either way has counted the same: it keeps what it counted.
    assert before.aggregates[0].id == after.aggregates[0].id
    # One that was never read as a number counted nothing: it begins.
    assert a_workflow(SUMS).aggregates[0].id != a_workflow(SUMS, seen()).aggregates[0].id


def test_a_guard_is_asked_with_what_the_event_says_as_what_it_is() -> None:
    text = (
        "when: [{event: custom.seen}]\nlimit: {max: 1, every: 1d}\n"
        "steps: [{id: a, do: account.disable, guard: event.amount > 5 and account.balance > 0}]"
    )
    desk = Desk(a_workflow(text, seen()))

    (intent,) = desk.tell("custom.seen", amount="12.50")

    checks = msgspec.json.decode(intent.params)["$checks"]
    assert checks["guard"]["values"]["event.amount"] == ["number", "12.50"]


def test_an_event_that_was_stored_is_read_without_asking_what_is_declared() -> None:
    desk = Desk(a_workflow(TELLS.format(data="{amount: 1}"), seen(version=7)))
    desk.tell("trade.closed", deal=1)
    (fact,) = (fact for decision in desk.decisions for fact in decision.writes.facts)

    envelope = decode_envelope(msgspec.json.encode(fact.envelope))

    assert (envelope.schema, bytes(envelope.data)) == (7, b'{"amount":"1"}')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ event.amount|round(1) }}", "12.5"),
        ("{{ event.amount }} {{ event.tier }} {{ event.type }}", "12.50 gold custom.seen"),
        ("{{ event.amount * 2 }}", "25.00"),
        ("{{ event.since|date }}", "2026-06-23"),
        ('{{ event.amount|default(0) }} {{ event.took|default("long") }}', "12.50 long"),
    ],
)
def test_human_text_reads_a_field_as_what_it_is(text: str, said: str) -> None:
    rule = (
        f"when: [{{event: custom.seen}}]\nsteps: [{{do: notify.chat, with: {{to: sales, text: {text!r}}}}}]"
    )
    desk = Desk(a_workflow(rule, seen()))

    (intent,) = desk.tell("custom.seen", amount="12.50", tier="gold", since="2026-06-23T09:00:00Z")

    assert msgspec.json.decode(intent.params)["text"] == said


def test_what_cannot_be_read_stays_the_text_it_was_told_as() -> None:
    rule = "when: [{event: custom.seen}]\nsteps: [{do: notify.chat, with: {to: sales, text: '{{ event.amount }}'}}]"
    desk = Desk(a_workflow(rule, seen()))

    (intent,) = desk.tell("custom.seen", amount="about ten")

    assert msgspec.json.decode(intent.params)["text"] == "about ten"


def test_a_field_that_stands_as_a_text_is_explained_as_what_it_is() -> None:
    text = "when: [{event: custom.seen, where: event.amount > 10}]\nsteps: [{do: event.publish, with: {type: custom.enough}}]"

    said = explain(a_workflow(text, seen())).text()

    assert "where amount is greater than 10" in said
