"""Workflows kept by a field of events and by position, and what happens that belongs to no account."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from unit.engine.desk import a_workflow
from unit.engine.test_mail import Town
from unit.engine.test_rows import TRADE, City

from hub.bus.log import InputKind
from hub.engine.explain import explain
from hub.engine.index import Program
from hub.engine.keys import KeyKind, Whose, key_for, kind_of, partition_of, problem
from hub.engine.load import load_text
from hub.engine.mail import decode_mail
from hub.engine.model import workflow_schema
from hub.engine.why import why
from hub.events.records import CustomRecord
from hub.ids import partition_of_key
from hub.intents.intent import decided_by
from hub.testing import an_account
from hub.testing.facts import an_event

REQUESTS = """
when: [{event: withdrawal.requested, where: event.amount > 100}]
limit: {max: 1, every: forever}
steps:
  - id: answer
    wait: {event: withdrawal.approved, timeout: 1d}
  - if: not steps.answer.timed_out
    then: [{id: lock, do: account.disable_trading}]
  - {do: event.publish, with: {type: custom.answered, data: {request: = event.request, login: = account.login, late: = steps.answer.timed_out}}}
"""
FORGOTTEN = """
when: [{absent: {event: withdrawal.approved, after: withdrawal.requested, within: 2h}}]
steps: [{do: event.publish, with: {type: custom.forgotten}}]
"""
TRAIL = """
when:
  - event: custom.position_moved
    where: >-
      event.profit >= 50 and
      (not has(position.sl) or (position.sl < position.open_price if position.side == "buy" else position.sl > position.open_price))
limit: {max: 1, every: forever}
steps: [{id: move, do: position.modify, with: {position: = position.id, sl: = position.open_price}}]
"""


async def requests(town, name, request, login=7001, amount="500", **fields):
    await town.happens(name, login, request=request, amount=amount, currency="USD", **fields)


async def test_each_request_has_its_own_run_wherever_its_events_come_from():
    town = City()
    await town.open(a_workflow(REQUESTS, key="event.request"))
    await requests(town, "withdrawal.requested", "r-1")
    await requests(town, "withdrawal.requested", "r-2", login=7002)
    await requests(town, "withdrawal.requested", "r-3", amount="50")
    assert town.runs() == [
        f"rule/event.request=r-{n}/event/{run.rpartition('/')[2]}"
        for n, run in zip((1, 2), town.runs(), strict=True)
    ]
    await town.restart()
    await requests(town, "withdrawal.approved", "r-2", login=7002)

    (lock,) = town.intents("account.disable_trading")
    assert lock.account == "live-1:7002"
    assert decided_by(lock) == "event.request=r-2"
    assert lock.partition == partition_of_key("event.request=r-2")
    await town.answers()
    (said,) = town.intents("event.publish")
    assert json.loads(said.params)["data"] == {"request": "r-2", "login": 7002, "late": False}


async def test_what_did_not_come_for_a_request_is_told_for_that_request():
    town = City()
    await town.open(a_workflow(FORGOTTEN, key="event.request"))
    await requests(town, "withdrawal.requested", "r-1")
    await requests(town, "withdrawal.requested", "r-2")
    await requests(town, "withdrawal.approved", "r-1")
    await town.clock.advance(timedelta(hours=3))
    await town.store.fire_timers(town.clock.now_us(), 10)
    await town.settle()
    assert town.runs() == ["rule/event.request=r-2/absent/1"]


async def test_an_event_of_the_same_client_ends_a_wait_that_no_trigger_names():
    text = "when: [{event: balance.deposited}]\nsteps: [{id: w, wait: {event: trade.opened, timeout: 1d}}, {do: event.publish, with: {type: custom.traded}}]"
    town = City()
    await town.open(a_workflow(text, key="client"))
    await town.client("anna", 7001, 7002)
    await town.happens("balance.deposited", 7001, ticket=1, amount="10")
    await town.opens(7002, 1, "1")
    assert len(town.intents("event.publish")) == 1


async def test_a_run_by_a_key_that_no_workflow_has_any_more_comes_to_its_end():
    town = City()
    await town.open(a_workflow(REQUESTS, key="event.request"))
    await requests(town, "withdrawal.requested", "r-1")
    await town.open(a_workflow(FORGOTTEN, id="other"))
    await town.restart()
    await town.clock.advance(timedelta(days=2))
    await town.store.fire_timers(town.clock.now_us(), 10)
    await town.settle()
    assert len(town.intents("event.publish")) == 1


def test_asking_after_fields_that_nothing_is_kept_by_leaves_nothing_behind():
    program = Program([a_workflow(REQUESTS, key="event.request")])
    kinds = program.kinds
    assert program.of("event.nothing").plans == {}
    assert program.kinds == kinds
    assert program.keep("event.nothing") is program.of("event.nothing")


async def test_why_answers_for_such_keys_and_says_how_to_ask():
    town = City()
    await town.open(a_workflow(REQUESTS, key="event.request"))
    await requests(town, "withdrawal.requested", "r-1")
    key = "event.request=r-1"
    program = town.loop.programs.of(partition_of(key))
    now = town.clock.now_us()
    told = await why(town.store, program, "rule", key, now_us=now)
    other = await why(town.store, program, "rule", "live-1:7001", now_us=now)
    assert told.kept[0].verdict == "fired"
    assert other.lines() == ["now : the workflow is kept by event.request: ask with event.request=VALUE"]


async def test_what_belongs_to_no_account_starts_workflows_that_are_kept_for_all():
    text = """
