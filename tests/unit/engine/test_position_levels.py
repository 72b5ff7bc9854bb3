"""Levels of positions: the real watcher and the real engine, from the opening of a position to its end."""

from dataclasses import replace
from decimal import Decimal

import pytest
from unit.engine.desk import a_workflow
from unit.engine.prop_house import LOGIN, House

from hub.bus.log import InputKind, NewInput
from hub.engine import positions
from hub.engine.index import Program
from hub.engine.keys import partition_of
from hub.engine.levels import PositionSample as Seen
from hub.engine.position_levels import WATCH
from hub.engine.rows import LevelRow
from hub.engine.state import KeyState
from hub.engine.trigger_rows import Level
from hub.engine.values import Kind
from hub.engine.why import why
from hub.errors import StoreUnavailable
from hub.events.watched import POSITION_CROSSED, RELAYED, decode_rule
from hub.ids import partition_of as partition_of_account
from hub.ingest.samples import PositionSample

KEY = "position=live-1:77"
TELL = "steps: [{do: event.publish, with: {type: custom.told, data: {v: = trigger.value, limit: = trigger.limit, login: = account.login}}}]\n"
OPENED = {"symbol": "EURUSD", "side": "buy", "lots": "1", "price": "1.1"}


def a_rule(crosses="above: 100", more=""):
    return a_workflow(
        f"when: [{{crosses: {{value: position.profit, {crosses}}}}}]\n{more}{TELL}", key="position"
    )


async def a_house(rule=None, *, opened=(77,)):
    house = await House(rule or a_rule(), "2026-04-13T12:00:00Z").open(balance="1000", status="active")
    for position in opened:
        await opens(house, position)
    return house


async def opens(house, position=77, **fields):
    await house.tell("trade.opened", **OPENED | fields, position=position, deal=position)


async def closes(house, position=77, **fields):
    closed = {"symbol": "EURUSD", "side": "buy", "lots": "1"} | fields
    await house.tell("trade.closed", **closed, position=position, deal=position + 1000)


async def sees(house, profit, position=77, price=None, **fields):
    told = None if profit is None else Decimal(profit)
    seen = PositionSample(position, told, None if price is None else Decimal(price))
    await house.positions(seen, **fields)


async def state_of(house, key=KEY):
    partition = partition_of(key)
    rows = (await house.store.load([(partition, key)]))[key]
    return KeyState.from_rows(partition, key, rows)


def levels(house):
    return list(house.store.level_rows.values())


async def test_a_crossing_is_an_event_of_the_account_and_starts_what_is_kept_by_the_position():
    house = await a_house()
    await sees(house, "10")
    await sees(house, "100.01")

    (crossed,) = house.events(POSITION_CROSSED)
    (intent,) = house.intents
    assert (crossed.position, crossed.field, crossed.edge, crossed.side) == (77, "profit", "crossed", "above")
    assert (crossed.value, crossed.limit) == (Decimal("100.01"), Decimal(100))
    assert intent.key == "rule/position=live-1:77/crosses/1/0"
    assert b'"v":"100.01","limit":"100","login":7001' in intent.params


async def test_the_row_lives_where_the_samples_of_the_account_come_in():
    house = await a_house()

    (row,) = levels(house)

    assert row.partition == partition_of_account("live-1", LOGIN) != partition_of(KEY)
    assert (row.key, row.field, row.side, row.threshold, row.state) == (KEY, "profit", "above", "100", "new")
    assert decode_rule(row.rule).login == LOGIN


async def test_what_is_beyond_at_the_first_look_fires_only_where_it_says_so():
    house = await a_house()
    await sees(house, "500")
    assert house.intents == []
    await sees(house, "50")
    await sees(house, "101")
    assert house.fired == ["crosses"]

    text = f"when: [{{crosses: {{value: position.profit, above: 100}}, on_first: true}}]\n{TELL.replace('v: = trigger.value, ', '')}"
    house = await a_house(a_workflow(text, key="position"))
    await sees(house, "500")

    (intent,) = house.intents
    assert b'"login":7001' in intent.params  # between events the position knows whose it is


async def test_it_fires_once_for_each_passing_and_arms_again_at_its_rearm():
    house = await a_house(a_rule("above: 100, rearm: 50"))

    for profit in ("0", "101", "99", "101", "50", "101"):
        await sees(house, profit)

    assert house.fired == ["crosses", "crosses"]
    assert [each.edge for each in house.events(POSITION_CROSSED)] == ["crossed", "recovered", "crossed"]


