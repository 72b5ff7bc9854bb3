"""Aggregates by another key than the account, added to a log with a history: they hold what they would have held all along."""

import asyncio
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.engine.desk import a_workflow
from unit.engine.test_loop import Engine

from hub.clock import to_us
from hub.engine import retelling
from hub.engine.keys import KeyKind, kind_of, partition_of
from hub.engine.scene import holding_of
from hub.engine.short_past import note, note_of_the_past
from hub.engine.state import KeyState
from hub.ids import partition_of as account_partition
from hub.testing import a_trade_closed, a_trade_opened, an_account, an_event

# Accounts in three partitions, of two clients.
LOGINS = [next(n for n in count(1) if account_partition("live-1", n) == p) for p in (3, 3 + 20, 63)]
LOGINS.append(next(n for n in count(LOGINS[0] + 1) if account_partition("live-1", n) == 3))
WINDOWS = ["{sliding: 20d}", "{calendar: month, tz: UTC}", "{tumbling: 10d}", "lifetime"]
KEYS = ["client", "group", "symbol", "position", "all", "event.symbol"]
KEYS += ["lower(event.symbol)", "account.phase", "default(client.country, account.group)"]
AGGREGATES = """
aggregates:
  lots: {{from: trade.closed, sum: event.lots, window: {window}{taken_back}}}
  one: {{from: trade.closed, where: 'account.phase == "one"', count: true, window: {window}}}
  most: {{from: trade.closed, max: event.lots, window: {window}}}
  middle: {{from: trade.closed, avg: event.lots, window: {window}{taken_back}}}
  symbols: {{from: trade.closed, distinct: event.symbol, window: {window}}}
  traded: {{from: trade.closed, distinct_days: {{tz: UTC}}, window: {window}}}
  known: {{from: trade.closed, where: 'client.country == "DE"', count: true, window: {window}}}
  since: {{from: trade.closed, sum: event.lots, window: {{since: {{event: {begins}}}}}}}
when: [{{becomes: lots > 100000}}]
steps: [{{do: event.publish, with: {{type: custom.x}}}}]
"""


def rules(key, window, name="w"):
    """Return a workflow with all of them; events that name no symbol and no position are nothing to those."""
    all_of_it = key in {"client", "group", "all"}
    back = ", retract: {event: trade.cancelled, ref: event.deal}" if all_of_it else ""
    begins = "balance.deposited" if all_of_it else "trade.opened"
    return a_workflow(AGGREGATES.format(window=window, taken_back=back, begins=begins), id=name, key=key)


def a_fact(number, who, what, lots, days, clock):
    """Return one thing that happened: most are told late, some twice, some are taken back."""
    account = an_account(login=LOGINS[who], group="real" if what % 2 else "demo")
    at = clock.now() - timedelta(days=days, seconds=number)
    key = f"f{number}"
    match what:
        case 0:
            country = "DE" if lots > 4 else "FR"
            fields = {"client": f"c-{who % 2}", "changed": {"country": {"after": country}}}
            return an_event("client.updated", account, timestamp=at, dedupe_key=key, **fields)
        case 1:
            phase = {"phase": {"after": "one" if lots > 4 else "two"}}
            return an_event("account.updated", account, timestamp=at, dedupe_key=key, changed=phase)
        case 2:
            return an_event("trade.cancelled", account, timestamp=at, dedupe_key=key, deal=900 + lots)
        case 3:
            return an_event("balance.deposited", account, timestamp=at, ticket=number + 1, amount="1")
        case 4:
            return a_trade_opened(account, timestamp=at, deal=5000 + number, position=1 + lots, lots="1")
        case _:
            symbol = "EURUSD" if lots % 2 else "XAUUSD"
            deal = 900 + lots if what == 5 else 2000 + number
            return a_trade_closed(
                account, timestamp=at, deal=deal, position=1 + lots, lots=str(lots), symbol=symbol
            )


async def settled(engine):
    async with asyncio.timeout(30):
        await engine.settle()


async def worth(engine, workflow):
    """Return what every aggregate of every key that is no account is worth, by the name it has in the file."""
    await settled(engine)
    found, now = {}, to_us(engine.clock.now())
    for (partition, key), rows in list(engine.store._states.items()):
        if kind_of(key) is KeyKind.ACCOUNT or not key or not rows:
            continue
        await engine.loop.programs.ready([partition])
        program = engine.loop.programs.of(partition).of(kind_of(key))
        loaded = (await engine.store.load([(partition, key)]))[key]
        state = KeyState.from_rows(partition, key, loaded)
        for name, feed in program.plans[workflow].feeds:
            value = feed.accumulator.value(holding_of(state, feed), now)
            if value:
                found[(key, name)] = value
    return found


HAPPENED = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(1, 9), st.sampled_from([0, 0, 1, 12, 40])),
    max_size=12,
)


