"""Levels that have to stay passed for a while: over restarts, and what a feed that was away does to them."""

import pytest
from unit.engine.desk import a_workflow
from unit.engine.prop_house import House

from hub.engine.load import load_text

TELL = "steps: [{do: event.publish, with: {type: custom.told, data: {v: = trigger.value, limit: = trigger.limit}}}]\n"


def held(gap="restart", more=""):
    return f"when: [{{crosses: {{value: account.margin_level, below: 120, rearm: 125, for: 30s, gap: {gap}}}}}]\n{more}{TELL}"


async def a_house(rule=None):
    house = await House(rule or held(), "2026-04-13T12:00:00Z").open(balance="1000", status="active")
    await sample(house, "200")
    return house


async def sample(house, level, **fields):
    await house.sample("1000", margin_level=level, margin="100", **fields)


async def test_it_fires_when_it_has_stayed_so_long_and_tells_what_it_was_passed_with():
    house = await a_house()
    await sample(house, "119")
    await house.at("2026-04-13T12:00:29Z")
    assert house.fired == []

    await sample(house, "90")
    await house.at("2026-04-13T12:00:30Z")

    (intent,) = house.intents
    assert intent.key == "rule/live-1:7001/crosses/1/0"
    assert b'"v":"119","limit":"120"' in intent.params


async def test_one_that_recovers_before_fires_not_and_the_next_begins_anew():
    house = await a_house()
    await sample(house, "119")
    await house.at("2026-04-13T12:00:20Z")
    await sample(house, "124")  # is back above the limit, and not at the rearm
    await sample(house, "125")
    assert any("was not long enough" in reason for reason in house.reasons("armed"))

    await sample(house, "110")
    await house.at("2026-04-13T12:00:49Z")
    assert house.fired == []
    await house.at("2026-04-13T12:00:50Z")

    assert [intent.key for intent in house.intents] == ["rule/live-1:7001/crosses/2/0"]


async def test_one_whose_scope_is_left_fires_not():
    house = await a_house(held(more='scope: account.status == "active"\n'))
    await sample(house, "119")

    await house.account(status="closed")
    assert house.store.timers == {}
    await house.account(status="active")
    await house.at("2026-04-13T12:01Z")

    assert house.fired == []


async def test_a_gap_begins_it_anew_when_the_account_is_seen_again():
    house = await a_house()
    await sample(house, "119")
    await house.at("2026-04-13T12:00:10Z")
    await house.sample("0", gap=True, degraded=True)
    assert any("the feed was away" in reason for reason in house.reasons())

    await house.at("2026-04-13T12:05:00Z")  # nobody sees it, so nothing counts
    assert (house.fired, house.store.timers) == ([], {})
    assert "it begins to count when the account is seen again" in (await house.why())[0]
    await sample(house, "118")
    await house.at("2026-04-13T12:05:29Z")
    assert house.fired == []
    await house.at("2026-04-13T12:05:30Z")

    assert house.fired == ["crosses"]


async def test_one_that_has_recovered_when_it_is_seen_again_fires_not():
    house = await a_house()
    await sample(house, "119")
    await house.sample("0", gap=True, degraded=True)

    await sample(house, "200")
    await house.at("2026-04-13T12:10Z")

    assert house.fired == []


async def test_with_continue_it_counts_on():
    house = await a_house(held("continue"))
    await sample(house, "119")

    await house.sample("0", gap=True, degraded=True)
    await house.at("2026-04-13T12:00:30Z")

    assert (house.fired, house.commands()) == (["crosses"], [])


async def test_a_gap_concerns_only_what_is_passed():
    house = await a_house()

    await house.sample("0", gap=True, degraded=True)
    await sample(house, "200")

    assert house.commands() == []


async def test_a_gap_while_the_engine_has_not_answered_counts_too():
    house = await a_house()
    await house.watcher.samples(
        [
            house.a_sample("1000", margin_level="119", margin="100"),
            house.a_sample("0", gap=True, degraded=True),
        ]
    )
    await house.settle()

    await house.at("2026-04-13T12:01Z")

    assert house.fired == []


@pytest.mark.parametrize(("gap", "fires"), [("restart", False), ("continue", True)])
async def test_a_hub_that_was_down_meanwhile_saw_nothing(gap, fires):
    house = await a_house(held(gap))
    await sample(house, "119")
    await house._move(house.clock.now_us() + 60_000_000)

    await house.restart()
    await house.at("2026-04-13T12:01:01Z")
    assert bool(house.fired) is fires
    if fires:
        assert any("late_by" in reason for reason in house.reasons("fired"))

    await sample(house, "100")
    await house.at("2026-04-13T12:01:31Z")

    assert house.fired == ["crosses"]


async def test_a_restart_that_comes_back_in_time_begins_it_anew_as_well():
    house = await a_house()
    await sample(house, "119")
    await house.at("2026-04-13T12:00:10Z")

    await house.restart()
    await sample(house, "119")
    await house.at("2026-04-13T12:00:39Z")
    assert house.fired == []
    await house.at("2026-04-13T12:00:40Z")

    assert house.fired == ["crosses"]


async def test_a_workflow_that_goes_lets_go():
    house = await a_house()
    await sample(house, "119")

    await house.edit(
        a_workflow(
            "when: [{event: trade.closed}]\nsteps: [{do: event.publish, with: {type: custom.a, data: {}}}]"
        )
    )
    await house.at("2026-04-13T12:01Z")

    assert (house.fired, house.store.timers) == ([], {})


async def test_an_edit_that_keeps_the_level_keeps_what_has_been_waited():
    house = await a_house()
    await sample(house, "119")
    await house.at("2026-04-13T12:00:20Z")

    await house.edit(a_workflow(held(more="limit: {max: 5, every: 1d}\n")))
    await house.at("2026-04-13T12:00:30Z")

    assert house.fired == ["crosses"]


async def test_a_level_that_is_reached_is_passed_where_it_says_so():
    house = await a_house(
        "when: [{crosses: {value: account.margin_level, below: 120, inclusive: true}}]\n" + TELL
    )

    await sample(house, "120")
    await sample(house, "120")
    await sample(house, "121")
    await sample(house, "119")

    assert [crossed.edge for crossed in house.events("margin.crossed")] == ["crossed", "recovered", "crossed"]
    assert house.fired == ["crosses", "crosses"]


def test_what_is_critical_says_what_a_gap_does():
    text = f"schema: 1\nid: t\ntitle: t\npriority: critical\n{held().replace(', gap: restart', '')}"

    (problem,) = load_text(text, "t.yaml").problems

    assert "t.yaml:5:" in str(problem)
    assert "`priority: critical` says what becomes of `for` when the feed is away: add `gap: restart`" in str(
        problem
    )
