"""What one input leads to, and what it does not: the semantics table, row by row."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from unit.engine.desk import MORNING, Desk, a_workflow

from hub.bus.log import InputKind
from hub.clock import to_us
from hub.engine.account_rows import AccountRow
from hub.engine.decide import advance, decide
from hub.engine.index import Program
from hub.engine.state import KeyState
from hub.engine.values import Kind, decode_value, encode_value
from hub.intents.intent import State

HOUR, DAY = timedelta(hours=1), timedelta(days=1)

BONUS = """
params: {min_lots: {type: number, default: 20}}
scope: account.type == "real"
aggregates:
  lots: {from: trade.closed, sum: event.lots, window: {calendar: month, tz: Europe/Nicosia}, retract: {event: trade.cancelled, ref: event.deal}}
when: [{becomes: lots > params.min_lots}]
limit: {max: 3, every: 30d}
steps:
  - {id: bonus, do: credit.grant, with: {amount: = 2 * lots, comment: "{{ lots }} lots"}}
"""
NOTICE = """
when: [{event: trade.closed, where: event.lots >= 5}]
steps:
  - {do: event.publish, with: {type: custom.big_trade, data: {lots: = event.lots}}}
"""
LOSS = """
aggregates:
  loss: {from: trade.closed, where: event.net_profit < 0, sum: abs(event.net_profit), window: {sliding: 7d}}
