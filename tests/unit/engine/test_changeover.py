"""Going over to other workflows: nothing waits for it, a crash on the way loses nothing, new aggregates know the past."""

from dataclasses import replace
from datetime import timedelta
from itertools import count, islice
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.engine.desk import Desk, a_workflow
from unit.engine.test_loop import BONUS, Engine

from hub.bus.log import InputKind
from hub.engine.changeover import KEYS_AT_ONCE
from hub.engine.decide import realign
from hub.engine.decision import apply
from hub.engine.index import Program
from hub.engine.load import load_folder
from hub.engine.program import Mode, Unread
from hub.engine.values import Kind, decode_value, encode_value
from hub.errors import StoreUnavailable
from hub.ids import partition_of
from hub.testing import a_deposit, a_trade_closed, an_account, an_event

HERE = 63  # a partition: the last to go over
LOGINS = list(islice((login for login in count(1) if partition_of("live-1", login) == HERE), 150))
NUMBERS = count()
ALERT = "when: [{crosses: {value: account.equity, below: 50}}]\nsteps: [{do: event.publish, with: {type: custom.x}}]"
LARGE = "when: [{event: trade.closed, where: event.lots > 20}]\nsteps: [{do: event.publish, with: {type: custom.x}}]"
VOLUME = """
aggregates:
  volume: {from: trade.closed, where: 'account.phase == "one"', sum: event.lots, window: lifetime}
when: [{event: trade.closed, where: volume > 30}]
steps: [{do: event.publish, with: {type: custom.volume, data: {lots: = volume}}}]
"""


@pytest.fixture
async def engine():
    engine = Engine()
    await engine.log.append([in_phase(login, "one") for login in LOGINS])
    await engine.settle()
    return engine


def in_phase(login, phase):
    changed = {"phase": {"after": phase}}
    return an_event(
        "account.updated", an_account(login=login), dedupe_key=f"{next(NUMBERS)}", changed=changed
    )


async def activated(engine, *workflows, unread=()):
    """Activate, and decide the inputs that say so; the walk over the last partition's keys is under way then."""
    await engine.loop.activate(workflows, unread)
    while engine.inbox.backlog() or engine.loop.waiting:
        await engine.loop.step()


def published(engine):
    return [msgspec.json.decode(each.params).get("data") for each in engine.store.intents.values()]


async def test_events_are_decided_while_most_keys_are_still_to_be_brought_in_line(engine):
    await engine.loop.activate([a_workflow(ALERT, id="alert"), a_workflow(LARGE, id="large")])
    await engine.trade("25", account=an_account(login=LOGINS[-1]))

    while not engine.store.intents:
        await engine.loop.step()

    assert engine.loop.changing
    assert 0 < len(engine.store.level_rows) < len(LOGINS)
    await engine.settle()
    assert len(engine.store.level_rows) == len(LOGINS)


async def test_a_key_is_in_line_before_its_next_input_wherever_the_walk_has_come(engine):
    last = max(f"live-1:{login}" for login in LOGINS)
    await engine.loop.activate([a_workflow(ALERT, id="alert")])
    await engine.log.append([a_deposit(an_account(login=int(last[7:])), amount="1")])

    while engine.inbox.backlog() or engine.loop.waiting:
        await engine.loop.step()

    assert engine.loop.changing
    assert last in {level.key for level in engine.store.level_rows.values()}


async def test_a_crash_on_the_way_takes_the_walk_up_again(engine):
    await activated(engine, a_workflow(ALERT, id="alert"))
    while not engine.store.level_rows:
        await engine.loop.step()
    assert len(engine.store.level_rows) == KEYS_AT_ONCE < len(LOGINS)

    await engine.restart()
    await engine.settle()

    assert {level.key for level in engine.store.level_rows.values()} == {f"live-1:{each}" for each in LOGINS}
    assert {level.generation for level in engine.store.level_rows.values()} == {1}
    assert not engine.loop.changing


async def test_of_two_changes_in_a_row_each_key_takes_part_in_both(engine):
    await engine.loop.activate([a_workflow(ALERT, id="alert")])
    await engine.loop.activate([a_workflow(ALERT.replace("50", "60"), id="alert")])

    await engine.settle()

    assert {(each.threshold, each.generation) for each in engine.store.level_rows.values()} == {("60", 2)}


