"""Whether positions are told to processes that own partitions, by one that owns none."""

import pytest
from unit.engine.desk import a_workflow

from hub.engine.position_levels import watches_positions
from hub.scaled.wanted import PositionsWanted

STEPS = "steps: [{do: event.publish, with: {type: custom.x}}]"
WATCHES = a_workflow("when: [{crosses: {value: position.profit, above: 5}}]\n" + STEPS, key="position")


class Live:
    """Says which workflows are live; None: nobody has said so yet."""

    def __init__(self, workflows):
        self.workflows = workflows

    async def live(self):
        return self.workflows


@pytest.mark.parametrize(
    ("workflow", "watches"),
    [
        (WATCHES, True),
        (a_workflow("when: [{crosses: {value: position.profit, above: 5}}]\n" + STEPS, key="position", mode="off"), False),
        (a_workflow("when: [{crosses: {value: account.equity, above: 5}}]\n" + STEPS), False),
        (a_workflow("when: [{event: trade.opened}]\n" + STEPS, key="position"), False),
    ],
)  # fmt: skip
def test_a_workflow_with_levels_of_positions_wants_them(workflow, watches):
    assert watches_positions(workflow) is watches


async def test_positions_are_told_until_somebody_has_said_that_nobody_watches_them():
    live = Live(None)
    wanted = PositionsWanted(live)
    assert wanted()
    await wanted.look()
    assert wanted()

    live.workflows = []
    await wanted.look()
    assert not wanted()

    live.workflows = [WATCHES]
    await wanted.look()
    assert wanted()
