"""Anchors: what is remembered, when it is taken, and that nothing ever stands in its place unsaid."""

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from unit.engine.desk import a_workflow
from unit.engine.prop_house import KEY, LOGIN, House

from hub.engine.load import load_text
from hub.engine.trailing import level_id
from hub.events.base import AccountRef
from hub.events.catalogue import BY_NAME
from hub.events.facts import make_fact
from hub.events.risk import DayRolled

TELL = "steps: [{do: event.publish, with: {type: custom.told, data: {v: = trigger.limit}}}]\n"
DAY = 'daily_at: "00:00", tz: Europe/Prague'


def watching(anchors, below="base - 1000", extra=""):
    return (
        f"anchors: {anchors}\nwhen: [{{crosses: {{value: account.equity, below: {below}}}}}]\n{extra}{TELL}"
    )


async def a_house(anchors, begins="2026-04-13T12:00Z", below="base - 1000", extra="", **account):
    known = {"balance": "10000", "initial_balance": "10000"} | account
    return await House(watching(anchors, below, extra), begins).open(**known)


# When a value is taken


async def test_a_day_begins_with_what_the_account_was_then():
    house = await a_house(f"{{base: {{take: account.balance, {DAY}}}}}")
    await house.account(balance="10500")
    assert (await house.value("base"), house.store.level_rows.keys()) == (None, {anchor_row("base")})

    await house.at("2026-04-13T22:00Z")
    await house.account(balance="11000")

    assert await house.value("base") == "10500"
    anchor = await house.anchor("base")
    assert anchor is not None
    (rolled,) = house.events("day.rolled")
    assert (anchor.source, rolled.id, rolled.day, rolled.zone) == (
        rolled.id,
        rolled.id,
        "2026-04-13",
        "Europe/Prague",
    )
    assert house.floor == Decimal(9500)


@pytest.mark.parametrize(
    ("clock", "begins", "midnights"),
    [
        # 23 hours, then 24
        (DAY, "2026-03-28T12:00Z", ["2026-03-28T23:00Z", "2026-03-29T22:00Z", "2026-03-30T22:00Z"]),
        # 25 hours
        (DAY, "2026-10-24T12:00Z", ["2026-10-24T22:00Z", "2026-10-25T23:00Z"]),
        (
            'daily_at: "17:00", tz: America/New_York',
            "2026-03-07T12:00Z",
            ["2026-03-07T22:00Z", "2026-03-08T21:00Z"],
        ),
        ('daily_at: "00:30", tz: UTC', "2026-03-07T12:00Z", ["2026-03-08T00:30Z", "2026-03-09T00:30Z"]),
    ],
)
async def test_days_begin_by_the_clock_of_their_zone_and_not_every_24_hours(clock, begins, midnights):
    house = await a_house(f"{{base: {{take: account.balance, {clock}}}}}", begins)

    await house.at(midnights[-1])

    told = [
        rolled.timestamp.isoformat().replace("+00:00", "Z").replace(":00Z", "Z")
        for rolled in house.events("day.rolled")
    ]
    assert told == midnights


async def test_what_is_taken_once_stays():
    house = await a_house("{base: {take: account.initial_balance, once: true}}", initial_balance=None)
    await house.account(initial_balance="5000")
    await house.account(initial_balance="9000")

    assert await house.value("base") == "5000"


async def test_an_event_takes_it_anew_where_it_is_one_that_counts():
    house = await a_house("{base: {take: event.amount, event: balance.deposited, where: event.amount > 10}}")
    await house.tell("balance.deposited", amount="100")
    await house.tell("balance.deposited", amount="10")
    assert await house.value("base") == "100"

    await house.tell("balance.deposited", amount="200")

    assert await house.value("base") == "200"


async def test_an_extreme_begins_with_its_first_and_goes_no_further_than_its_lock():
    house = await a_house(
        "{base: {max: account.balance, first: account.initial_balance, lock: account.initial_balance + 500}}",
        balance="9000",
    )
    await house.sample("9900")
    floors = []
    for balance in ("9000", "10200", "10100", "10800"):
        await house.account(balance=balance)
        floors.append(house.floor)

    assert floors == [Decimal(9000), Decimal(9200), Decimal(9200), Decimal(9500)]


async def test_the_smallest_is_followed_as_well():
    house = await a_house("{base: {min: account.equity}}", below="base - 100")

    for equity in ("10000", "9950", "9980"):
        await house.sample(equity)

    assert house.floor == Decimal(9850)


async def test_it_begins_where_the_account_comes_into_the_scope_and_goes_on_where_it_leaves():
    scope = 'scope: account.status == "active"\n'
    house = await a_house(
        f"{{base: {{take: account.balance, {DAY}, first: account.initial_balance}}}}", extra=scope
    )
    assert await house.anchor("base") is None
    await house.account(status="active")
    assert house.floor == Decimal(9000)

    await house.account(status="paused", balance="12000")
    await house.at("2026-04-13T22:00Z")
    await house.account(status="active")

    assert house.floor == Decimal(11000)


