"""`hub diff` in words: what an edit of the key begins anew is said, and only then."""

import pytest
from unit.engine.desk import a_workflow

from hub.commands.diff import ANEW, in_words

PLAIN = """
params: {big: {type: number, default: 3}}
when: [{event: trade.closed, where: event.lots < params.big}]
steps: [{do: event.publish, with: {type: custom.x}}]
"""
BY_SIZE = """'"big" if event.lots > params.big else "small"'"""


@pytest.mark.parametrize(
    ("old", "new", "value", "anew"),
    [
        ("account", "client", "3", True),
        ("lower(event.comment)", "upper(event.comment)", "3", True),
        ("lower(event.comment)", "lower( event.comment )", "4", False),
        (BY_SIZE, BY_SIZE, "4", True),
        (BY_SIZE, BY_SIZE, "3.0", False),
    ],
)
def test_other_keys_are_said_to_begin_limits_anew(old, new, value, anew):
    words = in_words(
        a_workflow(PLAIN, key=old), a_workflow(PLAIN.replace("default: 3", f"default: {value}"), key=new)
    )

    assert (ANEW in [word.line for word in words]) is anew
