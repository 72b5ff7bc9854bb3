"""Levels: made, moved and taken away with their scope and limit; a crossing counts once."""

from decimal import Decimal

import msgspec
import pytest
from unit.engine.desk import Desk, a_workflow

from hub.engine.levels import Sample, crossings, observations
from hub.engine.rows import LevelRow

ALERT = """
params: {fall: {type: percent, default: 20}}
scope: account.type == "real"
when: [{crosses: {value: account.equity, below: account.balance * (1 - params.fall / 100), rearm: account.balance * 0.9}}]
steps: [{do: event.publish, with: {type: custom.alert, data: {equity: = trigger.value, limit: = trigger.limit}}}]
"""


@pytest.fixture
def desk():
    desk = Desk(a_workflow(ALERT))
    desk.account(type="real", balance="1000")
    return desk


def armed(desk):
    desk.observe(desk.level, beyond=False)
    return desk.level


def test_a_level_is_made_when_its_scope_and_limit_are_known(desk):
    level = desk.level

    assert (level.field, level.side, level.threshold, level.rearm) == ("equity", "below", "800", "900")
    assert (level.state, level.generation, level.key) == ("new", 1, "live-1:7001")


def test_a_level_moves_with_what_its_limit_reads_and_its_generation_grows(desk):
    first = armed(desk)

    desk.tell("balance.deposited", amount="1000")

    assert (desk.level.threshold, desk.level.state) == ("1600", "armed")
    assert desk.level.generation == first.generation + 1
    assert desk.level.level_id == first.level_id


def test_an_event_that_moves_nothing_writes_no_level(desk):
    before = desk.level

    desk.tell("credit.granted", amount="10")
    desk.tell("trade.opened")

    assert desk.level is before


def test_a_level_goes_with_its_scope_and_comes_back_as_another_generation(desk):
    first = armed(desk)
    desk.account(type="demo")
    assert desk.levels == {}

    desk.account(type="real")

    assert (desk.level.state, desk.level.level_id) == ("new", first.level_id)
    assert desk.level.generation > first.generation


def test_a_level_goes_with_its_workflow(desk):
    desk.switch()
    assert desk.levels == {}

    desk.switch(a_workflow(ALERT))
    assert desk.level.state == "new"


def test_a_workflow_that_comes_makes_levels_for_accounts_known_before():
    desk = Desk()
    desk.account(type="real", balance="500")

    desk.switch(a_workflow(ALERT))

    assert desk.level.threshold == "400"


def test_a_crossing_fires_once_with_its_value_and_limit(desk):
    level = armed(desk)

    (intent,) = desk.cross(level, "799.5")

    assert intent.key == "rule/live-1:7001/crosses/1/0"
    assert msgspec.json.decode(intent.params)["data"] == {"equity": "799.5", "limit": "800"}
    assert desk.level.state == "crossed"
    assert desk.cross(level, "799") == []  # of the generation before


def test_a_crossing_of_a_level_that_has_moved_meanwhile_is_stale(desk):
    before = armed(desk)
    desk.tell("balance.withdrawn", amount="500")

    assert desk.cross(before, "799") == []
    assert desk.level.state == "armed"


def test_it_fires_again_only_after_it_has_recovered(desk):
    desk.cross(armed(desk), "799")
    assert desk.cross(desk.level, "700") == []
    desk.cross(desk.level, "900", edge="recovered")
    assert desk.level.state == "armed"

    (again,) = desk.cross(desk.level, "790")

    assert again.key == "rule/live-1:7001/crosses/2/0"


def test_a_first_look_beyond_a_level_does_not_fire(desk):
    assert desk.observe(desk.level, beyond=True) == []
    assert desk.level.state == "crossed"


def test_on_first_fires_on_a_first_look_beyond():
    desk = Desk(
        a_workflow(
            ALERT.replace("{equity: = trigger.value, limit: = trigger.limit}", "{}").replace(
                "}}]", "}, on_first: true}]", 1
            )
        )
    )
    desk.account(type="real", balance="1000")

    assert len(desk.observe(desk.level, beyond=True)) == 1


def test_an_observation_of_an_older_generation_is_ignored(desk):
    stale = desk.level
    desk.tell("balance.deposited", amount="1000")

    desk.observe(stale, beyond=True)

    assert desk.level.state == "new"


@pytest.mark.parametrize(("value", "flags"), [("0", {}), ("799", {"degraded": True})])
def test_a_glitch_never_fires_and_a_real_crossing_after_it_is_another_fact(desk, value, flags):
    level = armed(desk)

    assert desk.cross(level, value, **flags) == []

    assert desk.level.state == "armed"
    assert desk.level.generation == level.generation + 1
    assert len(desk.cross(desk.level, "799")) == 1


def test_an_equity_of_zero_without_a_balance_is_believed():
    desk = Desk(
        a_workflow(
            ALERT.replace(
                "account.balance * (1 - params.fall / 100), rearm: account.balance * 0.9", "100"
            ).replace("params: {fall: {type: percent, default: 20}}", "")
        )
    )
    desk.account(type="real", balance="0")

    assert len(desk.cross(armed(desk), "0")) == 1


def test_a_margin_level_of_zero_never_fires():
    desk = Desk(
        a_workflow(
            "when: [{crosses: {value: account.margin_level, below: 100}}]\nsteps: [{do: event.publish, with: {type: custom.x}}]"
        )
    )
    desk.account(type="real")
    level = armed(desk)

    assert desk.cross(level, "0") == []
    assert len(desk.cross(desk.level, "99")) == 1


# The comparison


def a_level(state="armed", side="below", threshold="100", rearm="110", field="equity"):
    return LevelRow(0, "lvl", "live-1:1", field, side, threshold, rearm, 3, state)


@pytest.mark.parametrize(
    ("level", "sample", "edge"),
    [
        (a_level(), {"equity": 99}, "crossed"),
        (a_level(), {"equity": 100}, None),
        (a_level("crossed"), {"equity": 109}, None),
        (a_level("crossed"), {"equity": 110}, "recovered"),
        (a_level(side="above", rearm="90"), {"equity": 101}, "crossed"),
        (a_level(side="above", rearm="90"), {"equity": 100}, None),
        (a_level("crossed", side="above", rearm="90"), {"equity": 90}, "recovered"),
        (a_level("new"), {"equity": 1}, None),
        (a_level(), {"equity": 0, "balance": 50}, None),
        (a_level(), {"equity": 0, "balance": 0}, "crossed"),
        (a_level(), {"equity": "NaN"}, None),
        (a_level(), {"equity": 5, "degraded": True}, None),
        (a_level(), {"floating": -5}, None),
        (a_level(field="margin_level"), {"margin_level": 50, "margin": 10}, "crossed"),
        (a_level(field="margin_level"), {"margin_level": 0}, None),
        (a_level(field="margin_level"), {"margin_level": 50, "margin": 0}, None),
    ],
)
def test_a_sample_crosses_what_it_is_past(level, sample, edge):
    values = {name: value if isinstance(value, bool) else Decimal(value) for name, value in sample.items()}

    found = crossings([level], Sample(**values))

    assert [crossing.edge for crossing in found] == ([edge] if edge else [])


def test_a_new_level_is_observed_and_not_crossed():
    (seen,) = observations([a_level("new")], Sample(equity=Decimal(50)))

    assert (seen.level_id, seen.generation, seen.beyond) == ("lvl", 3, True)
    assert observations([a_level()], Sample(equity=Decimal(50))) == []
