"""Limits that follow a peak: sample by sample, over kills, and never with a floor that was not there at the time."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.engine.desk import a_workflow
from unit.engine.prop_house import KEY, House

from hub.engine.decide import advance
from hub.engine.decision import to_batch
from hub.engine.index import Program
from hub.engine.state import KeyState
from hub.events.watched import Line, limit_at

TELL = "steps: [{do: event.publish, with: {type: custom.told, data: {v: = trigger.limit, peak: = peak}}}]\n"
PEAK = "peak: {max: account.equity, first: account.initial_balance}"


def trailing(below="peak - 2000", anchors=PEAK, more=""):
    return f'anchors: {{{anchors}}}\nwhen: [{{crosses: {{value: account.equity, below: "{below}"{more}}}}}]\n{TELL}'


async def a_house(rule=None, **account):
    return await House(rule or trailing(), "2026-04-13T12:00Z").open(
        **({"balance": "50000", "initial_balance": "50000"} | account)
    )


async def test_a_crossing_tells_the_limit_and_the_peak_it_followed():
    house = await a_house()
    for equity in ("50000", "53000", "52000"):
        await house.sample(equity)

    await house.sample("50999.99")

    (crossed,) = house.events("equity.crossed")
    assert (crossed.limit, crossed.peak) == (Decimal(51000), Decimal(53000))
    assert [intent.params for intent in house.intents] == [
        b'{"type":"custom.told","data":{"v":"51000","peak":"53000"}}'
    ]
    assert await house.value("peak") == "53000"


async def test_one_sample_that_is_a_peak_and_one_that_falls_from_it_come_together():
    house = await a_house()
    await house.sample("50000")

    await house.watcher.samples([house.a_sample(equity) for equity in ("55000", "52999")])
    await house.settle()

    assert [crossed.limit for crossed in house.events("equity.crossed")] == [Decimal(53000)]


async def test_without_a_first_the_first_sample_is_the_peak():
    house = await a_house(trailing(anchors="peak: {max: account.equity}"))

    await house.sample("40000")
    assert (house.floor, house.fired) == (Decimal(38000), [])
    await house.sample("37999")

    assert house.fired == ["crosses"]


async def test_a_percent_of_the_peak_a_lock_and_a_rearm_that_follow_it():
    anchors = PEAK.replace("}", ", lock: account.initial_balance + 5000}")
    house = await a_house(trailing("peak * 0.9", anchors, ', rearm: "peak * 0.95"'))

    floors = []
    for equity in ("50000", "53000", "57000"):
        await house.sample(equity)
        floors.append(house.floor)
    for equity in ("49000", "52249.99", "52250", "49499"):
        await house.sample(equity)

    assert floors == [Decimal(45000), Decimal(47700), Decimal(49500)]
    assert [crossed.edge for crossed in house.events("equity.crossed")] == ["crossed", "recovered", "crossed"]


async def test_a_lock_that_moves_moves_the_floor_at_once():
    house = await a_house(trailing("min(peak - 2000, account.initial_balance)"))
    await house.sample("56000")
    assert house.floor == Decimal(50000)

    await house.account(initial_balance="52000")

    assert house.floor == Decimal(52000)


async def test_the_engine_writes_nothing_while_a_peak_moves():
    house = await a_house()
    await house.sample("50000")
    rows = len(house.log.ranked(0, 100_000))

    for equity in range(50_100, 60_000, 100):
        await house.sample(equity)

    assert len(house.log.ranked(0, 100_000)) == rows
    assert house.floor == Decimal(57900)


async def test_a_kill_never_lowers_the_peak_that_was_written():
    house = await a_house()
    await house.sample("53000")
    await house.watcher.save()
    await house.sample("54000")  # not a second ago

    await house.restart()

    assert house.floor == Decimal(51000)
    await house.sample("50999")
    assert house.fired == ["crosses"]


async def test_what_was_told_with_a_crossing_is_known_after_a_kill_too():
    house = await a_house(trailing("peak - 2000", more=', rearm: "peak - 1000"'))
    for equity in ("54000", "51000", "54000"):
        await house.sample(equity)

    await house.restart()

    assert house.floor == Decimal(52000)


async def test_peaks_are_told_when_a_day_ends():
    anchors = f'{PEAK}, day: {{take: peak, daily_at: "00:00", tz: UTC}}'
    house = await a_house(trailing("peak - 2000 + 0 * default(day, 0)", anchors))
    await house.sample("53000")
    assert await house.value("peak") == "50000"

    await house.at("2026-04-14T00:00Z")

    assert (await house.value("peak"), await house.value("day")) == ("53000", "53000")


async def test_glitches_make_no_peak_and_no_breach():
    house = await a_house()
    await house.sample("50000")

    await house.sample("90000", degraded=True)
    await house.sample("NaN")
    await house.sample("0", balance="50000")

    assert (house.floor, house.fired) == (Decimal(48000), [])


async def test_what_was_seen_before_the_peak_is_judged_by_the_floor_of_its_time():
    # The engine is slow: it has not answered that the account has recovered while that wins.
    house = await a_house(trailing("peak - 2000", more=', rearm: "peak - 1900"'))
    await house.sample("50000")
    await house.sample("47000")

    await house.watcher.samples([house.a_sample(equity) for equity in ("48200", "49000", "60000")])
    await house.settle()

    # 49000 lies below the floor of 58000 that came with the next sample, and did not when it was seen.
    assert [crossed.edge for crossed in house.events("equity.crossed")] == ["crossed", "recovered"]


async def test_a_peak_the_store_does_not_take_is_written_the_next_time(monkeypatch):
    house = await a_house()
    await house.sample("53000")
    save = house.store.save_peaks
    monkeypatch.setattr(house.store, "save_peaks", _refuses)
    with pytest.raises(RuntimeError):
        await house.watcher.save()

    monkeypatch.setattr(house.store, "save_peaks", save)
    await house.watcher.save()

    (peak,) = [row.peak for row in house.store.level_rows.values() if row.state == "trail"]
    assert peak == "53000"


async def _refuses(*_):
    raise RuntimeError("disk full")


EQUITIES = st.lists(st.integers(min_value=40_000, max_value=60_000), min_size=1, max_size=30)


@given(equities=EQUITIES, kills=st.sets(st.integers(min_value=0, max_value=30)))
async def test_the_floor_is_the_oracles_whatever_comes_and_whenever_it_is_killed(equities, kills):
    house = await a_house(trailing("min(peak - 2000, account.initial_balance)", anchors=PEAK))
    peak, breached, first = 50_000, False, True
    for number, equity in enumerate(equities):
        if number in kills:
            await house.watcher.save()
            await house.restart()
        await house.sample(equity)
        peak = max(peak, equity)
        floor = min(peak - 2000, 50_000)
        breached = breached or (equity < floor and not first)
        if first and equity < floor:  # so it was before anybody looked
            return
        first = False
        assert house.floor == Decimal(floor)

    assert bool(house.fired) is breached


def test_a_limit_is_reckoned_exactly():
    line = Line(Decimal("0.333333333333333333"), Decimal("-0.0000000001"), low=Decimal(1), high=Decimal(100))

    assert limit_at(line, "max", Decimal(3), None) == Decimal("0.9999999999").max(Decimal(1))
    assert limit_at(line, "max", Decimal(100_000), None) == Decimal(100)
    assert limit_at(line, "max", Decimal(100_000), Decimal(9)) == Decimal("2.9999999999")


async def test_deciding_the_log_again_gives_the_same_bytes():
    house = await a_house(
        trailing(
            anchors=f'{PEAK}, day: {{take: "max(account.balance, account.equity)", daily_at: "00:00", tz: UTC}}',
            below="peak - 2000 + 0 * default(day, 0)",
        )
    )
    for equity in ("53000", "52000", "50900", "53100"):
        await house.sample(equity)
    await house.at("2026-04-14T00:00Z")
    program = Program(house.rules)

    once, again = [], []
    for written in (once, again):
        state = KeyState(house.inbox._log.ranked(0, 1)[0].partition, KEY)
        for row in house.log.ranked(0, 100_000):
            if row.key == KEY:
                written += [to_batch(decision) for decision in advance(program, state, row)]

    assert once == again
    assert any(batch.intents for batch in once)


async def test_an_edited_limit_follows_the_peak_there_is():
    house = await a_house()
    await house.sample("53000")

    await house.edit(a_workflow(trailing("peak - 500")))

    assert house.floor == Decimal(52500)
