"""`schedule:` fires at moments of a local clock: for every key, once, and over restarts as the file says."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.engine.desk import MORNING, Desk, a_workflow
from unit.engine.test_waits import Killed

from hub.bus.log import Input, InputKind
from hub.clock import to_us
from hub.engine import cron
from hub.engine.code import Act
from hub.engine.decide import advance, realign
from hub.engine.decision import apply
from hub.engine.index import Program
from hub.engine.introductions import KNOWN
from hub.engine.keys import partition_of
from hub.engine.load_text import load_text
from hub.engine.state import KeyState
from hub.engine.why import standing
from hub.testing import a_trade_closed, an_account

DAY = timedelta(days=1)
DAILY = """
when: [{schedule: {cron: "%s", tz: Europe/Nicosia%s}}]
steps: [{do: event.publish, with: {type: custom.daily, data: {login: = account.login, at: = trigger.at}}}]
"""


def daily(cron="0 12 * * *", more="", **header):
    return a_workflow(DAILY % (cron, more), **header)


def at_desk(*workflows):
    desk = Desk(*workflows)
    desk.tell("account.created")
    return desk


def fired(desk):
    return [trace.reason for trace in desk.traces("fired")]


def late(desk, at):
    """Let the hub be down until a moment, and its timers come only then."""
    desk.now = to_us(at)
    desk.until(at)


def test_it_fires_at_each_moment_once_under_the_moment_as_cause():
    desk = at_desk(daily())

    desk.until(MORNING + 3 * DAY)

    assert list(desk.runs) == [
        "rule/live-1:7001/schedule/2026-03-02T10:00:00.000Z",
        "rule/live-1:7001/schedule/2026-03-03T10:00:00.000Z",
        "rule/live-1:7001/schedule/2026-03-04T10:00:00.000Z",
    ]
    assert fired(desk)[0] == "2026-03-02T10:00:00.000Z has come (0 12 * * * Europe/Nicosia)"
    (intent, *_) = [intent for decision in desk.decisions for intent in decision.intents]
    assert b"2026-03-02T10:00:00" in intent.params


def test_it_is_begun_with_the_first_look_at_an_account_and_with_its_activation():
    late_comer = Desk(a_workflow("when: [{event: trade.closed}]\nsteps: [{stop: x}]", id="other"))
    late_comer.tell("account.created")
    late_comer.switch(daily())

    late_comer.until(MORNING + DAY)

    assert len(fired(late_comer)) == 1


def test_out_of_scope_it_does_not_fire_and_goes_on():
    desk = Desk(a_workflow('scope: account.group == "real"' + DAILY % ("0 12 * * *", "")))
    desk.tell("account.created", group="demo")
    desk.until(MORNING + DAY)
    desk.tell("account.group_changed", before="demo", after="real", group="real")

    desk.until(MORNING + 2 * DAY)

    assert len(fired(desk)) == 1


@pytest.mark.parametrize(
    ("more", "counted", "said"),
    [
        ("", 1, "catch_up: last"),
        (", catch_up: last, within: 1h", 0, "catch_up: last, within 1h"),
        (", catch_up: all", 3, None),
        (", catch_up: all, within: 30h", 2, "catch_up: all, within 30h"),
        (", catch_up: none", 0, "catch_up: none"),
    ],
)
def test_moments_that_were_missed_count_as_the_file_says(more, counted, said):
    desk = at_desk(daily(more=more))

    late(desk, datetime(2026, 3, 4, 14, tzinfo=UTC))  # four hours after the third

    assert len(fired(desk)) == counted
    assert all("late_by" in reason for reason in fired(desk))
    held = [trace.reason for trace in desk.traces("held_back")]
    assert (len(held) == 0) if said is None else (said in held[0])
    desk.until(datetime(2026, 3, 5, 14, tzinfo=UTC))
    assert len(fired(desk)) == counted + 1  # and the next one on time


def test_a_moment_within_a_minute_is_on_time_even_where_none_is_made_up_for():
    desk = at_desk(daily(more=", catch_up: none"))

    late(desk, datetime(2026, 3, 2, 10, 0, 59, tzinfo=UTC))

    assert len(fired(desk)) == 1


def test_of_a_month_of_minutes_the_last_hundred_are_made_up_for_and_the_rest_is_said():
    desk = at_desk(daily("* * * * *", ", catch_up: all"))

    late(desk, MORNING + 30 * DAY)

    assert len(fired(desk)) == 100
    (held,) = desk.traces("held_back")
    assert "100 are made up for at most" in held.reason


def test_an_edit_at_the_very_moment_fires_not_a_second_time():
    desk = at_desk(daily())
    desk.until(datetime(2026, 3, 2, 10, tzinfo=UTC))
    desk.switch(daily(title="edited"))

    desk.until(MORNING + DAY)

    assert len(fired(desk)) == 1


def test_an_edited_schedule_fires_at_no_moment_that_is_past():
    desk = at_desk(daily())
    desk.until(datetime(2026, 3, 2, 9, 30, tzinfo=UTC))
    desk.switch(daily("0 11 * * *"))  # 09:00 UTC, which is over

    desk.until(datetime(2026, 3, 2, 20, tzinfo=UTC))
    assert fired(desk) == []
    desk.until(datetime(2026, 3, 3, 20, tzinfo=UTC))
    assert len(fired(desk)) == 1


def test_a_moment_that_came_while_the_hub_was_down_counts_though_the_schedule_was_edited_meanwhile():
    desk = at_desk(daily())
    desk.now = to_us(datetime(2026, 3, 2, 13, tzinfo=UTC))
    desk.switch(daily("0 18 * * *"))

    desk.until(datetime(2026, 3, 2, 13, 1, tzinfo=UTC))

    assert list(desk.runs) == ["rule/live-1:7001/schedule/2026-03-02T10:00:00.000Z"]
    desk.until(datetime(2026, 3, 2, 17, tzinfo=UTC))
    assert len(fired(desk)) == 2


def test_what_is_taken_away_fires_no_more_and_leaves_no_timer():
    desk = at_desk(daily())
    desk.switch()

    desk.until(MORNING + 3 * DAY)

    assert fired(desk) == []
    assert desk.timers == {}


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=8))
async def test_no_moment_is_lost_or_doubled_whatever_is_killed(steps):
    engine = Killed()
    await engine.loop.activate([daily(more=", catch_up: all"), daily_of_all("everything")])
    await engine.settle()
    await engine.log.append([a_trade_closed(an_account(), deal=1)])
    await engine.settle()
    for days, killed in steps:
        await engine.clock.advance(days * DAY)
        if killed:
            await engine.restart()
    await engine.settle()
    await engine.clock.advance(DAY)
    await engine.settle()

    days = 1 + sum(days for days, _ in steps)
    runs = [run.partition("/")[0] for run in engine.store.runs]
    assert runs.count("rule") == days
    assert runs.count("everything") >= 1


def test_one_whose_steps_break_holds_up_neither_the_next_moment_nor_the_others():
    desk = at_desk(daily(id="a"), daily(id="b"))
    plan = desk.program.plans["a"]
    plan.code = [Act(None)]  # what no step is

    desk.until(MORNING + 2 * DAY)

    assert sorted({run.partition("/")[0] for run in desk.runs}) == ["b"]
    assert len(desk.traces("failed")) == 2
    assert len(fired(desk)) == 2


@pytest.mark.parametrize("when", ["at once", "later"])
def test_one_whose_moments_cannot_be_told_holds_up_no_other(monkeypatch, when):
    def telling(real):
        def tell(text, *rest):
            if text.startswith("1 "):
                raise KeyError("no such zone any more")
            return real(text, *rest)

        return tell

    def break_it():
        for name in ("next_after", "latest"):
            monkeypatch.setattr(cron, name, telling(getattr(cron, name)))

    if when == "at once":
        break_it()
    desk = at_desk(daily("1 12 * * *", id="a"), daily(id="b"))
    break_it()

    desk.until(MORNING + 2 * DAY)

    assert sorted({run.partition("/")[0] for run in desk.runs}) == ["b"]
    assert len(fired(desk)) == 2
    assert "its moments cannot be told: KeyError" in desk.traces("failed")[0].reason


def test_who_asks_hears_when_it_fires_next():
    desk = at_desk(daily())

    (answer,) = standing(desk.program, "rule", desk.state, desk.now + 1)

    assert answer.reason == "fires next at 2026-03-02T10:00:00.000Z (0 12 * * * Europe/Nicosia)"


def test_a_workflow_of_everything_fires_once_however_many_accounts_there_are():
    program = Program([daily_of_all()])
    state = KeyState(partition_of("all="), "all=")
    state_at = Input(state.partition, 1, to_us(MORNING), InputKind.ACTIVATED, "", "x", None, b"")
    decision = realign(program, state, state_at)
    apply(state, decision)
    (timer,) = decision.timers
    made = advance(
        program, state, Input(state.partition, 2, timer.due, InputKind.TIMER, "all=", "t", None, b"")
    )

    assert [run.id for each in made for run in each.runs] == ["rule/all=/schedule/2026-03-02T10:00:00.000Z"]


def daily_of_all(name="rule"):
    return a_workflow(
        'when: [{schedule: {cron: "0 12 * * *", tz: Europe/Nicosia}}]\n'
        "steps: [{do: event.publish, with: {type: custom.daily}}]",
        key="all",
        id=name,
    )


def of_client():
    return a_workflow(
        'when: [{schedule: {cron: "0 9 * * mon", tz: Europe/Nicosia}}]\n'
        "scope: client.consent_marketing\n"
        "steps: [{do: event.publish, with: {type: custom.weekly, data: {client: = client.id}}}]",
        key="client",
    )


def test_clients_that_were_there_before_a_schedule_by_client_are_introduced_by_their_accounts():
    desk = Desk()
    desk.tell("client.updated", client="c1", changed={"consent_marketing": {"after": True}})
    desk.switch(of_client())
    (told,) = [mail for decision in desk.decisions for mail in decision.mail]
    assert (told.key, told.ref, told.kind) == ("client=c1", KNOWN, InputKind.COMMAND)

    state = KeyState(told.partition, told.key)
    first = Input(told.partition, 1, desk.now, told.kind, told.key, told.ref, None, told.body)
    (met,) = advance(desk.program, state, first)
    (timer,) = met.timers
    made = advance(
        desk.program, state, Input(told.partition, 2, timer.due, InputKind.TIMER, told.key, "t", None, b"")
    )

    assert [run.id for each in made for run in each.runs] == [
        "rule/client=c1/schedule/2026-03-09T07:00:00.000Z"
    ]


def test_nobody_is_introduced_where_no_schedule_asks_for_it():
    desk = Desk()
    desk.tell("client.updated", client="c1", changed={"consent_marketing": {"after": True}})
    desk.switch(a_workflow("when: [{event: trade.closed}]\nsteps: [{stop: x}]", key="client"))

    assert [mail for decision in desk.decisions for mail in decision.mail] == []


@pytest.mark.parametrize(
    ("trigger", "complaint"),
    [
        ("{cron: '0 9 * *', tz: Europe/Nicosia}", "a schedule has five fields"),
        ("{cron: '* * * * * *', tz: Europe/Nicosia}", "no finer than a minute"),
        ("{cron: '0 9 * * *', tz: Europe/Nicosea}", "did you mean Europe/Nicosia?"),
        ("{cron: '0 9 * * *'}", "`tz` is missing"),
        ("{cron: '0 9 * * *', tz: UTC, catch_up: first}", "`catch_up` is last, all or none"),
        ("{cron: '0 9 * * *', tz: UTC, catch_up: none, within: 1h}", "how late a missed moment may count"),
        ("{cron: '0 9 * * *', tz: UTC, every: 1h}", "unknown key `every`"),
    ],
)
def test_what_is_wrong_with_it_is_said_where_it_stands(trigger, complaint):
    report = load_text(
        f"schema: 1\nid: a\ntitle: t\nwhen:\n  - schedule: {trigger}\nsteps: [{{stop: x}}]\n", "a.yaml"
    )

    (problem,) = report.problems
    assert complaint in str(problem)
    assert str(problem).startswith("a.yaml:5:")


def test_a_group_whose_schedule_is_taken_away_and_put_back_goes_on_though_nobody_speaks_of_it_again():
    weekly = a_workflow(
        'when: [{schedule: {cron: "0 9 * * mon", tz: Europe/Nicosia}}]\nsteps: [{stop: x}]', key="group"
    )
    desk = Desk()
    desk.tell("account.created", group="real")
    desk.switch(weekly)
    (told,) = [mail for decision in desk.decisions for mail in decision.mail]
    state = KeyState(told.partition, told.key)
    first = Input(told.partition, 1, desk.now, told.kind, told.key, told.ref, None, told.body)
    advance(desk.program, state, first)

    without = realign(Program([]), state, first)
    apply(state, without)
    assert [cancelled.due for cancelled in without.cancelled]
    again = realign(Program([weekly]), state, first)

    assert len(again.timers) == 1


def test_a_symbol_is_known_from_its_first_trade_and_a_group_from_its_first_account():
    daily_by = {
        kind: a_workflow(
            'when: [{schedule: {cron: "0 9 * * *", tz: UTC}}]\nsteps: [{stop: x}]', key=kind, id=kind
        )
        for kind in ("symbol", "group")
    }
    desk = Desk(*daily_by.values())

    desk.tell("account.created", group="real")
    desk.tell("balance.deposited", ticket=1, amount="5")
    desk.tell("trade.opened", symbol="EURUSD", group="real")
    desk.tell("trade.closed", symbol="EURUSD", group="real")

    told = [mail.key for decision in desk.decisions for mail in decision.mail]
    assert told == ["group=live-1:real", "symbol=live-1:EURUSD"]


async def test_a_workflow_of_everything_that_is_edited_again_and_again_fires_once_a_moment():
    engine = Killed()
    await engine.loop.activate([daily(), daily_of_all("everything")])
    await engine.settle()
    await engine.log.append([a_trade_closed(an_account(login=login), deal=login) for login in range(1, 9)])
    for title in ("one", "two", "three"):
        await engine.loop.activate([daily(title=title), daily_of_all("everything")])
    await engine.settle()
    await engine.restart()
    await engine.clock.advance(2 * DAY)
    await engine.settle()
    await engine.restart()
    await engine.loop.activate([daily(title="four")])
    await engine.settle()
    await engine.clock.advance(2 * DAY)
    await engine.settle()

    runs = [run.partition("/")[0] for run in engine.store.runs]
    assert runs.count("everything") == 1  # the last of two that were missed
    assert engine.store.timers.keys()
    assert not [timer for timer in engine.store.timers.values() if timer.key == "all="]


def test_the_end_of_a_period_by_client_reaches_clients_that_were_there_before_and_everything_is_there_for_it():
    ends = a_workflow(
        "when: [{period_end: {calendar: month, tz: UTC}}]\nsteps: [{stop: x}]", key="client", id="of-client"
    )
    desk = Desk()
    desk.tell("client.updated", client="c1", changed={})
    desk.switch(ends)
    (told,) = [mail for decision in desk.decisions for mail in decision.mail]
    state = KeyState(told.partition, told.key)
    first = Input(told.partition, 1, desk.now, told.kind, told.key, told.ref, None, told.body)

    (met,) = advance(desk.program, state, first)

    assert [timer.kind for timer in met.timers] == ["period_end"]


async def test_the_end_of_a_period_of_everything_fires_though_nothing_ever_happens():
    engine = Killed()
    ends = "when: [{period_end: {calendar: day, tz: UTC}}]\nsteps: [{stop: x}]"
    await engine.loop.activate([a_workflow(ends, key="all")])
    await engine.settle()

    await engine.clock.advance(DAY)
    await engine.settle()

    assert len(engine.store.runs) == 1