async def test_steps_and_conditions_read_it_by_its_name():
    rule = (
        f"anchors: {{base: {{take: account.balance, {DAY}, first: 1}}}}\n"
        "when: [{becomes: account.balance > base + 500}]\n"
        "steps: [{do: event.publish, with: {type: custom.told, data: {base: = base}}}]"
    )
    house = await House(rule, "2026-04-13T12:00Z").open(balance="10000")
    await house.at("2026-04-13T22:00Z")
    await house.account(balance="10501")

    assert [intent.params for intent in house.intents] == [b'{"type":"custom.told","data":{"base":"10000"}}']


# What is not known is not guessed


async def test_a_day_nobody_saw_is_unknown_where_equity_is_asked_for_and_known_where_it_is_not():
    house = await a_house(
        f'{{base: {{take: "max(account.balance, account.equity)", {DAY}, first: 1}}, sure: {{take: account.balance, {DAY}}}}}',
        below="base + 0 * sure",
    )
    await house.at("2026-04-13T22:00:30Z")
    await house.at("2026-04-13T22:01Z")

    (rolled,) = house.events("day.rolled")
    assert (rolled.equity, rolled.balance) == (None, None)
    assert (await house.value("base"), await house.value("sure")) == (None, "10000")
    assert any("account.equity is missing" in reason for reason in house.reasons())
    assert not any(row.field == "equity" for row in house.store.level_rows.values())
    assert "base could not be taken" in (await house.why())[0]


async def test_the_first_sample_after_it_makes_it_known():
    house = await a_house(f'{{base: {{take: "max(account.balance, account.equity)", {DAY}}}}}')
    await house.at("2026-04-13T22:01Z")
    assert await house.value("base") is None

    await house.sample("10400")
    await house.sample("10900")

    assert (await house.value("base"), house.floor) == ("10400", Decimal(9400))
    assert len(house.events("day.rolled")) == 1
    assert house.commands().count("day.sampled") == 1


async def test_a_hub_that_was_down_at_midnight_tells_of_it_with_the_first_sample_once():
    house = await a_house(f'{{base: {{take: "max(account.balance, account.equity)", {DAY}}}}}')
    await house.sample("10100")
    await house._move(house.clock.now_us() + 3 * 86_400_000_000)

    await house.restart()
    await house.watcher.roll()
    await house.settle()
    assert house.events("day.rolled") == []
    await house.sample("10600", balance="10000")
    await house.restart()
    await house.sample("10700")

    (rolled,) = house.events("day.rolled")  # of the last of three midnights
    assert (rolled.day, rolled.equity, rolled.sample_age_ms) == ("2026-04-15", Decimal(10600), 0)
    assert await house.value("base") == "10600"


async def test_two_tellings_of_one_midnight_are_one_event():
    house = await a_house(f"{{base: {{take: account.balance, {DAY}}}}}")
    await house.at("2026-04-13T21:59Z")
    forgetful = house._watcher()
    forgetful.load(await house.store.levels())
    await house.at("2026-04-13T22:00Z")

    await forgetful.roll()
    await house.settle()

    assert len(house.events("day.rolled")) == 1


async def test_a_day_told_again_with_another_clock_or_too_early_takes_nothing():
    house = await a_house(f"{{base: {{take: account.balance, {DAY}}}}}")
    for moment, zone, daily_at in [
        ("2026-04-13T22:00Z", "Europe/Prague", "00:00"),  # has not come yet
        ("2026-04-12T22:00Z", "Europe/Prague", "00:00"),  # is known already
        ("2026-04-13T11:00Z", "Europe/Prague", "00:00"),  # is no midnight
        ("2026-04-13T00:00Z", "UTC", "00:00"),
    ]:
        await told_at(house, moment, zone, daily_at)

    assert await house.value("base") is None


async def test_an_event_that_does_not_say_makes_it_unknown():
    house = await a_house("{base: {take: event.amount_base, event: balance.deposited}}")
    await house.tell("balance.deposited", amount="100", amount_base="90")
    assert await house.value("base") == "90"

    await house.tell("balance.deposited", amount="100")

    assert await house.value("base") is None


# Rollover


async def test_a_new_day_asks_every_condition_that_reads_it():
    rule = (
        f"anchors: {{base: {{take: account.balance, {DAY}, first: account.initial_balance}}}}\n"
        "when: [{becomes: base > 10500}]\n" + TELL.replace("= trigger.limit", "= base")
    )
    house = await House(rule, "2026-04-13T12:00Z").open(balance="11000", initial_balance="10000")
    assert house.fired == []

    await house.at("2026-04-13T22:00Z")

    assert house.fired == ["becomes"]


