"""What a rehearsal need not be told: only what cannot change a decision, or every decision is another one."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.engine.desk import MORNING, Desk, a_workflow

from hub.engine.backtest import Tally
from hub.engine.index import Program
from hub.engine.memory_of import memory_of
from hub.engine.program import Workflow
from hub.engine.rehearsal import Rehearsal
from hub.engine.relevant import Needed

SAYS = "steps: [{do: event.publish, with: {type: custom.x}}]"
TRADES = f"when: [{{event: trade.closed}}]\n{SAYS}"
DEEP = """
when: [{event: trade.closed}]
steps:
  - if: event.lots > 1
    then: [{wait: {for: 40d}}, {do: event.publish, with: {type: custom.x}}]
"""


RETRACTED = f"""
aggregates:
  n: {{from: trade.closed, count: true, window: {{sliding: 1h}}, retract: {{event: trade.cancelled, ref: event.deal}}}}
when: [{{becomes: n > 3}}]
{SAYS}
"""


def is_needed(text: str, name: str, **header) -> bool:
    return Needed(Program([a_workflow(text, **header)]))(name)


@pytest.mark.parametrize(
    ("text", "name", "needed"),
    [
        (TRADES, "trade.closed", True),
        (TRADES, "order.placed", False),
        (TRADES, "balance.deposited", False),
        (TRADES, "account.updated", True),
        (f"scope: account.balance > 5\n{TRADES}", "balance.deposited", True),
        (f"scope: account.open_positions > 0\n{TRADES}", "trade.opened", True),
        (f'scope: account.group == "vip"\n{TRADES}', "order.placed", True),
        (TRADES.replace("custom.x", "custom.x, data: {b: = account.balance}"), "balance.deposited", True),
        (f"when: [{{event: trade.closed}}]\nsteps: [{{id: a, wait: {{event: order.placed, timeout: 1h}}}}, {SAYS[8:-1]}]", "order.placed", True),
        (f"when: [{{becomes: now > account.registered_at}}]\n{SAYS}", "order.placed", True),
        (f"when: [{{absent: {{event: trade.closed, within: 1h}}}}]\n{SAYS}", "order.placed", True),
        (RETRACTED, "trade.cancelled", True),
        (f"aggregates: {{n: {{from: positions, sum: position.lots}}}}\n{TRADES}", "order.placed", True),
    ],
)  # fmt: skip
def test_it_knows_what_a_workflow_depends_on(text, name, needed):
    assert is_needed(text, name) is needed


def test_a_workflow_by_another_key_is_told_everything():
    assert is_needed(TRADES, "order.placed", key="client")


@pytest.mark.parametrize(
    ("text", "days"),
    [
        (TRADES, 1),
        (f"limit: {{max: 1, every: 30d}}\n{TRADES}", 30),
        (f"limit: {{max: 1, every: forever}}\n{TRADES}", None),
        (f"when: [{{becomes: account.balance > 1, for: 3d}}]\n{SAYS}", 3),
        (DEEP, 40),
        (f"aggregates: {{n: {{from: trade.closed, count: true, window: lifetime}}}}\n{TRADES}", None),
        (
            f"aggregates: {{n: {{from: trade.closed, count: true, window: {{calendar: month, tz: UTC}}}}}}\n{TRADES}",
            32,
        ),
    ],
)
def test_it_knows_how_far_back_a_workflow_looks(text, days):
    assert memory_of(a_workflow(text)) == (None if days is None else timedelta(days=days))


WORKFLOWS = (
    f"aggregates: {{n: {{from: trade.closed, sum: event.lots, window: {{sliding: 5h}}}}}}\nwhen: [{{becomes: n > 5}}]\n{SAYS}",
    f"scope: account.balance > 1000\nwhen: [{{event: trade.closed}}]\n{SAYS}",
    f"when: [{{becomes: account.open_lots > 3, for: 2h}}]\n{SAYS}",
    f'scope: account.group == "vip"\nwhen: [{{becomes: account.credit > 10}}]\n{SAYS}',
    f"when: [{{event: balance.deposited}}]\nsteps: [{{id: a, wait: {{event: trade.closed, timeout: 3h}}}}, {SAYS[8:-1]}]",
    f"when: [{{absent: {{event: trade.closed, within: 4h, after: balance.deposited}}}}]\n{SAYS}",
)
events = st.lists(
    st.tuples(
        st.sampled_from(("trade.closed", "trade.opened", "balance.deposited", "account.updated", "order.placed")),
        st.integers(1, 9), st.integers(0, 3), st.sampled_from((None, "std", "vip")),
    ),
    max_size=25,
)  # fmt: skip


class Everything(Needed):
    def __call__(self, name):
        return True


def touched(workflow: Workflow, rows, *, everything: bool):
    tally = Tally()
    rehearsal = Rehearsal([workflow], tally)
    if everything:
        rehearsal.needed = Everything(rehearsal.program)
    rehearsal.tell(rows)
    rehearsal.until(rows[-1].at + 10**12 if rows else 0)
    return tally.touches


@settings(max_examples=60)
@given(st.sampled_from(WORKFLOWS), events)
def test_being_told_less_leads_to_the_same(text, script):
    desk = Desk()
    moment = MORNING
    for number, (name, size, hours, group) in enumerate(script, start=1):
        moment += timedelta(hours=hours)
        fields = {
            "trade.closed": {"deal": number, "lots": str(size)},
            "trade.opened": {"deal": number, "lots": str(size)},
            "balance.deposited": {"ticket": number, "amount": str(size * 200)},
            "account.updated": {"changed": {"balance": {"after": str(size * 200)}, "credit": {"after": str(size * 3)}}},
            "order.placed": {"order": number, "symbol": "EURUSD", "side": "buy", "lots": "1"},
        }[name]  # fmt: skip
        desk.tell(name, at=moment, group=group, **fields)
    workflow = a_workflow(text)

    assert touched(workflow, desk.inputs, everything=False) == touched(workflow, desk.inputs, everything=True)