when: [{becomes: loss > 1000}]
steps: [{do: event.publish, with: {type: custom.loss, data: {loss: = loss}}}]
"""


def params(intent):
    return msgspec.json.decode(intent.params)


@pytest.fixture
def desk():
    desk = Desk(a_workflow(BONUS, id="bonus"))
    desk.account(type="real", digits=2)
    return desk


# Rows 1 to 3: order, identity


def test_a_condition_that_turns_true_fires_once(desk):
    assert desk.tell("trade.closed", lots="12") == []

    (intent,) = desk.tell("trade.closed", lots="13")

    assert desk.tell("trade.closed", lots="5") == []
    assert intent.key == "bonus/live-1:7001/becomes/1/bonus"
    assert intent.run == "bonus/live-1:7001/becomes/1"
    assert (intent.verb, params(intent)) == ("credit.grant", {"amount": "50.00", "comment": "25 lots"})


def test_the_first_trade_of_an_account_can_fire_because_nothing_is_a_known_sum():
    desk = Desk(a_workflow(BONUS.replace('scope: account.type == "real"', ""), id="bonus"))

    assert len(desk.tell("trade.closed", lots="25")) == 1


def test_a_condition_that_let_go_is_armed_and_fires_with_the_next_number(desk):
    desk.tell("trade.closed", deal=1, lots="25")
    desk.tell("trade.cancelled", deal=1)

    (again,) = desk.tell("trade.closed", deal=2, lots="21")

    assert again.key == "bonus/live-1:7001/becomes/2/bonus"
    assert [trace.reason for trace in desk.traces("armed")] == ["lots > params.min_lots is false (0 > 20)"]


def test_an_edge_keeps_its_number_when_the_workflow_is_edited(desk):
    desk.tell("trade.closed", deal=1, lots="25")
    desk.switch(a_workflow(BONUS.replace("default: 20", "default: 30"), id="bonus"))

    (again,) = desk.tell("trade.closed", deal=2, lots="6")

    assert again.key == "bonus/live-1:7001/becomes/2/bonus"


def test_a_new_month_arms_again_at_local_midnight_even_if_nothing_happens(desk):
    desk.tell("trade.closed", lots="25")
    midnight = MORNING.replace(month=3, day=31, hour=21)

    desk.until(midnight)

    assert [trace.reason for trace in desk.traces("armed")] == ["lots > params.min_lots is false (0 > 20)"]
    assert len(desk.tell("trade.closed", at=midnight, lots="21")) == 1


def test_time_that_passed_counts_before_an_event_even_if_its_timer_comes_late(desk):
    desk.tell("trade.closed", lots="25")
    desk.timers.clear()  # still on their way

    (again,) = desk.tell("trade.closed", at=MORNING.replace(month=4), lots="21")

    assert again.key.endswith("/becomes/2/bonus")


def test_out_of_scope_nothing_fires_and_coming_back_is_no_edge():
    desk = Desk(a_workflow(BONUS, id="bonus"))
    desk.account(type="demo")
    assert desk.tell("trade.closed", lots="25") == []

    assert desk.account(type="real") == []
    assert desk.tell("trade.closed", lots="1") == []


def test_leaving_the_scope_forgets_the_edge_and_its_number_stays(desk):
    desk.tell("trade.closed", deal=1, lots="25")
    desk.account(type="demo")
    desk.tell("trade.cancelled", deal=1)
    desk.account(type="real")

    (again,) = desk.tell("trade.closed", deal=2, lots="21")

    assert again.key.endswith("/becomes/2/bonus")


def test_what_turned_true_out_of_scope_is_no_edge_on_coming_back(desk):
    desk.tell("trade.closed", deal=1, lots="25")
    desk.tell("trade.cancelled", deal=1)  # stored as false
    desk.account(type="demo")
    desk.tell("trade.closed", deal=2, lots="25")

    assert desk.account(type="real") == []


def test_an_event_trigger_is_named_by_the_event():
    desk = Desk(a_workflow(NOTICE, id="big-trade"))

    (intent,) = desk.tell("trade.closed", lots="5")

    event = desk.inputs[-1].ref
    assert intent.key == f"big-trade/live-1:7001/event/{event}/0"
    assert intent.caused_by == event


def test_the_limit_is_asked_after_the_edge_and_says_when_it_is_free_again():
    desk = Desk(a_workflow(NOTICE + "limit: {max: 1, every: 1h}"))
    assert desk.tell("trade.closed", lots="1") == []
    assert len(desk.tell("trade.closed", lots="5")) == 1

    assert desk.tell("trade.closed", at=MORNING + HOUR / 2, lots="6") == []

    (held,) = desk.traces("held_back")
    assert held.reason == "limit: 1 run(s) within 1h; free again at 2026-03-02T09:00:00.000Z"
    assert len(desk.tell("trade.closed", at=MORNING + HOUR, lots="6")) == 1


def test_a_limit_for_ever_lasts():
    desk = Desk(a_workflow(NOTICE + "limit: {max: 1, every: forever}"))
    desk.tell("trade.closed", lots="5")

    assert desk.tell("trade.closed", at=MORNING + 3650 * DAY, lots="5") == []


def test_a_high_limit_for_ever_counts_all_and_remembers_the_moments_of_the_latest(monkeypatch):
    monkeypatch.setattr("hub.engine.triggers.MOST_INSTANTS", 3)
    desk = Desk(a_workflow(NOTICE + "limit: {max: 7, every: forever}"))
    for number in range(10):
        desk.tell("trade.closed", at=MORNING + number * DAY, lots="5")

    assert len(desk.traces("fired")) == 7
    assert {trace.reason for trace in desk.traces("held_back")} == {
        "limit: 7 run(s) for ever, the last at 2026-03-08T08:00:00.000Z"
    }
    (fires,) = (value for kind, value in desk.state.values.items() if kind[0] == Kind.FIRES)
    assert (len(fires.at), fires.before) == (3, 4)
    assert decode_value(Kind.FIRES, encode_value(fires)) == fires


def test_a_low_limit_for_ever_is_written_as_it_always_was():
    desk = Desk(a_workflow(NOTICE + "limit: {max: 7, every: forever}"))
    desk.tell("trade.closed", lots="5")

    (fires,) = (value for kind, value in desk.state.values.items() if kind[0] == Kind.FIRES)
    assert encode_value(fires) == b'{"at":[1772438400000000],"v":1}'


def test_a_limit_per_trigger_counts_each_trigger():
    text = """
when:
  - {id: big, event: trade.closed, where: event.lots > 5}
  - {id: any, event: trade.closed}