@settings(max_examples=15, deadline=None)
@given(
    before=HAPPENED.filter(bool),
    meanwhile=HAPPENED,
    after=HAPPENED,
    window=st.sampled_from(WINDOWS),
    key=st.sampled_from(KEYS),
    killed=st.sets(st.integers(0, 200), max_size=3),
    neighbours=st.booleans(),
)
async def test_added_later_it_holds_what_it_would_have_held_from_the_start(
    before, meanwhile, after, window, key, killed, neighbours
):
    workflow = rules(key, window)
    # Another by the same key has some of it mailed already, and what is counted must not be counted by its mail as well.
    other = rules(key, "{sliding: 3d}", "other")
    others = [other] if neighbours else []
    found = []
    for late in (False, True):
        engine, numbers = Engine(), count()
        await engine.loop.activate(others if late else [workflow, *others])
        await settled(engine)
        for each in before:
            await engine.log.append([a_fact(next(numbers), *each, engine.clock)])
            await engine.clock.advance(timedelta(hours=7))
        if late:
            await engine.loop.activate([workflow, *others])  # what came just before is not decided yet
        steps, left = 0, list(meanwhile)
        while left or engine.inbox.backlog() or engine.loop.waiting or engine.loop.changing:
            if left and (steps % 3 == 0 or not engine.loop.changing):
                await engine.log.append([a_fact(next(numbers), *left.pop(0), engine.clock)])
            if (
                engine.inbox.backlog() or engine.loop.waiting or engine.loop.changing
            ):  # not all was new to the log
                await engine.loop.step()
            steps += 1
            assert steps < 3000, "it comes to no end"
            if late and steps in killed:
                await engine.restart()
        for each in after:
            await engine.clock.advance(timedelta(hours=7))
            await engine.log.append([a_fact(next(numbers), *each, engine.clock)])
        found.append(await worth(engine, "w"))
    assert found[1] == found[0]


COUNTS = """
aggregates:
  lots: {from: trade.closed, sum: event.lots, window: lifetime}
when: [{becomes: lots > 100000}]
steps: [{do: event.publish, with: {type: custom.x}}]
"""
OTHER = COUNTS.replace("event.lots", "2 * event.lots")


async def closes(engine, *lots):
    for who, each in enumerate(lots):
        await engine.log.append([a_trade_closed(an_account(login=LOGINS[who % 4]), lots=str(each))])


async def begun(*workflows):
    engine = Engine()
    await engine.loop.activate(workflows)
    await settled(engine)
    await closes(engine, 1, 2, 4, 8)
    return engine


async def test_what_was_mailed_to_others_by_the_same_key_is_not_counted_by_its_mail_as_well():
    other, later = a_workflow(OTHER, id="other", key="all"), a_workflow(COUNTS, id="w", key="all")
    engine = await begun(other)
    await settled(engine)
    await closes(engine, 16)

    await engine.loop.activate([other, later])

    assert await worth(engine, "w") == {("all=", "lots"): 31}
    assert await worth(engine, "other") == {("all=", "lots"): 62}


async def test_what_happens_while_the_logs_are_read_is_mailed_already():
    engine = await begun()
    await engine.loop.activate([a_workflow(COUNTS, id="w", key="all")])
    while not (engine.loop._changeovers._retelling and len(engine.loop._changeovers._retelling.cuts) > 4):
        await engine.loop.step()
    await closes(engine, 16, 32)

    assert await worth(engine, "w") == {("all=", "lots"): 63}


@pytest.mark.parametrize("window", ["{sliding: 20d}", "lifetime"])
async def test_what_was_true_of_the_past_already_does_not_fire(window):
    engine = await begun()
    text = COUNTS.replace("lifetime", window).replace("100000", "10")
    await engine.loop.activate([a_workflow(text, id="w", key="all")])
    await settled(engine)

    await closes(engine, 1)
    await settled(engine)

    assert not engine.store.intents


async def test_of_many_keys_some_partitions_wait_for_another_time_around(monkeypatch):
    monkeypatch.setattr(retelling, "MOST_STATES", 2)
    around = []
    begin = retelling.Retelling.__init__

    def counted(self, *given):
        around.append(1)
        begin(self, *given)

    monkeypatch.setattr(retelling.Retelling, "__init__", counted)
    engine = await begun()
    for number in range(8):
        await engine.log.append([a_trade_closed(an_account(login=LOGINS[0]), symbol=f"S{number}", lots="3")])
    await engine.loop.activate([a_workflow(COUNTS, id="w", key="symbol")])

    found = await worth(engine, "w")

    assert found == {("symbol=live-1:EURUSD", "lots"): 15} | {
        (f"symbol=live-1:S{number}", "lots"): 3 for number in range(8)
    }
    assert 2 <= len(around) <= 9


async def test_what_its_key_was_never_told_is_said_of_the_past_and_of_nothing_else():
    engine = await begun()
    await engine.loop.activate([a_workflow(COUNTS, id="w", key="all")])
    await settled(engine)
    partition = partition_of("all=")
    program, stands = (
        engine.loop.programs.of(partition).of(KeyKind.ALL),
        engine.loop.programs.stands[partition],
    )
    now = to_us(engine.clock.now())

    assert note(program, "w", stands.counts_from, now) == ""
    assert note_of_the_past(program, "w", stands.told_from, now).startswith(
        "lots is missing here what happened before 2026"
    )


async def test_one_that_was_to_go_and_stays_says_that_it_missed_something():
    keeps, goes = a_workflow(COUNTS, id="w", key="all"), a_workflow(OTHER, id="other", key="all")
    engine = await begun(keeps)
    await settled(engine)
    await engine.loop.activate([goes])
    await engine.loop.activate([keeps])
    await settled(engine)

    partition = partition_of("all=")
    program, stands = (
        engine.loop.programs.of(partition).of(KeyKind.ALL),
        engine.loop.programs.stands[partition],
    )
    assert note(program, "w", stands.counts_from, to_us(engine.clock.now())).startswith(
        "lots counts from 2026"
    )