async def test_positions_are_told_apart():
    house = await a_house(opened=(77, 78))
    await house.positions(PositionSample(77, Decimal(0)), PositionSample(78, Decimal(0)))

    await house.positions(PositionSample(77, Decimal(5)), PositionSample(78, Decimal(105)))

    assert [each.position for each in house.events(POSITION_CROSSED)] == [78]


async def test_a_price_may_be_watched_and_a_limit_may_follow_the_opening():
    text = f"when: [{{crosses: {{value: position.price, below: position.open_price - 0.01, inclusive: true}}}}]\n{TELL}"
    house = await a_house(a_workflow(text, key="position"))
    await sees(house, None, price="1.0901")
    await sees(house, "-5", price="1.09")

    (crossed,) = house.events(POSITION_CROSSED)
    assert (crossed.field, crossed.value, crossed.limit) == ("price", Decimal("1.09"), Decimal("1.09"))


@pytest.mark.parametrize(
    "glitch", [{"degraded": True}, {"profit": "NaN"}, {"profit": "1E+30"}, {"login": 7002}]
)
async def test_what_cannot_be_believed_crosses_nothing(glitch):
    house = await a_house()
    await sees(house, "10")
    login, profit = glitch.pop("login", LOGIN), glitch.pop("profit", "500")
    sample = replace(
        house.a_sample("1000", **glitch), login=login, positions=(PositionSample(77, Decimal(profit)),)
    )

    await house.watcher.samples([sample])
    await house.settle()

    assert house.events(POSITION_CROSSED) == []


async def test_a_sample_that_comes_late_says_nothing_of_positions():
    house = await a_house()
    await sees(house, "10")
    old = replace(
        house.a_sample("1000"), at=house.clock.now_us() - 1, positions=(PositionSample(77, Decimal(500)),)
    )

    receipt = await house.watcher.samples([old])

    assert (receipt.late, house.events(POSITION_CROSSED)) == (1, [])


async def test_a_price_of_nothing_is_none():
    text = f"when: [{{crosses: {{value: position.price, below: 1.09}}}}]\n{TELL}"
    house = await a_house(a_workflow(text, key="position"))
    await sees(house, None, price="1.1")

    await sees(house, None, price="0")

    assert house.events(POSITION_CROSSED) == []


async def test_levels_vanish_with_the_position_and_so_does_what_the_watcher_knows_of_it():
    house = await a_house()
    await sees(house, "10")
    assert house.watcher.follows_positions()

    await closes(house)

    assert levels(house) == []
    assert not house.watcher.follows_positions()
    assert house.watcher.last_seen(KEY) is None
    assert len(house.watcher) == 0
    await sees(house, "500")
    assert house.fired == []


async def test_a_crossing_that_comes_after_the_position_is_over_changes_nothing():
    house = await a_house()
    await sees(house, "10")
    sample = replace(house.a_sample("1000"), positions=(PositionSample(77, Decimal(500)),))
    await house.watcher.samples([sample])  # told, and not decided yet

    await closes(house)

    assert [each.edge for each in house.events(POSITION_CROSSED)] == ["crossed"]
    # It was decided in the order of the log: first the crossing, then the end.
    assert house.fired == ["crosses"]
    assert levels(house) == []


async def test_a_stale_generation_is_ignored():
    house = await a_house()
    await sees(house, "10")
    (level,) = [value for _, value in (await state_of(house)).of_kind(Kind.LEVEL)]
    assert isinstance(level, Level)
    (row,) = levels(house)
    told = {
        "position": 77, "level_id": row.level_id, "field": "profit", "edge": "crossed", "side": "above",
        "value": "500", "limit": "100", "sampled_at": house.clock.now(), "sample_age_ms": 0,
    }  # fmt: skip

    await house.tell(POSITION_CROSSED, **told, generation=level.generation - 1)
    assert house.fired == []
    await house.tell(POSITION_CROSSED, **told, generation=level.generation)

    assert house.fired == ["crosses"]


async def test_a_part_that_is_closed_leaves_the_level_and_the_rest_ends_it():
    house = await a_house(opened=())
    await opens(house, lots="2")
    await sees(house, "10")
    await closes(house, partial=True, remaining_lots="1")
    await sees(house, "101")
    assert house.fired == ["crosses"]

    await house.tell("trade.closed", symbol="EURUSD", side="buy", lots="1", position=77, deal=5)

    assert levels(house) == []


