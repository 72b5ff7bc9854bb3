"""A file of events told to a workflow: how far time goes."""

import json

import pytest
from unit.engine.desk import a_workflow

from hub.clock import iso
from hub.commands.moments import moment
from hub.commands.recorded import EventFile
from hub.commands.rehearse import Stretch, rehearse_file

BONUS = """
scope: account.currency == "USD"
aggregates:
  lots: {from: trade.closed, sum: event.lots, window: {calendar: month, tz: Europe/Nicosia}}
grant:
  id: bonus
  action: credit.grant
  amount: lots * 2
  while: lots > 1
  book: {at: period_end, delay: 6h}
  take_back: {mode: none}
"""
LAST = "2026-03-30T10:00:00.000Z"


async def told(folder, until):
    def line(name, when, **data):
        account = {"server": "live-1", "login": 7001, "group": "real", "currency": "USD"}
        return json.dumps({"type": name, "timestamp": when, "account": account, "data": data})

    path = folder / "events.ndjson"
    lines = (
        line("account.created", "2026-03-02T10:00:00Z", changed={"digits": {"after": 2}}),
        line("trade.closed", LAST, deal=1, symbol="EURUSD", side="buy", lots="2"),
    )
    path.write_text("\n".join(lines) + "\n")
    stretch = Stretch(None, moment(until, "--to") if until else None, None)
    (report,) = await rehearse_file(EventFile(path), [a_workflow(BONUS)], stretch, show=False)
    return report


async def test_time_goes_on_after_the_last_event_as_far_as_was_asked(tmp_path):
    report = await told(tmp_path, "2026-04-02")

    assert [(iso(touch.at), touch.amount) for touch in report.tally.touches] == [
        ("2026-04-01T03:00:00.000Z", 4)
    ]
    assert iso(report.until) == "2026-04-02T00:00:00.000Z"


async def test_nothing_is_told_of_what_falls_due_later_than_was_asked(tmp_path):
    report = await told(tmp_path, "2026-04-01T06:00+03:00")

    assert list(report.tally.touches) == []


async def test_where_nobody_asked_it_ends_with_the_last_event_and_says_so(tmp_path):
    report = await told(tmp_path, "")

    assert list(report.tally.touches) == []
    assert (
        f"nothing falls due after the last event, {LAST}: say with --to how long time goes on" in report.notes
    )


@pytest.mark.parametrize("until", ["2100-01-01", "9999-12-31"])
async def test_it_does_not_go_on_for_ever(tmp_path, until):
    report = await told(tmp_path, until)

    assert len(report.tally.touches) == 1
    assert iso(report.until - 1) == "2026-07-08T10:00:00.000Z"
    assert "time went on for 100 days after the last event, and no longer" in report.notes