when: [{event: connector.disconnected, where: 'event.connector == "mt5-1"'}]
steps: [{do: notify.page, with: {team: ops, text: "{{ event.connector }} is gone"}}]
"""
    each = "aggregates: {n: {from: connector.disconnected, count: true, window: {sliding: 1h}}}\nwhen: [{becomes: n >= 2}]\nsteps: [{do: event.publish, with: {type: custom.flapping}}]"
    town = Town()
    await town.open(a_workflow(text, key="all"), a_workflow(each, id="flaps", key="event.connector"))
    for number, name in enumerate(("mt5-1", "mt4-1", "mt5-1")):
        fact = an_event("connector.disconnected", None, connector=name, dedupe_key=f"d{number}")
        assert fact.account == ""
        await town.log.append([fact])
        await town.settle()
        await town.restart()
    assert len(town.intents("notify.page")) == 2
    assert {intent.account for intent in town.store.intents.values()} == {""}
    assert [run for run in town.runs() if run.startswith("flaps")] == [
        "flaps/event.connector=mt5-1/becomes/1"
    ]


async def test_an_event_of_no_account_that_nobody_is_kept_by_is_no_mail():
    town = Town()
    await town.open(a_workflow(REQUESTS, key="event.request"))
    await town.log.append([an_event("connector.disconnected", None, connector="mt5-1", dedupe_key="d")])
    await town.settle()
    assert town.mailed() == []


async def test_one_that_cannot_be_read_stops_nobody():
    town = City()
    await town.open(a_workflow(REQUESTS, key="event.request"))
    fact = an_event("connector.disconnected", None, connector="mt5-1", dedupe_key="d")
    await town.log.append([fact])
    row = town.log._ranked[-1]
    town.log._ranked[-1] = row._replace(body=b"{")
    await town.settle()
    await requests(town, "withdrawal.requested", "r-1")
    assert len(town.runs()) == 1
    assert town.loop.counters.quarantined == 1


# By position


async def moved(town, position, profit, login=7001):
    town.told = getattr(town, "told", 0) + 1
    await town.happens(
        "custom.position_moved", login, position=position, profit=profit, dedupe_key=f"m{town.told}"
    )


async def test_a_position_whose_stop_is_worse_than_its_opening_gets_it_there_once():
    town = City()
    await town.open(a_workflow(TRAIL, key="position"))
    await town.happens("trade.opened", 7001, **TRADE, position=1, deal=1, lots="1")
    await town.happens(
        "trade.opened", 7002, **TRADE | {"side": "sell", "sl": "1.2"}, position=2, deal=2, lots="1"
    )
    await town.happens("trade.opened", 7001, **TRADE | {"sl": "1.15"}, position=3, deal=3, lots="1")
    await town.happens("trade.opened", 7001, **TRADE | {"sl": "0"}, position=4, deal=4, lots="1")
    for number in (1, 2, 3, 4):
        await moved(town, number, 49, 7002 if number == 2 else 7001)
    assert town.runs() == []
    await town.restart()
    for number in (1, 2, 3, 4, 1):
        await moved(town, number, 60, 7002 if number == 2 else 7001)
    done = {intent.account: json.loads(intent.params) for intent in town.intents("position.modify")}
    assert [json.loads(intent.params)["position"] for intent in town.intents("position.modify")] == [1, 2, 4]
    assert done["live-1:7002"] == {"position": 2, "sl": "1.1"}
    assert all(run.startswith("rule/position=live-1:") for run in town.runs())


async def test_a_position_that_is_over_is_known_at_its_close_and_not_after_it():
    text = """