limit: {max: 1, every: forever, per: %s}
steps: [{do: event.publish, with: {type: custom.x}}]
"""
    assert len(Desk(a_workflow(text % "key")).tell("trade.closed", lots="6")) == 1
    assert len(Desk(a_workflow(text % "trigger")).tell("trade.closed", lots="6")) == 2


def test_a_plain_no_leaves_no_trace(desk):
    desk.tell("trade.closed", lots="12")
    desk.tell("trade.opened")

    assert desk.traces() == []


def test_what_fired_says_why(desk):
    desk.tell("trade.closed", lots="25")

    (fired,) = desk.traces("fired")
    assert fired.reason == "lots > params.min_lots is true (25 > 20)"
    assert fired.intents == ["bonus/live-1:7001/becomes/1/bonus"]


# Rows 7 and 22: time


def test_a_late_trade_counts_in_the_month_it_happened_in(desk):
    april = MORNING.replace(month=4, day=2)

    assert desk.tell("trade.closed", at=april, timestamp=MORNING, lots="25") == []
    assert len(desk.tell("trade.closed", lots="21")) == 1


def test_a_sliding_window_that_lets_go_re_arms_by_its_timer():
    desk = Desk(a_workflow(LOSS))
    assert len(desk.tell("trade.closed", net_profit="-1001")) == 1

    desk.until(MORNING + 7 * DAY)

    assert [trace.reason for trace in desk.traces("armed")] == ["loss > 1000 is false (0 > 1000)"]
    assert len(desk.tell("trade.closed", at=MORNING + 8 * DAY, net_profit="-1001")) == 1


def test_letting_go_can_fire_a_condition_that_waits_for_less():
    desk = Desk(a_workflow(LOSS.replace("becomes: loss > 1000", "becomes: loss < 100")))
    desk.tell("trade.closed", net_profit="-500")

    (fired,) = desk.until(MORNING + 7 * DAY)

    assert fired.key == "rule/live-1:7001/becomes/1/0"


def test_there_is_one_timer_for_an_aggregate_at_most():
    desk = Desk(a_workflow(LOSS))
    for hour in range(5):
        desk.tell("trade.closed", at=MORNING + hour * HOUR, net_profit="-10")
    desk.tell("trade.closed", timestamp=MORNING - HOUR, net_profit="-10")

    (timer,) = desk.timers.values()
    assert timer.due == to_us(MORNING + timedelta(days=7))


def test_a_timer_that_comes_first_is_not_written_again():
    desk = Desk(a_workflow(LOSS))
    desk.tell("trade.closed", net_profit="-10")

    desk.tell("trade.closed", at=MORNING + HOUR, net_profit="-10")

    assert (desk.decisions[-1].timers, desk.decisions[-1].cancelled) == ([], [])


def test_an_aggregate_no_condition_reads_has_no_timer():
    desk = Desk(a_workflow(LOSS.replace("becomes: loss > 1000", "event: trade.closed, where: loss > 1000")))

    desk.tell("trade.closed", net_profit="-10")

    assert desk.timers == {}


@pytest.mark.parametrize(
    ("where", "counted"),
    [
        ('event.symbol == "EURUSD"', 3),
        ('event.symbol in ["EURUSD", "XAUUSD"] and event.lots > 1', 6),
        ("event.lots > 2", 4),
        ("event.net_profit > 0", 0),  # nobody told it: unknown, and not counted
        ('account.group == "std"', 7),
    ],
)
def test_an_aggregate_counts_what_its_where_lets_in(where, counted):
    text = f"""
aggregates: {{lots: {{from: trade.closed, where: '{where}', sum: event.lots, window: lifetime}}}}
when: [{{event: balance.deposited}}]
steps: [{{do: event.publish, with: {{type: custom.x, data: {{lots: = lots}}}}}}]
"""
    desk = Desk(a_workflow(text))
    for symbol, lots in (("EURUSD", "1"), ("EURUSD", "2"), ("XAUUSD", "4")):
        desk.tell("trade.closed", symbol=symbol, lots=lots, group="std")

    (intent,) = desk.tell("balance.deposited", amount="1")

    assert Decimal(params(intent)["data"]["lots"]) == counted


def test_one_definition_with_other_params_is_another_aggregate():
    text = """