async def test_a_scope_says_when_there_is_a_level():
    house = await a_house(a_rule(more="scope: not has(position.sl)\n"))
    assert len(levels(house)) == 1

    await house.tell("position.modified", symbol="EURUSD", position=77, sl="1.05")
    assert levels(house) == []
    await house.tell("position.modified", symbol="EURUSD", position=77, sl="0", sl_before="1.05")

    (row,) = levels(house)
    assert row.state == "new"
    await sees(house, "10")
    await sees(house, "110")
    assert house.fired == ["crosses"]


async def test_it_goes_on_over_a_restart_of_both():
    house = await a_house()
    await sees(house, "10")

    await house.restart()
    await sees(house, "110")
    await house.restart()
    await sees(house, "120")

    assert house.fired == ["crosses"]


async def test_a_workflow_that_goes_takes_its_levels_along_and_one_that_comes_finds_what_is_open():
    house = await a_house()
    await sees(house, "10")
    other = a_workflow(
        "when: [{event: trade.closed}]\nsteps: [{do: event.publish, with: {type: custom.a}}]", id="other"
    )

    await house.edit(other)
    assert levels(house) == []
    await house.edit(a_rule("above: 50"), other)
    await sees(house, "10")
    await sees(house, "60")

    assert [each.limit for each in house.events(POSITION_CROSSED)] == [Decimal(50)]


async def test_an_edited_limit_moves_the_level_and_is_compared_with_what_was_seen():
    house = await a_house()
    await sees(house, "80")

    await house.edit(a_rule("above: 75"))

    assert house.fired == ["crosses"]


HELD = "above: 100, for: 30s, gap: {}"


async def test_it_may_have_to_hold():
    house = await a_house(a_rule(HELD.format("restart")))
    await sees(house, "0")
    await sees(house, "101")
    await house.at("2026-04-13T12:00:20Z")
    await sees(house, "99")
    await sees(house, "101")
    await house.at("2026-04-13T12:00:49Z")
    assert house.fired == []
    await house.at("2026-04-13T12:00:50Z")

    (intent,) = house.intents
    assert intent.key.endswith("/crosses/2/0")
    assert b'"v":"101","limit":"100","login":7001' in intent.params


@pytest.mark.parametrize(("gap", "fired"), [("restart", []), ("continue", ["crosses"])])
async def test_a_feed_that_was_away_begins_it_anew_or_not(gap, fired):
    house = await a_house(a_rule(HELD.format(gap)))
    await sees(house, "0")
    await sees(house, "101")
    await house.at("2026-04-13T12:00:10Z")
    await house.sample("0", gap=True, degraded=True)
    await house.at("2026-04-13T12:00:31Z")
    assert house.fired == fired

    await house.sample("1000")  # sees the account, and says nothing of the position
    await house.at("2026-04-13T12:02:00Z")
    assert house.fired == fired
    await sees(house, "102")
    await house.at("2026-04-13T12:02:30Z")

    assert house.fired == ["crosses"]


async def test_a_hub_that_was_down_meanwhile_saw_nothing():
    house = await a_house(a_rule(HELD.format("restart")))
    await sees(house, "0")
    await sees(house, "101")
    await house._move(house.clock.now_us() + 60_000_000)

    await house.restart()
    await house.at("2026-04-13T12:01:10Z")
    assert house.fired == []
    await sees(house, "101")
    await house.at("2026-04-13T12:01:40Z")

    assert house.fired == ["crosses"]


async def test_a_crossing_that_could_not_be_stored_is_told_when_it_can():
    house = await a_house()
    await sees(house, "10")
    append, house.log.append = house.log.append, _refuses
    sample = replace(house.a_sample("1000"), positions=(PositionSample(77, Decimal(500)),))
    with pytest.raises(StoreUnavailable):
        await house.watcher.samples([sample])
    house.log.append = append

    await house.settle()

    assert house.fired == ["crosses"]


async def _refuses(*_args, **_more):
    raise StoreUnavailable("disk full")


async def test_why_says_where_a_position_stands():
    house = await a_house()
    await sees(house, "80")

    seen = Seen(77, Decimal(80))
    now = house.clock.now_us()
    told = (await why(house.store, Program(house.rules), "rule", KEY, now_us=now, sample=seen)).standing[0]

    assert (told.holds, told.reason) == (False, "position.profit above 100 is false (80 > 100)")
    assert told.remains[0].text == "position.profit: 80 of 100, more than 20 to go"


