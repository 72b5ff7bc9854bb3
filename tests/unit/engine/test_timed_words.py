"""Schedules, queues and breakers are explained in plain English."""

import pytest
from unit.engine.desk import a_workflow

from hub.engine.explain import explain
from hub.engine.load_text import load_text

STEPS = "steps: [{stop: x}]"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            'when: [{schedule: {cron: "0 9 * * mon-fri", tz: Europe/Nicosia}}]',
            (
                "Starts at 09:00 on Monday through Friday, by the clock of Europe/Nicosia. "
                "Of moments the hub missed the last one counts."
            ),
        ),
        (
            'when: [{schedule: {cron: "30 8 L * *", tz: UTC, catch_up: all, within: 2h}}]',
            (
                "Starts at 08:30 on the last day of every month, by the clock of UTC. "
                "Moments the hub missed count as well, up to 2 hours late, at most 100 of them."
            ),
        ),
        (
            'when: [{schedule: {cron: "*/5 * * * *", tz: UTC, catch_up: none}}]',
            "A moment the hub missed does not count.",
        ),
        (
            "when: [{manual: {permission: money.approve}}]",
            "Starts when somebody asks for it and has the permission money.approve.",
        ),
        (
            "when: [{event: trade.closed}]\nrun: {mode: queued, max: 3}",
            (
                "One run for each account at a time; what would begin meanwhile begins when that one ends. "
                "At most 3 runs wait, and what would be more does not happen."
            ),
        ),
        (
            "when: [{event: trade.closed}]\ntrip: {more_than: 50, risk: money, within: 5m}",
            (
                "If it asks for more than 50 actions that move money in 5 minutes, it is stopped: "
                "nothing more is sent until a person has looked and resets it."
            ),
        ),
    ],
)
def test_it_reads_as_a_person_would_say_it(text: str, said: str) -> None:
    assert said in explain(a_workflow(f"{text}\n{STEPS}")).text()


@pytest.mark.parametrize(
    ("risk", "steps", "warned"),
    [
        ("account", "steps: [{do: account.disable}]", False),
        ("any", "steps: [{if: 'account.balance > 5', then: [{do: account.disable}]}]", False),
        ("money", "steps: [{do: account.disable}]", True),
        ("any", "steps: [{do: event.publish, with: {type: custom.x}}]", False),
        ("notify", "steps: [{stop: x}]", True),
    ],
)
def test_a_breaker_that_can_never_trip_is_warned_of_where_it_stands(
    risk: str, steps: str, *, warned: bool
) -> None:
    head = "schema: 1\nid: a\ntitle: t\nwhen: [{event: trade.closed}]"

    report = load_text(f"{head}\ntrip: {{more_than: 5, risk: {risk}, within: 5m}}\n{steps}\n", "a.yaml")

    assert report.workflow is not None
    assert [str(problem).partition(": it never")[0] for problem in report.problems] == (
        ["a.yaml:5:28: warning"] if warned else []
    )
