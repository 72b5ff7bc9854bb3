"""A field that is one of a few words, beside a text that is none of them."""

import pytest

from hub.engine.load_text import load_text
from hub.engine.message_files import NO_MESSAGES

FILE = """\
schema: 1
id: a
title: t
scope: {scope}
when: [{{event: {event}, where: '{where}'}}]
steps: [{{do: event.publish, with: {{type: challenge.failed, data: {{rule: '{rule}'}}}}}}]
"""


def warned(*, scope='account.type == "real"', event="trade.opened", where="event.lots > 1", rule="daily"):
    report = load_text(FILE.format(scope=scope, event=event, where=where, rule=rule), "a.yaml", NO_MESSAGES)
    assert report.workflow is not None, report.problems
    return [f"{problem.place.line}:{problem.place.column}: {problem.message}" for problem in report.problems]


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        (
            {"where": 'event.side == "by"'},
            "5:52: `event.side` is one of buy, sell, and never `by`; did you mean buy?",
        ),
        (
            {"scope": 'not account.type in ["real", "demos"]'},
            "4:37: `account.type` is one of real, demo, contest, and never `demos`; did you mean demo?",
        ),
        (
            {"scope": 'account.platform != "MT4"'},
            "4:28: `account.platform` is one of mt4, mt5, and never `MT4`",
        ),
        (
            {"rule": '= "x" if event.side == "sel" else "y"'},
            "6:97: `event.side` is one of buy, sell, and never `sel`; did you mean sell?",
        ),
        (  # of several types it is any of their words
            {"event": '"equity.*"', "where": 'event.side == "above" or event.side == "abov"'},
            "5:75: `event.side` is one of below, above, and never `abov`; did you mean above?",
        ),
    ],
)
def test_it_is_said_where_the_text_stands(change, warning):
    assert warned(**change) == [warning]


@pytest.mark.parametrize(
    "change",
    [
        {"where": 'event.side == "sell" and event.symbol == "anything"'},
        {"scope": 'account.group == "by" and account.status in ["any", "thing"]'},
        {"event": '"trade.*"', "where": 'event.side != "buy"'},
        {"where": 'event.symbol == event.side or event.side in ["buy", "sell"]'},
    ],
)
def test_of_what_may_be_so_nothing_is_said(change):
    assert warned(**change) == []