params: {least: {type: number, default: LEAST}}
aggregates: {many: {from: trade.closed, where: event.lots > params.least, count: true, window: lifetime}}
when: [{event: balance.deposited}]
steps: [{do: event.publish, with: {type: custom.x, data: {many: = many}}}]
"""
    desk = Desk(
        a_workflow(text.replace("LEAST", "1"), id="a"), a_workflow(text.replace("LEAST", "5"), id="b")
    )
    desk.tell("trade.closed", lots="3")

    assert [params(each)["data"]["many"] for each in desk.tell("balance.deposited", amount="1")] == ["1", "0"]


def test_equal_definitions_are_counted_once():
    desk = Desk(a_workflow(LOSS, id="a"), a_workflow(LOSS, id="b"))

    assert len(desk.program.feeds) == 1
    assert len(desk.tell("trade.closed", net_profit="-2000")) == 2


# Rows 10 and 11: money, unknown


@pytest.mark.parametrize(("digits", "amount"), [(2, "0.13"), (0, None), (3, "0.125")])
def test_money_is_rounded_half_up_to_the_digits_of_the_account(digits, amount):
    desk = Desk(a_workflow(BONUS.replace("2 * lots", "lots / 200"), id="bonus"))
    desk.account(type="real", digits=digits)

    intents = desk.tell("trade.closed", lots="25")

    assert [params(intent)["amount"] for intent in intents] == ([amount] if amount else [])
    if amount is None:
        (held,) = desk.traces("held_back")
        assert "credit.grant: the amount is 0, not above 0" in held.reason


def test_a_missing_field_neither_fires_nor_stops_another_rule():
    asks = NOTICE.replace("event.lots >= 5", "event.net_profit > 0")
    desk = Desk(a_workflow(asks, id="asks"), a_workflow(NOTICE, id="other"))

    (intent,) = desk.tell("trade.closed", lots="5")

    assert intent.workflow == "other"


def test_unknown_is_not_false_so_unknown_then_true_is_no_edge():
    text = NOTICE.replace("event: trade.closed, where: event.lots >= 5", "becomes: account.balance > 100")
    desk = Desk(a_workflow(text.replace("{lots: = event.lots}", "{}")))

    assert desk.account(balance="500") == []
    desk.account(balance="50")
    assert len(desk.account(balance="500")) == 1


def test_on_first_fires_on_the_first_known_answer():
    text = NOTICE.replace(
        "event: trade.closed, where: event.lots >= 5", "becomes: account.balance > 100, on_first: true"
    )
    desk = Desk(a_workflow(text.replace("{lots: = event.lots}", "{}")))

    assert len(desk.account(balance="500")) == 1


def test_unknown_in_between_hides_no_turn():
    text = NOTICE.replace("event: trade.closed, where: event.lots >= 5", "becomes: account.balance > 100")
    desk = Desk(a_workflow(text.replace("{lots: = event.lots}", "{}")))
    desk.account(balance="50")
    desk.account(balance=None)

    assert len(desk.account(balance="500")) == 1


def test_a_missing_value_in_a_step_fails_the_run_with_its_name():
    desk = Desk(
        a_workflow("""
