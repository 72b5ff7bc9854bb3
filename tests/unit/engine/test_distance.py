"""How far a condition is from holding, in its own words."""

from decimal import Decimal

import pytest
from unit.engine.desk import a_workflow

from hub.engine.distance import between, distances

TEXT = """
params: {{floor: {{type: number, default: 5}}}}
aggregates:
  lots: {{from: trade.closed, sum: event.lots, window: {{sliding: 7d}}}}
  deals: {{from: trade.closed, count: true, window: {{sliding: 7d}}}}
when: [{{becomes: '{condition}'}}]
steps: [{{do: event.publish, with: {{type: custom.x}}}}]
"""


def told(condition, **env):
    (trigger,) = a_workflow(TEXT.format(condition=condition)).triggers
    known = {name: Decimal(str(value)) for name, value in env.items()}
    return [each.text for each in distances(trigger.condition, {"params": {"floor": Decimal(5)}, **known})]


@pytest.mark.parametrize(
    ("condition", "env", "expected"),
    [
        ("lots > 20", {"lots": "17.4"}, ["lots: 17.4 of 20, more than 2.6 to go"]),
        ("lots >= 20", {"lots": "17.4"}, ["lots: 17.4 of 20, 2.6 to go"]),
        ("20 < lots", {"lots": "17.4"}, ["lots: 17.4 of 20, more than 2.6 to go"]),
        ("lots > 20", {"lots": "20"}, ["lots: 20 of 20, and it has to be more"]),
        ("lots < 5", {"lots": "8"}, ["lots: 8, has to fall by more than 3 to 5"]),
        ("not lots < 20", {"lots": "17"}, ["lots: 17 of 20, 3 to go"]),
        ("lots > 20", {"lots": "21"}, []),
        ("lots > 20 and deals > 3", {"lots": "21", "deals": "1"}, ["deals: 1 of 3, more than 2 to go"]),
        ("lots > 20 or deals > 4", {"lots": "10", "deals": "3"}, ["deals: 3 of 4, more than 1 to go"]),
        ("lots == 20", {"lots": "17"}, []),
        ("lots > 20", {}, []),
    ],
)
def test_it_says_what_there_is_what_it_takes_and_what_remains(condition, env, expected):
    assert told(condition, **env) == expected


def test_of_a_sampled_value_it_says_how_far_the_level_is():
    far = between("account.equity", "below", Decimal(5200), Decimal(5000))

    assert far is not None
    assert far.text == "account.equity: 5200, has to fall by more than 200 to 5000"
    assert between("account.equity", "below", Decimal(4999), Decimal(5000)) is None