async def test_changes_in_a_row_wait_for_no_walk(engine):
    """Every change is made with a key as it would have been made at once, and deciding goes on in between."""
    for lots in range(50, 62):
        await engine.loop.activate([a_workflow(ALERT.replace("50", str(lots)), id="alert")])
        while engine.inbox.backlog() or engine.loop.waiting:
            await engine.loop.step()
    assert engine.loop.changing
    await engine.restart()

    await engine.settle()

    assert {(each.threshold, each.generation) for each in engine.store.level_rows.values()} == {("61", 12)}


async def test_a_new_aggregate_counts_what_was_and_the_old_version_decides_till_then(engine):
    await activated(engine, a_workflow(VOLUME.replace("volume > 30", "volume > 1000"), id="old"))
    await engine.settle()
    login = LOGINS[0]
    await engine.trade("12", account=an_account(login=login))
    await engine.log.append([in_phase(login, "two")])
    await engine.trade("9", account=an_account(login=login))  # in a phase that does not count
    await engine.settle()
    await engine.loop.activate([a_workflow(VOLUME.replace("event.lots", "2 * event.lots / 2"), id="new")])

    await engine.settle()

    await engine.log.append([in_phase(login, "one")])
    await engine.trade("19", account=an_account(login=login))
    await engine.settle()
    assert published(engine) == [{"lots": "31"}]


async def test_while_history_is_counted_the_version_that_was_live_goes_on(engine):
    await activated(engine, a_workflow(BONUS, id="bonus"))
    await engine.settle()
    await engine.loop.activate([a_workflow(VOLUME, id="volume")])
    await engine.loop.step()
    await engine.trade("25", account=an_account(login=LOGINS[3]))

    while not engine.store.intents:
        await engine.loop.step()

    assert engine.loop.counters.counting > 0
    assert {each.workflow for each in engine.store.intents.values()} == {"bonus"}
    await engine.settle()
    await engine.trade("6", account=an_account(login=LOGINS[3]))
    await engine.settle()
    assert published(engine)[-1] == {"lots": "31"}


async def test_a_crash_while_history_is_counted_counts_nothing_twice(engine):
    for _ in range(5):
        await engine.trade("5", account=an_account(login=LOGINS[7]))
    await engine.settle()
    await engine.loop.activate([a_workflow(VOLUME, id="volume")])
    steps = 0
    while engine.inbox.backlog() or engine.loop.waiting or engine.loop.changing:
        await engine.loop.step()
        steps += 1
        if steps % 3 == 0 and steps < 300:
            await engine.restart()

    await engine.trade("6", account=an_account(login=LOGINS[7]))
    await engine.settle()

    assert published(engine) == [{"lots": "31"}]


async def test_a_set_that_is_replaced_while_it_is_counted_never_becomes_live(engine):
    await engine.loop.activate([a_workflow(VOLUME, id="volume")])
    await engine.loop.step()
    await engine.loop.activate([a_workflow(BONUS, id="bonus")])

    await engine.settle()

    await engine.trade("40", account=an_account(login=LOGINS[0]))
    await engine.settle()
    assert {each.workflow for each in engine.store.intents.values()} == {"bonus"}


async def test_an_unchanged_aggregate_is_not_counted_again(engine):
    await activated(engine, a_workflow(VOLUME, id="volume"))
    await engine.settle()

    await engine.loop.activate([a_workflow(VOLUME.replace("> 30", "> 20"), id="volume")])
    while engine.inbox.backlog() or engine.loop.waiting:
        await engine.loop.step()
        assert engine.loop.counters.counting == 0


async def test_sets_nobody_has_any_more_are_forgotten(engine):
    for lots in range(20, 40):
        await engine.loop.activate([a_workflow(BONUS.replace("> 20", f"> {lots}"), id="bonus")])
        await engine.settle()

    assert len(engine.loop.programs._programs) <= 3
    assert len(engine.loop.programs._workflows) <= 2


async def test_a_file_that_cannot_be_read_takes_nothing_away(engine):
    await activated(engine, a_workflow(BONUS, id="bonus"), a_workflow(ALERT, id="alert"))
    await engine.settle()

    assert await engine.loop.activate([a_workflow(ALERT, id="alert")], [Unread("x.yaml", "bonus")]) is False
    assert await engine.loop.activate([a_workflow(ALERT, id="alert")], [Unread("rule.yaml", None)]) is False
    assert await engine.loop.activate([a_workflow(ALERT, id="alert")], [Unread("x.yaml", None)]) is True


TRADES = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9), st.integers(0, 40)), max_size=30)


