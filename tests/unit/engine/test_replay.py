"""Deciding the same log gives the same bytes, whenever the engine is stopped, started or asked again."""

from datetime import timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st
from unit.engine.desk import MORNING, Desk, a_workflow

from hub.engine.decision import BatchBuilder
from hub.engine.rows import KeyRows
from hub.engine.state import KeyState

BONUS = """
scope: account.type == "real"
aggregates:
  lots: {from: trade.closed, sum: event.lots, window: {calendar: day, tz: Europe/Nicosia}, retract: {event: trade.cancelled, ref: event.deal}}
  recent: {from: trade.closed, avg: event.lots, window: {sliding: 9h}}
when:
  - {id: many, becomes: lots > 10}
  - {id: large, becomes: recent > 3}
limit: {max: 2, every: 1d, per: trigger}
steps: [{id: bonus, do: credit.grant, with: {amount: = lots * 2, comment: "{{ lots }} / {{ recent }}"}}]
"""
ALERT = """
when: [{crosses: {value: account.equity, below: account.balance * 0.8, rearm: account.balance * 0.9}}]
steps: [{do: event.publish, with: {type: custom.alert, data: {limit: = trigger.limit}}}]
"""
WORKFLOWS = (a_workflow(BONUS, id="bonus"), a_workflow(ALERT, id="alert"))

moves = st.one_of(
    st.tuples(st.just("trade"), st.integers(1, 9), st.integers(0, 30)),
    st.tuples(st.just("cancel"), st.integers(1, 9), st.just(0)),
    st.tuples(st.just("deposit"), st.integers(1, 9), st.just(0)),
    st.tuples(st.just("type"), st.sampled_from([1, 2]), st.just(0)),
    st.tuples(st.just("cross"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("wait"), st.integers(1, 30), st.just(0)),
)


TAKEN_BACK_TWICE = [
    ("cancel", 1, 0),
    ("wait", 1, 0),
    ("cancel", 1, 0),
    ("trade", 1, 0),
    ("wait", 7, 0),
    ("wait", 30, 0),
    ("trade", 1, 0),
    ("trade", 1, 0),
]


class Stored:
    """The rows of one key, as a store keeps them."""

    def __init__(self):
        self.states, self.series = {}, {}

    def write(self, decisions):
        builder = BatchBuilder()
        for decision in decisions:
            builder.add(decision)
        batch = builder.build()
        for row in batch.states:
            self._put(self.states, (row.kind, row.name), row.value)
        for row in batch.series:
            self._put(self.series, (row.name, row.at, row.ref), row.value)

    def _put(self, rows, where, value):
        if value is None:
            rows.pop(where, None)
        else:
            rows[where] = value

    def load(self, partition, key):
        # No store promises an order of rows: here it is never that in which they were written.
        states = [(*where, value) for where, value in sorted(self.states.items(), reverse=True)]
        series = [(*where, value) for where, value in sorted(self.series.items())]
        return KeyState.from_rows(partition, key, KeyRows(states, series, ()))


def play(desk, script):
    desk.account(type="real", balance="1000", digits=2)
    moment, deals = MORNING, 0
    for what, number, late in script:
        match what:
            case "wait":
                moment += timedelta(hours=number)
                desk.until(moment)
            case "trade":
                deals += 1
                desk.tell(
                    "trade.closed", deal=deals, lots=f"{number}.5", timestamp=moment - timedelta(hours=late)
                )
            case "cancel":
                desk.tell("trade.cancelled", deal=number)
            case "deposit":
                desk.tell("balance.deposited", amount=str(number))
            case "type":
                desk.account(type="real" if number == 1 else "demo")
            case "cross" if desk.levels:
                level = desk.level
                if level.state == "new":
                    desk.observe(level, beyond=bool(number))
                else:
                    edge = "crossed" if level.state == "armed" else "recovered"
                    desk.cross(level, "1" if edge == "crossed" else "9999", edge=edge)


@settings(max_examples=60)
@given(script=st.lists(moves, max_size=25))
def test_the_log_decided_again_gives_the_same_bytes(script):
    first = Desk(*WORKFLOWS)
    play(first, script)

    again = Desk(*WORKFLOWS)
    for item in first.inputs:
        again.take(item)

    assert again.written() == first.written()


@settings(max_examples=60)
@given(script=st.lists(moves, max_size=25), often=st.integers(1, 4))
@example(script=TAKEN_BACK_TWICE, often=1)
def test_stopping_anywhere_and_loading_what_was_stored_changes_nothing(script, often):
    first = Desk(*WORKFLOWS)
    play(first, script)

    again, stored, done = Desk(*WORKFLOWS), Stored(), 0
    for number, item in enumerate(first.inputs):
        again.take(item)
        stored.write(again.decisions[done:])
        done = len(again.decisions)
        if number % often == 0:
            again.state = stored.load(again.state.partition, again.state.key)

    assert again.written() == first.written()


@settings(max_examples=40)
@given(script=st.lists(moves, max_size=25))
def test_every_intent_and_every_trace_has_a_name_of_its_own(script):
    desk = Desk(*WORKFLOWS)
    play(desk, script)

    keys = [intent.key for decision in desk.decisions for intent in decision.intents]
    traces = [(row.n, row.id) for decision in desk.decisions for row in decision.traces]
    assert len(keys) == len(set(keys))
    assert len(traces) == len(set(traces))