when: [{event: trade.closed}]
steps: [{do: notify.email, with: {to: = client.email, subject: hello, text: "{{ account.login }}"}}]
""")
    )

    assert desk.tell("trade.closed") == []

    (failed,) = desk.traces("failed")
    assert "client.email is missing" in failed.reason
    assert list(desk.runs.values()) == ["failed"]


# Row 15: loops


ECHO = """
when: [{event: custom.ping}]
steps: [{do: event.publish, with: {type: custom.%s}}]
"""


def test_a_workflow_is_not_started_by_its_own_effect():
    desk = Desk(a_workflow(ECHO % "ping", id="echo"))
    desk.tell("custom.ping")
    (fact,) = desk.facts

    assert desk.take(desk.event_of(fact)) == []
    assert "own effect" in desk.traces("held_back")[0].reason


def test_a_chain_of_workflows_that_cause_each_other_ends():
    pong = ECHO.replace("custom.ping", "custom.pong") % "ping"
    desk = Desk(a_workflow(ECHO % "pong", id="a"), a_workflow(pong, id="b"))
    desk.tell("custom.ping")

    for _ in range(20):
        if len(desk.facts) < len(desk.inputs):
            break
        desk.take(desk.event_of(desk.facts[-1]))

    assert len(desk.facts) == 8
    assert "the limit is 8" in desk.traces("held_back")[-1].reason


def test_nobody_outside_can_pass_for_the_engine():
    desk = Desk(a_workflow(NOTICE))

    assert len(desk.tell("trade.closed", lots="5", source="engine/99999")) == 1


# Row 20: replayed history


@pytest.mark.parametrize(("on_replay", "count"), [("skip", 0), ("fire", 1)])
def test_replayed_history_counts_and_fires_only_where_it_may(on_replay, count):
    desk = Desk(a_workflow(BONUS.replace("min_lots}", f"min_lots, on_replay: {on_replay}}}"), id="bonus"))
    desk.account(type="real")

    assert len(desk.tell("trade.closed", lots="25", replayed=True)) == count
    assert len(desk.traces()) == count
    assert desk.tell("trade.closed", lots="1") == []


# Row 21: shadow and off


def test_shadow_decides_everything_and_sends_nothing():
    text = BONUS + "  - {do: event.publish, with: {type: custom.granted}}\n"
    desk = Desk(a_workflow(text, id="bonus", mode="shadow"))
    desk.account(type="real")

    intents = desk.tell("trade.closed", lots="25")

    assert [(intent.verb, intent.state) for intent in intents] == [
        ("credit.grant", State.SHADOW),
        ("event.publish", State.SHADOW),
    ]
    assert desk.facts == []
    assert list(desk.runs.values()) == ["done"]


def test_what_shadow_used_of_a_limit_is_not_missing_live():
    text = NOTICE + "limit: {max: 1, every: forever}"
    desk = Desk(a_workflow(text, mode="shadow"))
    desk.tell("trade.closed", lots="5")
    desk.switch(a_workflow(text))

    (intent,) = desk.tell("trade.closed", lots="5")

    assert intent.state is State.DELIVERED


def test_a_workflow_that_is_off_is_not_asked():
    assert Desk(a_workflow(NOTICE, mode="off")).tell("trade.closed", lots="5") == []


# Folding


def test_an_account_is_created_by_the_first_event_that_names_it(desk):
    fresh = Desk(a_workflow(NOTICE), login=42)

    fresh.tell("trade.opened", group="real/std")

    assert fresh.state.account == AccountRow(
        "live-1", 42, group="real/std", open_positions=1, open_lots=Decimal(1), last_trade_at=MORNING
    )


def test_an_account_is_what_its_events_made_of_it():
    desk = Desk(a_workflow(NOTICE))
    desk.tell("account.created", changed={"leverage": {"after": 100}, "country": {"after": "CY"}})
    desk.tell("balance.deposited", amount="1000", is_first=True)
    desk.tell("trade.opened", lots="2", commission="-7")
    desk.tell("trade.closed", lots="1", partial=True, net_profit="-30.5")
    desk.tell("trade.closed", lots="1", profit="10", swap="-1")
    desk.tell("credit.granted", amount="50")
    desk.tell("account.group_changed", before="a", after="b")
    desk.tell("account.disabled")

    account = desk.state.account
    assert account is not None
    assert (account.balance, account.credit, account.initial_balance) == (Decimal("971.5"), 50, 1000)
    assert (account.open_positions, account.open_lots) == (0, 0)
    assert (account.leverage, account.country, account.group, account.enabled) == (100, "CY", "b", False)


def test_money_that_comes_in_does_not_make_an_unknown_balance_known():
    desk = Desk(a_workflow(NOTICE))

    desk.tell("balance.deposited", amount="1000")

    assert desk.state.account is not None
    assert desk.state.account.balance is None


def test_a_replayed_event_does_not_bring_back_the_group_of_its_day():
    desk = Desk(a_workflow(NOTICE))
    desk.tell("trade.opened", group="now")

    desk.tell("trade.closed", group="then", replayed=True)

    assert desk.state.account is not None
    assert desk.state.account.group == "now"


def test_a_client_is_known_to_its_account_and_erased_on_request():
    desk = Desk(a_workflow(NOTICE))
    desk.tell(
        "client.updated",
        client="c-1",
        changed={"email": {"after": "a@b.c"}, "attributes.tier": {"after": "gold"}},
    )
    known = desk.state.client
    desk.tell("client.erased", client="c-1")

    assert known is not None
    assert (known.id, known.email, known.attributes) == (
        "c-1",
        "a@b.c",
        {"tier": "gold"},
    )
    assert desk.state.client is not None
    assert desk.state.client.email is None


# The index and the purity of deciding


def test_the_index_finds_just_those_an_event_concerns():
    grouped = [
        a_workflow(f'scope: account.group == "g{n}"' + NOTICE.replace(">= 5", "> 0"), id=f"w{n}")
        for n in range(20)
    ]
    desk = Desk(*grouped)

    intents = desk.tell("trade.closed", group="g7")

    assert [intent.workflow for intent in intents] == ["w7"]


def test_a_change_of_group_is_seen_by_those_it_leaves_and_those_it_reaches():
    text = 'scope: account.group == "%s"\nwhen: [{becomes: account.credit > 10}]\nsteps: [{do: event.publish, with: {type: custom.x}}]'
    desk = Desk(a_workflow(text % "a", id="in-a"), a_workflow(text % "b", id="in-b"))
    desk.account(group="a", credit="0")
    assert [intent.workflow for intent in desk.account(credit="20")] == ["in-a"]
    desk.account(group="b")
    assert desk.account(credit="5") == []

    assert [intent.workflow for intent in desk.account(credit="20")] == ["in-b"]
    desk.account(group="a", credit="0")
    assert [intent.key for intent in desk.account(credit="20")] == ["in-a/live-1:7001/becomes/2/0"]


def test_deciding_changes_nothing_until_it_is_applied(desk):
    item = desk.event("trade.closed", lots="25")

    first, second = decide(desk.program, desk.state, item), decide(desk.program, desk.state, item)

    assert first.intents == second.intents
    assert len(first.intents) == 1


def test_one_rule_that_breaks_does_not_stop_the_others(desk, monkeypatch):
    def broken(*_):
        raise ArithmeticError("boom")

    monkeypatch.setattr("hub.engine.run.parameters", broken)
    desk.switch(a_workflow(BONUS, id="bonus"), a_workflow(NOTICE, id="notice"))

    desk.tell("trade.closed", lots="25")

    assert [trace.reason for trace in desk.traces("failed")] == ["ArithmeticError: boom"] * 2
    assert desk.state.account is not None
    assert desk.state.account.open_lots == 0


def test_an_input_of_no_account_changes_nothing():
    state = KeyState(0, "")
    (decision,) = advance(
        Program([a_workflow(NOTICE)]), state, Desk()._input(InputKind.EVENT, "", b"{}")._replace(key="")
    )

    assert (decision.puts, decision.intents) == ({}, [])


BEYOND = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-10:00"]


@pytest.mark.parametrize("moment", BEYOND)
@pytest.mark.parametrize(
    "condition", ["time(event.when) < now", "time(event.when) > now", 'day_of(time(event.when), "UTC") == "x"',
                  "account.registered_at < now", "account.last_trade_at > now"],
)  # fmt: skip
def test_a_time_beyond_the_calendar_is_unknown_and_stops_no_other_rule(condition, moment):
    step = "steps: [{do: event.publish, with: {type: custom.told, data: {}}}]"
    asks = a_workflow(f"when: [{{event: custom.asked, where: '{condition}'}}]\n{step}")
    other = a_workflow(f"when: [{{event: custom.asked}}]\n{step}", id="other")
    desk = Desk(asks, other)
    desk.account(registered_at=moment, last_trade_at=moment)

    desk.tell("custom.asked", when=moment)

    assert [run.split("/")[0] for run in desk.runs] == ["other"]
