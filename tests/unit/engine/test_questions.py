"""Who would have been asked in a rehearsal, for how much, and what follows from what they are assumed to say."""

from datetime import timedelta
from decimal import Decimal
from io import StringIO

import pytest
from rich.console import Console
from unit.engine.desk import MORNING, Desk, a_workflow

from hub.clock import to_us
from hub.commands.backtest import compare
from hub.commands.backtest_html import page
from hub.commands.backtest_questions import show_questions
from hub.engine.backtest import Tally, finished
from hub.engine.rehearsal import Rehearsal

HOUR = timedelta(hours=1)
DAY_US = 86_400_000_000
ASKS = """
when: [{id: wanted, event: withdrawal.requested}]
limit: {max: 20, every: 1d}
steps:
  - if: event.amount >= 1000
    then:
      - id: sign_off
        approve: {permission: money.approve, quorum: 2, within: 24h, on_timeout: reject}
  - if: not default(steps.sign_off.rejected, false)
    then: [{id: pay, do: balance.withdraw, with: {amount: = event.amount}}]
"""


def a_record(*amounts):
    record = Desk(
        a_workflow("when: [{event: custom.never}]\nsteps: [{do: event.publish, with: {type: custom.x}}]")
    )
    record.account(currency="EUR", digits=2, balance="100000")
    for number, amount in enumerate(amounts):
        record.tell("withdrawal.requested", request=f"w-{number}", amount=amount, at=MORNING + number * HOUR)
    return record


def rehearse(record, *, people=None, text=ASKS, until=None, since=0):
    tally = Tally()
    workflow = a_workflow(text)
    rehearsal = Rehearsal([workflow], tally, people=people, since=since)
    rehearsal.tell(record.inputs)
    end = to_us(MORNING) + 5 * DAY_US if until is None else until
    rehearsal.until(end)
    assert rehearsal.broken == []
    return finished(rehearsal, tally, workflow, to_us(MORNING), end + 1, ())


def said(report):
    screen = StringIO()
    show_questions(Console(width=200, file=screen), report.tally.questions)
    return screen.getvalue()


def test_a_workflow_that_only_asks_says_whom_and_for_how_much():
    report = rehearse(a_record("1500", "2500.50", "999"))

    asked = report.data(10)["asked"]
    assert (asked["count"], asked["accounts"]) == (2, 1)
    assert asked["money"] == {"balance.withdraw EUR": "4000.50"}
    assert asked["became"] == {"expired": 2}
    assert asked["by_step"] == [{"step": "sign_off", "permission": "money.approve", "count": 2}]
    first = asked["questions"][0]
    assert (first["who"], first["trigger"], first["amount"], first["quorum"], first["became"]) == (
        "live-1:7001", "wanted", "1500.00", 2, "expired",
    )  # fmt: skip
    assert report.data(10)["money"] == {"balance.withdraw EUR": "999.00"}  # which nobody has to be asked


@pytest.mark.parametrize(
    ("people", "became", "paid"),
    [(None, "open", []), ("approve", "approved", [Decimal("1500.00")]), ("decline", "declined", [])],
)
def test_what_is_assumed_of_people_says_what_follows(people, became, paid):
    report = rehearse(a_record("1500"), people=people, until=to_us(MORNING + HOUR))

    assert report.tally.questions.states == {became: 1}
    assert [touch.amount for touch in report.tally.touches] == paid
    assert f"1 {'still open at the end' if became == 'open' else became}" in said(report)


def test_what_was_asked_before_the_time_asked_for_is_not_told():
    report = rehearse(a_record("1500", "1700"), since=to_us(MORNING) + 60_000_000)

    assert report.tally.questions.states == {"expired": 1}
    assert report.tally.questions.kept[0].amount == 1700


def test_a_version_that_asks_for_less_differs():
    old = rehearse(a_record("1500", "2500"), people="approve")
    new = rehearse(a_record("1500", "2500"), people="approve", text=ASKS.replace(">= 1000", ">= 2000"))

    found = compare(old, new)

    assert [(touch.verb, touch.amount) for touch in found.only_old] == [("approve", 1500)]
    assert found.only_new == []
    assert found.money() == {}  # what somebody is only asked for has not moved


def test_the_page_tells_whom_and_escapes_what_it_tells():
    report = rehearse(a_record("1500"))
    evil = report.tally.questions.kept[0]._replace(account="<script>alert(1)</script>")
    report.tally.questions.kept[0] = evil

    text = page(report, None)

    assert "Who would have been asked" in text
    assert "1,500.00 EUR" in text
    assert "<script" not in text


def test_nothing_is_said_of_questions_where_nobody_is_asked():
    report = rehearse(a_record("10"))

    assert said(report) == ""
    assert "Who would have been asked" not in page(report, None)


def test_beyond_what_is_kept_questions_are_only_counted(monkeypatch):
    monkeypatch.setattr("hub.engine.questions.MOST_QUESTIONS", 2)

    report = rehearse(a_record("1500", "1600", "1700"))

    data = report.data(10)["asked"]
    assert data["count"] == 3
    assert len(data["questions"]) == 2
    assert data["questions_left_out"] == 1
    assert data["money"] == {"balance.withdraw EUR": "4800.00"}
    assert data["became"] == {"expired": 3}
