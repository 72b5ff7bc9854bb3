"""Stories of a workflow whose breaker trips: what leaves, what is held, and what a reset brings back."""

from datetime import timedelta

import pytest
from unit.engine.desk import a_workflow

from hub.engine.stage_breaker import StageBreaker
from hub.engine.story import run_story
from hub.engine.storybook import read_stories
from hub.intents.intent import Intent, State

PAYS = """
when: [{event: trade.closed}]
limit: {max: 99, every: 1d}
trip: {more_than: 2, risk: money, within: 5m}
steps:
  - {id: pay, do: credit.grant, with: {amount: 5}}
"""
TELLS = """
when: [{event: trade.closed}]
trip: {more_than: 2, risk: notify, within: 5m}
steps: [{do: event.publish, with: {type: custom.seen}}]
"""

PROMISES = """
trip: {more_than: 2, risk: money, within: 5m}
aggregates:
  lots: {from: trade.closed, sum: event.lots, window: lifetime}
grant:
  id: bonus
  action: credit.grant
  amount: lots * 2
  while: lots > 0
  book: {at: once_true}
  watch: 30d
  take_back: {mode: full}
"""


async def told(steps, workflow=PAYS, given="{}"):
    lines = "\n".join(f"      - {step}" for step in steps)
    text = f"workflow: rule\ntests:\n  - name: a story\n    given: {given}\n    story:\n{lines}\n"
    book = read_stories(text, "rule.test.yaml")
    assert book.file is not None, [str(problem) for problem in book.problems]
    result = await run_story(a_workflow(workflow), book.file.tests[0], book.places[0])
    return "\n".join(result.failures)


def closed(minute, expect="expect: [{action: credit.grant}]", login=1001):
    return f"{{at: 2026-03-02T10:{minute:02}Z, event: {{type: trade.closed, account: {{login: {login}}}}}, {expect}}}"


NOTHING = "expect_none: true, why: 'the breaker of rule tripped at 2026-03-02T10:02'"


async def test_what_is_one_too_many_is_refused_and_what_comes_after_is_held():
    assert not await told([
        closed(0), closed(1, login=1002), "{expect_tripped: false}",
        closed(2, NOTHING), "{expect_tripped: true}", closed(3, NOTHING, login=1003),
        "{restart: hub}", closed(50, NOTHING),
    ])  # fmt: skip


async def test_what_is_held_can_be_looked_at_as_it_would_have_been():
    assert not await told([
        closed(0), closed(1),
        closed(2, "expect: [{action: credit.grant, amount: 5, state: rejected}]"),
        closed(3, "expect: [{action: credit.grant, amount: 5, state: shadow}]"),
    ])  # fmt: skip


async def test_expecting_that_it_is_sent_says_why_it_was_not():
    said = await told([closed(0), closed(1), closed(2)])

    assert "state: it was rejected (the breaker of rule tripped" in said


async def test_after_a_reset_it_counts_from_nothing_and_makes_up_for_nothing():
    assert not await told([
        closed(0), closed(1), closed(2, NOTHING),
        "{reset: breaker, expect_none: true, expect_tripped: false}",
        closed(3), closed(4), closed(5, "expect_none: true, expect_tripped: true"),
    ])  # fmt: skip


async def test_after_a_reset_a_promise_is_kept_for_all_who_were_stopped_and_what_it_asks_for_counts():
    def paid(*logins):
        return (
            "expect: [" + ", ".join(f"{{action: credit.grant, login: {n}, amount: 2}}" for n in logins) + "]"
        )

    known = ", ".join(f"{{server: live-1, login: {n}, currency: USD}}" for n in (1002, 1003, 1004))
    given = f"{{account: {{server: live-1, login: 1001, currency: USD}}, accounts: [{known}]}}"
    assert not await told([
        closed(0, paid(1001)), closed(1, paid(1002), login=1002),
        closed(2, NOTHING, login=1003),
        closed(3, "expect_none: true", login=1004), "{restart: hub}",
        "{reset: breaker, expect_tripped: false}",
        f"{{at: 2026-03-02T10:04Z, {paid(1003, 1004)}, expect_tripped: false}}",
        closed(5, "expect_none: true, why: 'what is owed is asked for again when the breaker is reset'"), "{expect_tripped: true}",
    ], PROMISES, given)  # fmt: skip


async def test_what_lies_behind_the_time_counts_no_more():
    assert not await told([closed(0), closed(1), closed(7), closed(8), "{expect_tripped: false}"])


async def test_events_it_publishes_count_as_well_and_those_that_left_have_left():
    seen = "expect: [{action: event.publish}]"

    assert not await told([
        closed(0, seen), closed(1, seen), "{expect_tripped: false}", closed(2, seen), "{expect_tripped: true}",
        closed(3, NOTHING),
    ], TELLS)  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "workflow", "said"),
    [
        (["{at: 2026-03-02T10:00Z, expect_tripped: true}"], PAYS, "has not tripped: 0 of 2"),
        ([closed(0), "{expect_tripped: true}"], PAYS, "has not tripped: 1 of 2"),
        ([closed(0), closed(1), closed(2, NOTHING), "{expect_tripped: false}"], PAYS, "would be one too many"),
        (["{at: 2026-03-02T10:00Z, expect_tripped: true}"], PAYS.replace("trip:", "#"), "has no breaker"),
        (["{at: 2026-03-02T10:00Z, reset: breaker}"], PAYS, "reset: the breaker has not tripped"),
    ],
)  # fmt: skip
async def test_a_story_that_is_not_true_says_how_the_breaker_stands(steps, workflow, said):
    assert said in await told(steps, workflow)


def test_other_risks_and_what_is_decided_in_shadow_do_not_count():
    breaker = StageBreaker(a_workflow(PAYS))

    def passed(number, verb, state):
        intent = Intent(
            f"rule/{number}", 1, "live-1:1", verb, b"{}", "rule", "r", "pay", "e", state, number, number
        )
        return breaker.pass_on([intent], timedelta(minutes=1).seconds * 1_000_000)

    for number in range(9):
        assert not passed(number, "event.publish", State.DELIVERED)
        assert not passed(100 + number, "credit.grant", State.SHADOW)
    assert not breaker.tripped
    assert not passed(200, "credit.grant", State.READY)
    assert not passed(201, "credit.grant", State.READY)
    assert passed(202, "credit.grant", State.READY)