async def test_a_limit_that_a_new_day_moved_away_is_not_breached_by_what_came_after_midnight():
    house = await a_house(
        f"{{base: {{take: account.balance, {DAY}, first: account.initial_balance}}}}", balance="10000"
    )
    await house.sample("9800")
    await house.account(balance="9000")
    await house.at("2026-04-13T21:59:59Z")

    # The clock strikes, and the sample is there before anybody has told that it did.
    await house._move(house.clock.now_us() + 1_000_100)
    await house.sample("8900")

    assert (house.floor, house.fired) == (Decimal(8000), [])


async def test_a_day_ends_with_what_was_seen_before_and_not_with_the_next_days_first_sample():
    house = await a_house(f'{{base: {{take: "max(account.balance, account.equity)", {DAY}}}}}')
    await house.at("2026-04-13T21:59:59Z")
    await house.sample("10100")

    await house._move(house.clock.now_us() + 1_000_100)
    await house.sample("10700")

    assert await house.value("base") == "10100"


async def test_a_deposit_since_the_last_sample_makes_midnight_wait_for_the_next():
    house = await a_house(f'{{base: {{take: "max(account.balance, account.equity)", {DAY}}}}}')
    await house.sample("10100")
    house.watcher.money_moved(KEY)
    await house.at("2026-04-13T22:00:01Z")
    assert house.events("day.rolled") == []

    await house.sample("10200")

    assert await house.value("base") == "10200"


# Durable, and through edits


async def test_everything_is_known_again_after_a_restart():
    house = await a_house(f"{{base: {{take: account.balance, {DAY}}}}}")
    await house.at("2026-04-13T22:00Z")
    await house.sample("9900")

    await house.restart()
    await house.sample("8999.99")

    assert house.fired == ["crosses"]


async def test_another_amount_keeps_the_peak_and_another_value_begins_anew():
    peak = "{base: {max: account.equity, first: account.initial_balance}}"
    house = await a_house(peak)
    await house.sample("12000")
    await house.watcher.save()

    await house.edit(a_workflow(watching(peak, "base - 500")))
    assert house.floor == Decimal(11500)
    await house.edit(a_workflow(watching(peak.replace("equity", "free_margin"), "base - 500")))

    assert house.floor == Decimal(9500)


async def test_an_edited_day_keeps_its_value_until_the_next_one_begins():
    house = await a_house(f"{{base: {{take: account.balance, {DAY}}}}}")
    await house.at("2026-04-13T22:00Z")
    await house.account(balance="11000")

    await house.edit(a_workflow(watching('{base: {take: account.balance + 1, daily_at: "00:00", tz: UTC}}')))
    assert house.floor == Decimal(9000)
    await house.at("2026-04-14T00:00Z")

    assert house.floor == Decimal(10001)


async def test_what_no_live_workflow_has_is_forgotten_with_its_rows():
    house = await a_house(
        f"{{base: {{take: account.balance, {DAY}}}, peak: {{max: account.equity}}}}", below="base"
    )

    await house.edit(a_workflow("when: [{event: trade.closed}]\n" + TELL.replace("= trigger.limit", "1")))

    assert (await house.anchor("base"), await house.anchor("peak"), house.store.level_rows) == (
        None,
        None,
        {},
    )


async def test_a_workflow_that_comes_later_begins_with_accounts_that_are_known():
    house = await House(
        "when: [{event: trade.closed}]\n" + TELL.replace("= trigger.limit", "1"), "2026-04-13T12:00Z"
    ).open(balance="10000", initial_balance="10000")

    await house.edit(a_workflow(watching("{base: {take: account.initial_balance, once: true}}")))

    assert house.floor == Decimal(9000)


async def test_one_that_starts_at_events_alone_forgets_its_anchors_as_well():
    event = "when: [{event: trade.closed}]\n"
    anchors = f"anchors: {{base: {{take: account.balance, {DAY}}}}}\n"
    house = await House(
        anchors + event + TELL.replace("= trigger.limit", "= base"), "2026-04-13T12:00Z"
    ).open(balance="1")

    await house.edit(a_workflow(event + TELL.replace("= trigger.limit", "1")))

    assert (await house.anchor("base"), house.store.level_rows) == (None, {})


async def test_one_whose_anchors_break_holds_up_nobody_else(monkeypatch):
    house = House(watching("{base: {take: account.balance, once: true}}"), "2026-04-13T12:00Z")
    other = a_workflow(
        "when: [{becomes: account.balance > 5}]\n" + TELL.replace("= trigger.limit", "1"), id="other"
    )
    house.rules.append(other)
    house.inbox, house.loop = house._engine([0] * 64)
    monkeypatch.setattr("hub.engine.anchors._take", _breaks)
    await house.open(balance="1")

    await house.account(balance="10000")

    assert [intent.workflow for intent in house.intents] == ["other"]
    assert any("RuntimeError: on purpose" in reason for reason in house.reasons("failed"))