@settings(max_examples=40, deadline=None)
@given(
    before=TRADES,
    after=TRADES,
    window=st.sampled_from(["{sliding: 20d}", "{calendar: month, tz: UTC}", "lifetime"]),
)
async def test_counted_later_or_from_the_start_an_aggregate_holds_the_same(before, after, window):
    text = f"""
aggregates:
  lots: {{from: trade.closed, sum: event.lots, window: {window}, retract: {{event: trade.cancelled, ref: event.deal}}}}
when: [{{becomes: lots > 1000}}]
steps: [{{do: event.publish, with: {{type: custom.x}}}}]
"""
    told = [
        a_trade_closed(
            an_account(login=LOGINS[who]),
            lots=str(lots),
            deal=1000 + number,
            timestamp=Engine().clock.now() - timedelta(days=days),
        )
        for number, (who, lots, days) in enumerate([*before, *after])
    ]
    rows = []
    for late in (False, True):
        engine = Engine()
        if not late:
            await engine.loop.activate([a_workflow(text, id="w")])
        for fact in told[: len(before)]:
            await engine.log.append([fact])
        await engine.settle()
        if late:
            await engine.loop.activate([a_workflow(text, id="w")])
            await engine.settle()
        for fact in told[len(before) :]:
            await engine.log.append([fact])
        await engine.settle()
        await engine.restart()
        rows.append(stored(engine))
    assert rows[0] == rows[1]


def stored(engine):
    """Return what is stored of aggregates, by key: totals and contributions."""
    totals = {
        (key, name): decode_value(kind, value)
        for (_, key), values in engine.store._states.items()
        for (kind, name), value in values.items()
        if kind == Kind.TOTAL
    }
    return totals, {key: values for (_, key), values in engine.store._series.items() if values}


def test_a_key_that_is_in_line_stays_as_it_is_when_it_is_met_again():
    """A crash, or more keys than are remembered, brings a key in line twice: with every workflow that is shipped."""
    shipped = load_folder([Path(__file__).parents[3] / "workflows"]).workflows
    program = Program([replace(workflow, mode=Mode.LIVE) for workflow in shipped])
    desk = Desk()
    desk.account(type="real", currency="USD", balance="1000", initial_balance="1000", digits=2)
    desk.account(program="challenge", status="active", group="real/std")
    desk.tell("trade.opened", deal=1, lots="1")
    desk.tell("trade.closed", deal=2, lots="1.5", net_profit="-20")
    last = desk.inputs[-1]
    item = last._replace(kind=int(InputKind.ACTIVATED), n=last.n + 1, body=b"")

    def brought_in_line():
        decision = realign(program, desk.state, item)
        apply(desk.state, decision)
        known = {slot: encode_value(value) for slot, value in desk.state.values.items()}
        return decision.writes, known

    first, stands = brought_in_line()
    again, still = brought_in_line()

    assert first.levels
    assert first.timers
    assert still == stands
    assert [*again.levels, *again.traces, *again.intents] == []
    assert {timer.id for timer in again.cancelled} <= {timer.id for timer in again.timers}


async def settle_after_a_lost_answer(engine):
    """Settle; the first commit that brings levels is made, and its answer gets lost."""
    store, commit = engine.store, engine.store.commit

    async def lost(batch, fence):
        await commit(batch, fence)
        if batch.levels:
            store.commit = commit
            raise StoreUnavailable("the connection broke")

    store.commit = lost
    with pytest.raises(StoreUnavailable, match="broke"):
        await engine.settle()
    await engine.loop.begin()
    await engine.settle()


async def test_levels_are_told_of_though_the_answer_to_their_commit_was_lost(engine):
    await engine.loop.activate([a_workflow(ALERT, id="alert")])
    await settle_after_a_lost_answer(engine)
    told = {row.level_id: row for row in engine.levels}
    assert told == engine.store.level_rows

    await engine.loop.activate([])
    await settle_after_a_lost_answer(engine)
    assert {row.level_id for row in engine.levels if row.state == "gone"} == told.keys()


async def test_what_was_under_way_is_taken_up_though_the_store_was_away_at_first(engine):
    await activated(engine, a_workflow(ALERT, id="alert"))
    engine.start(await engine.store.positions("engine"))
    load = engine.store.load

    async def away(_keys):
        engine.store.load = load
        raise StoreUnavailable("away")

    engine.store.load = away
    with pytest.raises(StoreUnavailable):
        await engine.loop.begin()
    await engine.settle()
    await engine.loop.begin()
    await engine.settle()

    assert len(engine.store.level_rows) == len(LOGINS)
