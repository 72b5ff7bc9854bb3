"""Money in a currency the file names, and money in each account's own: the two meet only where somebody asked which that is."""

import pytest

from hub.engine.load_text import load_text
from hub.engine.message_files import NO_MESSAGES
from hub.engine.problems import Severity

FILE = """\
schema: 1
id: a
title: t
params: {{most: {{type: money, default: 1000, currency: USD}}, share: {{type: percent, default: 5}}}}
scope: {scope}
aggregates:
  lost: {{from: trade.closed, sum: -event.net_profit, window: {{sliding: 7d}}}}
  lost_base: {{from: trade.closed, sum: -event.net_profit_base, window: {{sliding: 7d}}}}
  rebate: {{from: trade.closed, sum: event.lots * params.most, window: {{sliding: 7d}}}}
when:
  - becomes: lost + lost_base + rebate > 0 and {condition}
steps:
  - do: event.publish
    with: {{type: custom.x, data: {{share: = params.share}}}}
"""
MET = (
    "money in USD meets money in each account's own currency, as if the two were one: "
    'add `account.currency == "USD"` to `scope`, or to `where`'
)


def refused(condition, scope='account.type == "real"', *, plain=True):
    text = FILE.format(condition=condition, scope=scope)
    if plain:
        text = text.replace("lost + lost_base + rebate > 0 and ", "")
    report = load_text(text, "w.yaml", NO_MESSAGES)
    errors = [problem for problem in report.problems if problem.severity is Severity.ERROR]
    assert (report.workflow is None) == bool(errors)
    assert {problem.message for problem in errors} <= {MET}
    return [problem.place.line for problem in errors]


@pytest.mark.parametrize(
    "condition",
    [
        "lost > params.most",
        "lost + params.most > 0",
        "min(lost, params.most) > 0",
        "(lost if account.enabled else params.most) > 0",
        "default(lost, params.most) > 0",
        "between(lost, 0, params.most)",
        "account.enabled and not lost >= params.most",
        "lost > rebate",
    ],
)
def test_where_they_meet_the_file_is_refused(condition):
    assert refused(condition) == [11]


@pytest.mark.parametrize(
    "condition",
    [
        "lost > 1000",  # a plain number is in whatever the other side is in
        "lost * 2 > lost",
        "rebate > params.most",
        "lost_base > params.most",  # the file does not know what the hub's base currency is
        "account.leverage * params.most > 0",
        "lost > 5 and rebate > params.most",
    ],
)
def test_where_they_do_not_meet_it_loads(condition):
    assert refused(condition) == []


def test_a_sum_of_both_is_said_once_for_its_line():
    assert refused("true", plain=False) == [11]


def test_whoever_asks_for_the_currency_has_thought_of_it():
    assert refused("lost > params.most", scope='account.currency == "USD"') == []


def test_a_version_that_was_live_before_this_was_asked_goes_on():
    text = FILE.format(condition="lost > params.most", scope='account.type == "real"')

    report = load_text(text, "stored")

    assert report.workflow is not None
    assert MET not in {problem.message for problem in report.problems}