when: [{event: trade.closed, where: not event.partial and position.lots >= 1}, ]
steps:
  - {do: event.publish, with: {type: custom.closed, data: {at: = position.open_price, lots: = position.lots}}}
"""
    town = City()
    await town.open(a_workflow(text, key="position"))
    await town.happens("trade.opened", 7001, **TRADE, position=1, deal=1, lots="2")
    await town.happens("trade.closed", 7001, symbol="EURUSD", side="buy", position=1, deal=2, lots="2")
    (said,) = town.intents("event.publish")
    assert json.loads(said.params)["data"] == {"at": "1.1", "lots": "2"}
    rows = (await town.store.load([(partition_of("position=live-1:1"), "position=live-1:1")]))[
        "position=live-1:1"
    ]
    assert [kind for kind, _, _ in rows.states if kind == 20] == []


async def test_a_condition_over_a_position_turns_with_it():
    text = "when: [{becomes: position.lots < 1 and has(position.tp)}]\nsteps: [{do: event.publish, with: {type: custom.small, data: {lots: = position.lots}}}]"
    town = City()
    await town.open(a_workflow(text, key="position"))
    await town.happens("trade.opened", 7001, **TRADE, position=1, deal=1, lots="2", tp="1.3")
    await town.happens("position.modified", 7001, position=1, symbol="EURUSD", tp="1.4", dedupe_key="x")
    assert town.runs() == []
    await town.happens(
        "trade.closed",
        7001,
        symbol="EURUSD",
        side="buy",
        position=1,
        deal=2,
        lots="1.5",
        partial=True,
        remaining_lots="0.5",
    )
    assert town.runs() == ["rule/position=live-1:1/becomes/1"]


# What a key is


@pytest.mark.parametrize(
    ("key", "kind", "sound"),
    [
        ("event.request=r-1", "event.request", True),
        ("event.request=a=b:c", "event.request", True),
        ("event.request=", "event.request", False),
        ("event.Request=1", KeyKind.ACCOUNT, False),
        ("position=live-1:77", KeyKind.POSITION, True),
        ("position=live-1:x", KeyKind.POSITION, False),
        ("position=77", KeyKind.POSITION, False),
    ],
)
def test_a_key_says_what_it_names(key, kind, sound):
    assert kind_of(key) == kind
    assert (problem(key) is None) is sound
    assert 0 <= partition_of(key) < 64


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("r-1", "event.x=r-1"),
        (7, "event.x=7"),
        (Decimal("7.00"), "event.x=7"),
        (Decimal("-0.0"), "event.x=0"),
        (Decimal("1E+3"), "event.x=1000"),
        (Decimal("1E+999999"), "event.x=1E+999999"),
        ("", None),
        (True, None),
        (None, None),
        (["r"], None),
    ],
)
def test_equal_values_name_one_key(value, key):
    assert key_for("event.x", Whose("s", None, None, None, None, CustomRecord({"x": value}))) == key


@pytest.mark.parametrize("value", ["a\x00b", "x" * 129, "\u2028"])
def test_a_value_that_is_long_or_cannot_be_shown_is_named_by_its_hash(value):
    key = key_for("event.x", Whose("s", None, None, None, None, CustomRecord({"x": value})))
    assert key is not None
    assert key.startswith("event.x=sha256:")
    assert len(key) < 90


@pytest.mark.parametrize(
    ("key", "text", "complaint"),
    [
        ("event.request", "when: [{event: trade.closed}]",
         "`trade.closed` names no request, so nothing kept by request hears of it"),
        ("event.partial", "when: [{event: trade.closed}]",
         "`key: event.partial` needs a text or a number, and in `trade.closed` it is true or false"),
        ("position", "when: [{event: balance.deposited}]",
         "`balance.deposited` names no position, so nothing kept by position hears of it"),
        ("event.request", "when: [{crosses: {value: account.equity, below: 5}}]",
         "`crosses` watches one account, position or symbol, and `key: event.request` names none: use `key: account`, `key: position` or `key: symbol`"),
    ("position", "when: [{crosses: {value: account.equity, below: 5}}]",
     "`crosses` watches one of position.profit, position.price, not `account.equity`; that is known with `key: account`"),
    ("account", "when: [{crosses: {value: position.profit, below: 5}}]",
     "`crosses` watches one of account.equity, account.floating, account.free_margin, account.margin_level, not `position.profit`; that is known with `key: position`"),
    ("position", "when: [{crosses: {value: position.proffit, below: 5}}]",
     "`crosses` watches one of position.profit, position.price, not `position.proffit`; did you mean position.profit?"),
    ("symbol", "when: [{crosses: {value: symbol.spred, above: 5}}]",
     "`crosses` watches one of symbol.bid, symbol.ask, symbol.spread, not `symbol.spred`; did you mean symbol.spread?"),
    ("symbol", "when: [{crosses: {value: symbol.digits, above: 5}}]",
     "`crosses` watches one of symbol.bid, symbol.ask, symbol.spread, not `symbol.digits`; for anything else use `becomes`"),
    ("account", "when: [{crosses: {value: symbol.spread, above: 5}}]",
     "`crosses` watches one of account.equity, account.floating, account.free_margin, account.margin_level, not `symbol.spread`; that is known with `key: symbol`"),
    ("position", "when: [{crosses: {value: position.price, above: position.profit}}]",
     "position.profit moves with every price and is not known here: a limit is made of values that events tell, such as account.balance"),
        ("account", "when: [{event: trade.closed, where: position.lots > 1}]",
         "`position` is not known here: aggregates `from: positions` and workflows with `key: position` know it"),
        ("event.request", "aggregates: {n: {from: positions, count: true}}\nwhen: [{becomes: n > 1}]",
         "`key: event.request` names no positions: `from: positions` is for account, client, group, symbol and all"),
    ],
)  # fmt: skip
def test_what_such_a_key_cannot_know_is_refused_while_loading(key, text, complaint):
    steps = "steps: [{do: event.publish, with: {type: custom.x}}]"
    report = load_text(f"schema: 1\nid: rule\ntitle: t\nkey: {key}\n{text}\n{steps}\n", "rule.yaml")
    assert complaint in [each.message for each in report.problems]


def test_an_action_cannot_be_done_to_an_account_where_an_event_of_none_starts_it():
    text = "schema: 1\nid: r\ntitle: t\nkey: all\nwhen: [{event: connector.stale}]\nsteps: [{do: account.disable}]\n"
    assert "only an event names one" in load_text(text, "r.yaml").problems[0].message


def test_such_keys_are_explained_and_in_the_schema():
    text = explain(a_workflow(REQUESTS, key="event.request")).text()
    assert "For every request." in text
    assert "At most once ever for each request" in text
    assert "For every position." in explain(a_workflow(TRAIL, key="position")).text()
    assert workflow_schema()["properties"]["key"]["anyOf"][1]["pattern"].startswith("^event")


def test_mail_of_before_is_read_as_it_was():
    old = b'{"event":{"id":"e"},"account":{"server":"live-1","login":7001}}'
    mail = decode_mail(old)
    assert (mail.parts, mail.position, mail.is_over) == ({}, None, False)
    assert InputKind.MAIL == 4
    assert an_account().login


# A symbol, a group


WIDER = """
when: [{event: trade.opened, where: 'symbol.class == "fx" and symbol.digits >= 5 and event.lots * symbol.contract_size > 100000'}]
steps: [{do: event.publish, with: {type: custom.large, data: {symbol: = symbol.name, size: = event.lots * symbol.contract_size}}}]
"""


async def test_a_symbol_is_what_its_trades_and_its_own_events_told_of_it():
    town = City()
    await town.open(a_workflow(WIDER, key="symbol"))
    await town.opens(7001, 1, "9")
    assert town.runs() == []
    changed = {
        name: {"after": value} for name, value in {"digits": "5", "contract_size": "100000", "x": 1}.items()
    }
    await town.log.append(
        [an_event("symbol.updated", None, name="EURUSD", changed=changed, source="live-1", dedupe_key="s")]
    )
    await town.settle()
    await town.restart()
    await town.opens(7002, 2, "1")
    await town.opens(7002, 3, "1.5", symbol="GBPUSD")
    assert town.runs() == []
    await town.opens(7001, 4, "1.5")
    (said,) = town.intents("event.publish")
    assert json.loads(said.params)["data"] == {"symbol": "EURUSD", "size": "150000.0"}


async def test_a_group_is_what_was_told_of_it_and_of_its_accounts():
    text = "when: [{becomes: group.stop_out > 50}]\nsteps: [{do: event.publish, with: {type: custom.strict, data: {group: = group.name, currency: = group.currency}}}]"
    town = City()
    await town.open(
        a_workflow(
            text + "\naggregates: {n: {from: trade.opened, count: true, window: lifetime}}", key="group"
        )
    )
    await town.account(7001, group="real", currency="EUR")
    await town.opens(7001, 1, "1")
    for number, level in enumerate((30, 60)):
        changed = {"stop_out": {"after": level}}
        await town.log.append(
            [
                an_event(
                    "group.updated",
                    None,
                    name="real",
                    changed=changed,
                    source="live-1",
                    dedupe_key=f"g{number}",
                )
            ]
        )
        await town.settle()
    (said,) = town.intents("event.publish")
    assert json.loads(said.params)["data"] == {"group": "real", "currency": "EUR"}


@pytest.mark.parametrize(
    ("key", "where", "complaint"),
    [
        ("account", "symbol.digits > 2", "`symbol` is not known here: workflows with `key: symbol` know it; an event's is `event.symbol`"),
        ("account", "group.stop_out > 2", "`group` is not known here: workflows with `key: group` know it; an account's is `account.group`"),
        ("symbol", "symbol.spread > 2", "symbol.spread moves with every price and is not known here: use a `crosses` trigger, which fires when it passes a limit"),
        ("symbol", "symbol.klass == 2", "unknown field symbol.klass; did you mean symbol.class?"),
    ],
)  # fmt: skip
def test_who_does_not_know_a_symbol_or_a_group_is_told_where_it_is(key, where, complaint):
    text = f"schema: 1\nid: r\ntitle: t\nkey: {key}\nwhen: [{{event: trade.opened, where: {where}}}]\nsteps: [{{do: event.publish, with: {{type: custom.x}}}}]\n"
    assert complaint in [each.message for each in load_text(text, "r.yaml").problems]


async def test_what_has_to_be_worked_out_is_published_and_is_a_key_then():
    tell = """
