"""Branches, undo, timeouts and retries under any order of outcomes, events and time: the same bytes, and no run is lost."""

from collections import Counter
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from unit.engine.desk import MORNING, Desk, a_workflow
from unit.engine.test_forks import left_behind
from unit.engine.test_replay import Stored

from hub.engine.values import Kind
from hub.intents.intent import State

RULE = """
when: [{event: custom.go}]
limit: {max: 99, every: forever}
steps:
  - {id: move, do: account.set_group, with: {group: vip}, undo: {do: account.set_group, with: {group: = account.group}}}
  - parallel:
      - - {id: lock, do: account.disable_trading, timeout: 2h, retry: {max: 1, delay: 1h}, undo: none}
        - {id: heard, wait: {event: trade.closed, timeout: 5h}}
        - if: steps.heard.timed_out
          then: [{do: event.publish, with: {type: custom.silent}}]
      - for_each:
          in: event.list
          as: row
          max: 5
          concurrency: 2
          steps:
            - {id: pay, do: credit.grant, with: {amount: = row}, undo: {do: credit.remove, with: {amount: = row}}}
            - id: rest
              for_each:
                in: "[1, 2]"
                as: part
                max: 10
                concurrency: 2
                steps:
                  - wait: {for: 1h}
                  - {id: lever, do: account.set_leverage, with: {leverage: = part}, undo: {do: account.set_leverage, with: {leverage: 5}}}
              on_error: %s
        on_error: %s
  - {id: ask, do: http.request, with: {method: GET, url: {base: https://crm.example}, expect: {schema: {n: number}}}, timeout: 3h, retry: {max: 1, delay: 1h}}
  - {do: event.publish, with: {type: custom.done, data: {n: = steps.ask.body.n}}}
on_error:
  - {id: alarm, do: account.disable}
  - {do: event.publish, with: {type: custom.failed, data: {why: = error.message}}}
"""
RULES = [
    (a_workflow('scope: account.currency == "USD"' + RULE % (inner, outer), id="rule"),)
    for inner in ("fail", "continue")
    for outer in ("fail", "continue")
]
moves = st.one_of(
    st.tuples(st.just("go"), st.lists(st.integers(0, 3), max_size=3)),
    st.tuples(
        st.sampled_from(["applied", "applied", "applied", "rejected", "unknown", "parked"]), st.integers(0, 9)
    ),
    st.tuples(st.just("trade"), st.just(0)),
    st.tuples(st.just("wait"), st.integers(1, 4)),
)


def answer(desk, intent, state):
    if intent.verb == "http.request":
        good = state == "applied"
        after = {"status": 200, "body": {"n": "1.5"}} if good else {"status": 503}
        desk.outcome(intent, "delivered" if good else "exhausted", after=after, again=state == "rejected")
    else:
        desk.outcome(intent, state, before={"group": "std", "leverage": 100})


def pending(desk, known):
    asked = [each for decision in desk.decisions for each in decision.intents if each.state is State.READY]
    return [intent for intent in asked if intent.key not in known]


def play(desk, script):
    """Act a script out; return what became of each action."""
    desk.account(type="real", group="std", currency="USD", digits=2)
    moment, ended = MORNING, {}
    for what, value in script:
        if what == "go":
            desk.tell("custom.go", list=value)
        elif what == "trade":
            desk.tell("trade.closed", lots="1")
        elif what == "wait":
            moment += timedelta(hours=value)
            desk.until(moment)
        elif waiting := pending(desk, ended):
            intent = waiting[value % len(waiting)]
            answer(desk, intent, what)
            if what != "unknown":
                ended[intent.key] = what
    return ended


def settle(desk, ended):
    """Let time pass and everything come about until nothing waits any more."""
    moment = MORNING + timedelta(days=30)
    for _ in range(200):
        for intent in pending(desk, ended):
            answer(desk, intent, "applied")
            ended[intent.key] = "applied"
        moment += timedelta(hours=1)
        desk.until(moment)
        for name in [
            name for kind, name in desk.state.values if kind == Kind.LATE and ended.get(name) == "parked"
        ]:
            (intent,) = [each for made in desk.decisions for each in made.intents if each.key == name]
            answer(desk, intent, "applied")  # a person has decided
        if not pending(desk, ended) and not desk.timers:
            return
    raise AssertionError("it never comes to an end")


@settings(max_examples=60)
@given(rules=st.sampled_from(RULES), script=st.lists(moves, max_size=40), often=st.integers(1, 4))
def test_decided_again_and_stopped_anywhere_it_gives_the_same_bytes(rules, script, often):
    first = Desk(*rules)
    play(first, script)
    again, stopped, stored, done = Desk(*rules), Desk(*rules), Stored(), 0
    for number, item in enumerate(first.inputs):
        again.take(item)
        stopped.take(item)
        stored.write(stopped.decisions[done:])
        done = len(stopped.decisions)
        if number % often == 0:
            stopped.state = stored.load(stopped.state.partition, stopped.state.key)

    assert again.written() == first.written()
    assert stopped.written() == first.written()


@settings(max_examples=100)
@given(rules=st.sampled_from(RULES), script=st.lists(moves, max_size=40))
def test_every_run_comes_to_its_end_and_leaves_nothing_behind(rules, script):
    desk = Desk(*rules)
    ended = play(desk, script)
    settle(desk, ended)

    assert left_behind(desk) == []
    assert [name for kind, name in desk.state.values if kind == Kind.LATE] == []
    assert set(desk.runs.values()) <= {"done", "failed"}
    keys = Counter(each.key for decision in desk.decisions for each in decision.intents)
    assert set(keys.values()) <= {1}
    traces = Counter((row.n, row.id) for decision in desk.decisions for row in decision.traces)
    assert set(traces.values()) <= {1}


@settings(max_examples=100)
@given(rules=st.sampled_from(RULES[:1]), script=st.lists(moves, max_size=40))
def test_a_failed_run_has_asked_to_take_back_what_was_applied_and_no_more(rules, script):
    desk = Desk(*rules)
    ended = play(desk, script)
    settle(desk, ended)

    undone = {key.removesuffix("/undo") for key in ended if key.endswith("/undo")}
    for run, state in desk.runs.items():
        applied = {
            key
            for key, what in ended.items()
            if what == "applied" and key.startswith(f"{run}/") and not key.endswith("/undo")
        }
        can_be = {
            key
            for key in applied
            if key.removeprefix(f"{run}/").partition("/")[0] in {"move", "pay", "lever"}
        }
        mine = {key for key in undone if key.startswith(f"{run}/")}
        assert mine == (can_be if state == "failed" else set())