def _breaks(*_):
    raise RuntimeError("on purpose")


# What cannot be written


@pytest.mark.parametrize(
    ("anchors", "problem"),
    [
        ("{a: {take: 1}}", "10:14: error: an anchor is `{take: ..., daily_at"),
        ("{a: {take: 1, max: 2, once: true}}", "an anchor is `{take: ..., daily_at"),
        ('{a: {take: 1, daily_at: "00:00"}}', "`daily_at` and `tz` belong together"),
        ('{a: {take: 1, daily_at: "24:00", tz: UTC}}', "write a time of day such as"),
        ('{a: {take: 1, daily_at: "00:00", tz: Europe/Prag}}', "did you mean Europe/Prague?"),
        (
            "{a: {take: account.equity, once: true}}",
            "only an anchor with `daily_at`, `max` or `min` takes what is sampled",
        ),
        (
            '{a: {take: account.margin, daily_at: "00:00", tz: UTC}}',
            "account.margin is not told when a day rolls over",
        ),
        ("{a: {max: account.equity - 5}}", "write `max: account.equity`, and reckon with it in the limit"),
        ("{a: {take: account.balence, once: true}}", "did you mean account.balance?"),
        ("{a: {take: account.tags, once: true}}", "an anchor remembers one value, and this is a list"),
        ("{a: {take: b, once: true}, b: {take: 1, once: true}}", "unknown name b"),
        ("{account: {take: 1, once: true}}", "has a meaning of its own in expressions"),
        ("{a: {take: 1, once: true, lock: 2}}", "`lock` belongs to `max` and `min`"),
        ("{a: {take: 1, event: balance.depsited}}", "did you mean balance.deposited?"),
        ("{a: {take: 1, once: true, where: true}}", "`where` says which events of `event` count"),
    ],
)
def test_a_wrong_anchor_is_refused_with_its_place_and_the_fix(anchors, problem):
    header = "schema: 1\nid: t\ntitle: t\nmode: live\n\n\n\n\n\n"
    rule = f"anchors: {anchors}\nwhen: [{{crosses: {{value: account.equity, below: a}}}}]\n{TELL}"
    report = load_text(header + rule, "t.yaml")

    assert report.workflow is None
    assert any(problem.removeprefix("10:14: error: ") in str(each) for each in report.problems)
    assert all(each.place.line >= 10 for each in report.problems)


def test_days_belong_to_accounts():
    report = load_text(
        f"schema: 1\nid: t\ntitle: t\nkey: client\nanchors: {{a: {{take: 1, {DAY}}}}}\nwhen: [{{event: trade.closed}}]\n"
        "steps: [{do: event.publish, with: {type: custom.a, data: {a: = a}}}]\n",
        "t.yaml",
    )

    assert [str(each) for each in report.problems] == [
        "t.yaml:5:34: error: days are those of an account, and `key: client` names none: use `key: account`"
    ]


def test_a_grant_reads_no_anchors():
    text = (Path(__file__).parents[3] / "workflows" / "monthly-volume-bonus.yaml").read_text()
    report = load_text(text + "anchors: {a: {take: 1, once: true}}\n", "t.yaml")

    assert report.workflow is None
    assert any("`anchors` belongs to a workflow that starts runs" in str(each) for each in report.problems)


@pytest.mark.parametrize(
    "limit",
    [
        "peak * (peak / peak)",
        "abs(peak)",
        "100 * account.balance / peak",
        "peak if account.balance > 1 else 1",
        "min(peak, peak - 1)",
    ],
)
def test_a_limit_that_bends_is_refused(limit):
    text = (
        f"schema: 1\nid: t\ntitle: t\n{watching('{peak: {max: account.equity}}', chr(34) + limit + chr(34))}"
    )

    (problem,) = load_text(text, "t.yaml").problems

    assert "a limit follows `peak` in a straight line" in problem.message


def anchor_row(name):
    return level_id("rule", f"anchor:{name}", f"live-1:{LOGIN}")


async def told_at(house, moment, zone, daily_at):

    data = DayRolled(day="2026-04-13", zone=zone, daily_at=daily_at)
    at = datetime.fromisoformat(moment)
    who = AccountRef(server="live-1", login=LOGIN)
    fact = make_fact(
        BY_NAME["day.rolled"],
        "day.rolled",
        data,
        timestamp=at,
        received_us=1,
        source="x",
        account=who,
        dedupe_key=moment + zone,
    )
    await house.log.append([fact])
    await house.settle()