when: [{event: trade.closed}]
steps:
  - do: event.publish
    with: {type: custom.booked, data: {book: '= "majors" if event.symbol == "EURUSD" else "others"'}}
"""
    large = """
aggregates:
  trades: {from: custom.booked, count: true, window: {calendar: day, tz: Europe/Nicosia}}
when: [{becomes: trades > 1}]
limit: {max: 1, every: forever}
steps: [{do: event.publish, with: {type: custom.large, data: {trades: = trades}}}]
"""
    town = City()
    await town.open(a_workflow(tell, id="tell"), a_workflow(large, id="large", key="event.book"))
    for deal, (login, symbol) in enumerate([(7001, "EURUSD"), (7002, "EURUSD"), (7003, "XAUUSD")], start=1):
        await town.happens("trade.closed", login, deal=deal, symbol=symbol, side="buy", lots="1.5")

    runs = [intent.run for intent in town.store.intents.values() if intent.workflow == "large"]
    assert runs == ["large/event.book=majors/becomes/1"]


HERE = "moves with every price and is not known here: "


@pytest.mark.parametrize("field", ["bid", "ask", "spread"])
@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("when: [{{becomes: symbol.{field} > 3}}]\nsteps: [{{do: event.publish, with: {{type: custom.b}}}}]",
         HERE + "use a `crosses` trigger, which fires when it passes a limit"),
        ("when: [{{event: trade.closed}}]\nsteps: [{{do: event.publish, with: {{type: custom.b, data: {{x: = symbol.{field}}}}}}}]",
         HERE + "use a `crosses` trigger, which brings trigger.value"),
        ("when: [{{crosses: {{value: symbol.ask, above: 1, for: 1m}}}}]\nsteps: [{{do: event.publish, with: {{type: custom.b, data: {{x: = symbol.{field}}}}}}}]",
         HERE + "use trigger.value"),
        ("when: [{{crosses: {{value: symbol.ask, above: symbol.{field}}}}}]\nsteps: [{{do: event.publish, with: {{type: custom.b}}}}]",
         HERE + "a limit is made of values that events tell"),
        ("when: [{{crosses: {{value: symbol.ask, above: 1}}}}]\nsteps: [{{do: symbol.update, with: {{name: = symbol.name, settings: {{trade_mode: x}}}}, guard: symbol.{field} < 3}}]",
         "is not looked up afresh: a `crosses` trigger brings it, and an `if` of its steps can read it"),
    ],
)  # fmt: skip
def test_what_a_symbol_costs_is_read_where_a_crossing_brings_it_and_nowhere_else(field, text, instead):
    report = load_text(f"schema: 1\nid: w\ntitle: t\nkey: symbol\n{text.format(field=field)}\n", "w.yaml")

    assert any(f"symbol.{field} {instead}" in each.message for each in report.problems)