async def test_nobody_pays_for_positions_that_nobody_watches():
    house = await a_house(a_workflow(f"when: [{{crosses: {{value: account.equity, below: 5}}}}]\n{TELL}"))

    await sees(house, "500")

    assert not house.watcher.follows_positions()
    assert house.watcher.last_seen(KEY) is None


@pytest.mark.parametrize("ref", [WATCH, RELAYED])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"key":"live-1:7001","ref":"x"}',
        b'[1,"l","live-1:7001","equity","below","1","1",1,"armed","",""]',
    ],
)
async def test_a_command_nobody_could_have_sent_is_set_aside_and_stops_nothing(ref, body):
    house = await a_house()
    told = NewInput(partition_of_account("live-1", LOGIN), InputKind.COMMAND, f"live-1:{LOGIN}", ref, body)
    await house.log.append([], inputs=[told])
    await house.settle()
    await sees(house, "10")
    await sees(house, "101")

    assert house.fired == ["crosses"]
    assert house.loop.counters.quarantined == 1
    assert all(isinstance(row, LevelRow) and row.key == KEY for row in levels(house))


async def test_what_was_open_before_a_workflow_with_levels_went_live_is_followed_and_told_once():
    exposure = a_workflow(
        "aggregates: {n: {from: positions, count: true}}\nwhen: [{becomes: n > 9}]\n"
        "steps: [{do: event.publish, with: {type: custom.a}}]",
        id="exposure",
    )
    house = await a_house(exposure, opened=(77, 78))
    await closes(house, 78)

    await house.edit(exposure, a_rule())
    assert [row.key for row in levels(house)] == [KEY]
    told = len(house.log)
    await house.edit(exposure, a_workflow(TELL_ON_OPEN, id="other"), a_rule())
    assert [row for row in house.log.ranked(told, 1000) if row.ref.startswith("open:")] == []

    await sees(house, "10")
    await sees(house, "101")
    assert house.fired == ["crosses"]


TELL_ON_OPEN = "when: [{event: trade.opened}]\nsteps: [{do: event.publish, with: {type: custom.a}}]"


async def test_a_position_that_changed_while_nobody_watched_is_told_anew():
    exposure = a_workflow(
        "aggregates: {n: {from: positions, count: true}}\nwhen: [{becomes: n > 9}]\n"
        "steps: [{do: event.publish, with: {type: custom.a}}]",
        id="exposure",
    )
    watching = a_rule(more="scope: not has(position.sl)\n")
    house = await a_house(watching)
    await house.edit(exposure, watching)
    await house.edit(exposure)
    await house.tell("position.modified", symbol="EURUSD", position=77, sl="1.05")

    await house.edit(exposure, watching)

    assert levels(house) == []


async def test_the_rest_of_a_position_that_mt4_names_anew_takes_the_level_along_when_it_ends():
    house = await a_house(opened=())
    await opens(house, lots="2")
    await closes(house, partial=True, remaining_lots="1")
    assert len(levels(house)) == 1

    await house.tell("trade.closed", symbol="EURUSD", side="buy", lots="1", position=78)

    assert levels(house) == []


async def test_of_more_positions_than_are_kept_of_an_account_none_is_followed(monkeypatch):
    monkeypatch.setattr(positions, "MAX_POSITIONS", 2)
    house = await a_house(opened=(1, 2, 3))

    assert sorted(row.key for row in levels(house)) == ["position=live-1:1", "position=live-1:2"]
    await closes(house, 3)
    await closes(house, 1)
    assert [row.key for row in levels(house)] == ["position=live-1:2"]


async def test_a_deal_that_is_taken_back_takes_the_level_along_though_it_names_no_position():
    house = await a_house(opened=())
    await house.tell("trade.opened", **OPENED, position=77, deal=5)
    assert len(levels(house)) == 1

    await house.tell("trade.cancelled", deal=5)

    assert levels(house) == []


async def test_a_position_whose_end_was_missed_is_followed_until_the_account_is_known_to_hold_none():
    house = await a_house()
    await house.account(open_positions=0)

    await house.edit(a_rule("above: 50"))

    assert levels(house) == []


async def test_an_event_of_another_account_that_names_the_position_moves_nothing_there():
    reads = "aggregates: {n: {from: custom.seen, count: true, window: lifetime}}\n"
    text = f"{reads}when: [{{crosses: {{value: position.profit, above: 100 + n}}}}]\n{TELL}"
    house = await a_house(a_workflow(text, key="position"))

    await house.tell("custom.seen", login=7002, position=77)

    (row,) = levels(house)
    assert row.threshold == "101"
    assert decode_rule(row.rule).login == LOGIN
