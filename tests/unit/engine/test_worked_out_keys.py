"""Workflows kept by an expression over what an event says and what its account was when it was decided."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from jsonschema import Draft202012Validator
from unit.engine.desk import a_workflow
from unit.engine.test_rows import City

from hub.engine.explain import explain
from hub.engine.index import Program
from hub.engine.keys import KeyKind, form_of, kind_of, partition_of, problem
from hub.engine.load_text import load_text
from hub.engine.message_files import NO_MESSAGES
from hub.engine.model import workflow_schema
from hub.engine.naming import Naming
from hub.engine.scene import holding_of
from hub.engine.starting import StartRefused, asked_for
from hub.engine.state import KeyState
from hub.engine.why import why
from hub.ids import partition_of_key
from hub.intents.intent import decided_by
from hub.testing.facts import an_event

BY_COMMENT = "lower(event.comment)"
BY_CLASS = """'event.symbol if event.symbol_class == "fx" else "other"'"""
TRADES = """
aggregates: {lots: {from: trade.closed, sum: event.lots, window: lifetime}}
when: [{becomes: lots > 2}]
steps: [{do: event.publish, with: {type: custom.much, data: {lots: = lots}}}]
"""
LOCK = """
when: [{event: trade.closed, where: event.lots >= 1}]
limit: {max: 1, every: forever}
steps:
  - {id: lock, do: account.disable_trading}
  - {do: event.publish, with: {type: custom.locked, data: {login: = account.login, ok: = steps.lock.ok}}}
"""
SAYS = "steps: [{do: event.publish, with: {type: custom.x}}]"


async def closes(town, login=7001, symbol="EURUSD", lots="1", **fields):
    town.told = getattr(town, "told", 0) + 1
    deal = {"deal": town.told, "position": town.told, "symbol": symbol, "side": "buy", "lots": lots}
    await town.happens("trade.closed", login, **deal | fields)


async def worth(town, key, name):
    partition = partition_of(key)
    program = town.loop.programs.of(partition).of(kind_of(key))
    state = KeyState.from_rows(partition, key, (await town.store.load([(partition, key)]))[key])
    feed = dict(program.plans["rule"].feeds)[name]
    return feed.accumulator.value(holding_of(state, feed), town.clock.now_us())


def kind_by(key, text=TRADES, **header):
    return a_workflow(text, key=key, **header).key


def loaded(key, text="when: [{event: trade.closed}]", head=""):
    file = f"schema: 1\nid: rule\ntitle: t\nkey: {key}\n{head}{text}\n{SAYS}\n"
    return load_text(file, "rule.yaml", NO_MESSAGES)


async def test_what_reads_alike_is_one_key_and_acts_on_the_account_of_the_event():
    kind = kind_by(BY_COMMENT)
    town = City()
    await town.open(a_workflow(LOCK, key=BY_COMMENT))

    await closes(town, comment="Copy-1")
    await closes(town, login=7002, comment="COPY-1")  # the limit is that of both
    await town.restart()
    await closes(town, login=7002, comment="copy-1")
    await closes(town, login=7002, comment="copy-2")

    locks = {decided_by(intent): intent for intent in town.intents("account.disable_trading")}
    assert {key: lock.account for key, lock in locks.items()} == {
        f"{kind}=copy-1": "live-1:7001",
        f"{kind}=copy-2": "live-1:7002",
    }
    assert all(lock.partition == partition_of_key(key) for key, lock in locks.items())
    await town.answers()
    said = [json.loads(intent.params)["data"] for intent in town.intents("event.publish")]
    assert sorted(each["login"] for each in said) == [7001, 7002]


async def test_aggregates_are_kept_for_each_value_over_restarts():
    kind = kind_by(BY_CLASS)
    town = City()
    await town.open(a_workflow(TRADES, key=BY_CLASS))

    await closes(town, symbol_class="fx")
    await closes(town, login=7002, symbol="XAUUSD", symbol_class="metals")
    await closes(town, login=7002, symbol="GER40")  # of no known class: nobody knows whether it is fx
    await town.restart()
    await closes(town, login=7003, symbol="BTCUSD", symbol_class="crypto", lots="1.5")
    await closes(town, login=7004, symbol="GBPUSD", symbol_class="fx", lots="2")

    assert town.runs() == [f"rule/{kind}=other/becomes/1"]
    assert await worth(town, f"{kind}=EURUSD", "lots") == 1
    assert await worth(town, f"{kind}=GBPUSD", "lots") == 2
    (said,) = town.intents("event.publish")
    assert json.loads(said.params)["data"] == {"lots": "2.5"}


async def test_the_account_is_what_it_was_when_its_event_was_decided():
    town = City()
    await town.open(a_workflow(TRADES, key="account.country"))

    await closes(town)  # of no country yet: nobody's
    await town.account(7001, country="CY")
    await town.account(7002, country="CY")
    await closes(town)
    await town.account(7001, country="DE")
    await closes(town)
    await closes(town, login=7002, lots="1.5")

    assert await worth(town, "account.country=DE", "lots") == 1
    assert town.runs() == ["rule/account.country=CY/becomes/1"]


async def test_what_a_client_was_says_whose_an_event_is_too():
    kind = kind_by("upper(client.country)")
    town = City()
    await town.open(a_workflow(TRADES, key="upper(client.country)"))

    await town.client("anna", 7001, 7002, country="de")
    await closes(town)
    await closes(town, login=7002, lots="2")
    await closes(town, login=7003, lots="9")  # of no client

    assert town.runs() == [f"rule/{kind}=DE/becomes/1"]


@pytest.mark.parametrize("comment", [None, ""])
async def test_an_event_without_an_answer_or_with_an_empty_one_is_nobodys(comment):
    town = City()
    await town.open(a_workflow(LOCK, key=BY_COMMENT))

    await closes(town, **{"comment": comment} if comment is not None else {})

    assert town.mailed() == []


@pytest.mark.parametrize("comment", ["x" * 2_000, "A\u2028B", "a/b=c%2f"])
async def test_whatever_text_a_platform_lets_in_is_one_sound_key(comment):
    kind = kind_by(BY_COMMENT)
    fields = {"type": "custom.note", "comment": comment}
    town = City()
    rule = a_workflow(
        "when: [{event: custom.note}]\nlimit: {max: 1, every: forever}\n" + SAYS, key=BY_COMMENT
    )
    await town.open(rule)

    for number in range(2):
        await town.happens("custom.note", 7001, comment=fields["comment"], dedupe_key=f"n{number}")

    (key,) = {mail.key for mail in town.mailed()}
    assert kind_of(key) == kind
    assert problem(key) is None
    assert len(key) < 100
    assert len(town.runs()) == 1


@pytest.mark.parametrize(("lots", "value"), [("1.50", "3"), ("0.10", "0.2"), ("500", "1000"), ("0.5", "1.0")])
async def test_equal_numbers_are_one_key(lots, value):
    kind = kind_by("event.lots * 2")
    town = City()
    await town.open(a_workflow("when: [{event: trade.closed}]\n" + SAYS, key="event.lots * 2"))

    await closes(town, lots=lots)

    ((run),) = town.runs()
    assert run.startswith(f"rule/{kind}={format(Decimal(value).normalize(), 'f')}/event/")


async def test_workflows_that_write_one_expression_in_two_ways_share_what_is_counted():
    one = a_workflow(TRADES, key="lower( event.comment )")
    other = a_workflow(TRADES, key=f"({BY_COMMENT})", id="other")
    program = Program([one, other]).of(one.key)

    assert one.key == other.key
    assert list(program.workflows) == ["rule", "other"]
    assert len(program.feeds) == 1


async def test_a_key_is_worked_out_once_for_an_event_and_not_at_all_for_one_nobody_hears(monkeypatch):
    asked = []
    worked_out = Naming.key
    monkeypatch.setattr(Naming, "key", lambda self, env: asked.append(self.text) or worked_out(self, env))
    town = City()
    await town.open(
        a_workflow(TRADES, key=BY_COMMENT),
        a_workflow(LOCK, key=BY_COMMENT, id="lock"),
        a_workflow("when: [{event: balance.deposited}]\n" + SAYS, key="lower(event.method)", id="money"),
    )

    await closes(town, comment="a")
    await town.opens(7001, 1, "1")
    await town.account(7001, country="CY")

    assert asked == [BY_COMMENT]
    assert len(town.mailed()) == 1


async def test_new_aggregates_by_such_a_key_count_what_was():
    kind = kind_by(BY_COMMENT)
    town = City()
    await town.open(a_workflow(TRADES, id="one"))
    for comment in ("a", "A", "b"):
        await closes(town, comment=comment)

    await town.open(a_workflow(TRADES, id="one"), a_workflow(TRADES, key=BY_COMMENT))
    await closes(town, login=7002, comment="a")

    assert await worth(town, f"{kind}=a", "lots") == 3
    assert await worth(town, f"{kind}=b", "lots") == 1


async def test_an_edit_of_the_expression_begins_anew_and_one_of_its_blanks_does_not():
    town = City()
    await town.open(a_workflow(LOCK, key=BY_COMMENT))
    await closes(town, comment="a")

    await town.open(a_workflow(LOCK, key="lower(  event.comment)"))
    await closes(town, comment="a")
    assert len(town.runs()) == 1

    await town.open(a_workflow(LOCK, key="upper(event.comment)"))
    await closes(town, comment="a")
    assert len(town.runs()) == 2


async def test_events_of_no_account_are_kept_by_what_they_say_and_by_nothing_of_an_account():
    kind = kind_by("upper(event.connector)", "when: [{event: connector.disconnected}]\n" + SAYS)
    town = City()
    rule = "when: [{event: connector.disconnected}]\n" + SAYS
    await town.open(
        a_workflow(rule, key="upper(event.connector)"),
        a_workflow(rule, key="account.login * 1", id="login"),
        a_workflow(rule, key="account.server", id="server"),
    )

    fact = an_event("connector.disconnected", None, connector="mt5-1", dedupe_key="d1")
    await town.log.append([fact])
    await town.settle()

    (run,) = town.runs()
    assert run.startswith(f"rule/{kind}=MT5-1/event/")


async def test_what_did_not_come_is_told_for_its_key():
    text = """
when: [{absent: {event: withdrawal.approved, after: withdrawal.requested, within: 2h}}]
steps: [{do: event.publish, with: {type: custom.forgotten}}]
"""
    kind = kind_by("lower(event.request)", text)
    town = City()
    await town.open(a_workflow(text, key="lower(event.request)"))
    money = {"amount": "5", "currency": "USD"}
    await town.happens("withdrawal.requested", 7001, request="R-1", **money)
    await town.happens("withdrawal.requested", 7001, request="R-2", **money)
    await town.happens("withdrawal.approved", 7001, request="r-1", **money)
    await town.clock.advance(timedelta(hours=3))
    await town.store.fire_timers(town.clock.now_us(), 10)
    await town.settle()

    assert town.runs() == [f"rule/{kind}=r-2/absent/1"]


async def test_why_answers_for_such_keys_and_says_how_to_ask():
    kind = kind_by(BY_COMMENT, LOCK)
    key = f"{kind}=a"
    town = City()
    await town.open(a_workflow(LOCK, key=BY_COMMENT))
    await closes(town, comment="A")
    program, now = town.loop.programs.of(partition_of(key)), town.clock.now_us()

    told = await why(town.store, program, "rule", key, now_us=now)
    other = await why(town.store, program, "rule", "live-1:7001", now_us=now)

    assert told.kept[0].verdict == "fired"
    assert other.lines() == [f"now : the workflow is kept by lower(event.comment): ask with {kind}=VALUE"]


def test_a_run_is_asked_for_with_such_a_key():
    rule = a_workflow("when: [{manual: {}}]\nsteps: [{stop: x}]", key="account.country")

    told = asked_for(rule, "account.country=CY", trigger=None, inputs={}, name="n", by="a")
    with pytest.raises(StartRefused) as refused:
        asked_for(rule, "live-1:7001", trigger=None, inputs={}, name="n", by="a")

    assert told.input.key == "account.country=CY"
    assert str(refused.value) == "key: rule is kept by account.country; write it as account.country=VALUE"


# What its kind is called


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("account.country", "account.country"),
        ("client.attributes.Tier", "client.attributes.Tier"),
        ("event.book.name", "event.book.name"),
        ("(account.country)", "account.country"),
        ("lower(event.comment)", "by.b90287d452"),
        (BY_CLASS, "by.59abb0b763"),
        ("""'"big" if event.lots > 3 else "small"'""", "by.82d6e591df"),
        ("""'"big" if (event.lots > 3.00) else ("small")'""", "by.82d6e591df"),
        ("account.attributes." + "x" * 60, "by.b07d4dd6c6"),
    ],
)
def test_what_is_kept_under_a_kind_is_found_under_it_for_ever(key, kind):
    found = kind_by(key, "when: [{event: custom.x}]\n" + SAYS)

    assert found == kind
    assert kind_of(f"{found}=1") == kind
    assert problem(f"{found}=1") is None
    assert form_of(found) == f"{kind}=VALUE"


@pytest.mark.parametrize(
    "key", ["by.b90287d45=1", "by.B90287D452=1", "accounts.x=1", "event.A.b=1", "account.=1", "account.9=1", "account.country="]
)  # fmt: skip
def test_what_only_looks_like_such_a_key_is_none(key):
    assert problem(key) is not None
    assert kind_of(key) is KeyKind.ACCOUNT or key.endswith("=")


def test_other_values_of_the_parameters_it_reads_make_other_keys():
    head = "params: {{big: {{type: number, default: {}}}, note: {{type: string, default: {}}}}}\n"
    text = "when: [{event: trade.closed, where: params.note == 'x'}]\n" + SAYS
    key = """'"big" if event.lots > params.big else "small"'"""
    three, as_three, four = (
        kind_by(key, head.format(*each) + text) for each in (("3", "x"), ("3.0", "y"), ("4", "x"))
    )

    assert three == as_three == "by.82d6e591df"
    assert four != three


# What is refused


@pytest.mark.parametrize(
    ("key", "complaint"),
    [
        ("account.equity * 1", "4:6: error: account.equity moves with every price and is not known here: a key is made of values that events tell, such as account.country"),
        ("lots * 2", "4:6: error: `lots` is known of each key, so no key is made of it: read event, account, client and params"),
        ('day_of(now, "UTC")', "4:13: error: `now` is not known here: the value would have to change without an event"),
        ("trigger.id", "4:6: error: `trigger` is not known here: only steps know what started them"),
        ("steps.a.b", "4:6: error: `steps` is not known here: only later steps know what came of earlier ones"),
        ("lower(symbol.name)", "4:12: error: `symbol` is not known here: workflows with `key: symbol` know it; an event's is `event.symbol`"),
        ("lower(account.contry)", "4:20: error: unknown field account.contry; did you mean account.country?"),
        ("event.lots > 10", '4:6: error: `key` needs a text or a number, and this is true or false: give each case a name, as in `"large" if event.lots > 10 else "small"`'),
        ("account.tags", "4:6: error: `key` needs a text or a number, and this is a list: an event has one key: name one value of it"),
        ("account.registered_at", '4:6: error: `key` needs a text or a number, and this is a time: take a part of it, as in `day_of(event.timestamp, "UTC")`'),
        ("'\"x\"'", "4:6: error: this `key` is the same for every event: write `key: all`"),
        ("upper(params.p)", "4:6: error: this `key` is the same for every event: write `key: all`"),
        ("lower(event.coment)", "6:27: error: `key: lower(event.coment)` cannot be worked out of `trade.closed`: unknown field event.coment; did you mean event.comment?"),
        ("event.closed_at - event.opened_at", '6:27: error: `key: event.closed_at - event.opened_at` needs a text or a number, and of `trade.closed` it is a duration: say which are alike, as in `"long" if event.closed_at - event.opened_at > hours(1) else "short"`'),
        ("lower(event.comment", "4:11: error: `(` is never closed"),
        ("account.login", "4:6: error: `key` is one of account, client, group, symbol, position, all, a field of events such as event.request, or an expression such as lower(event.comment): write `key: account` for account.login"),
    ],
)  # fmt: skip
def test_what_cannot_name_a_key_is_refused_where_it_stands(key, complaint):
    head = "params: {p: {type: string, default: x}}\n"
    text = "aggregates: {lots: {from: trade.closed, count: true, window: lifetime}}\nwhen: [{becomes: lots > 2 and params.p == 'x'}]"

    report = loaded(key, text, head)

    assert report.workflow is None
    assert f"rule.yaml:{complaint}" in [str(each) for each in report.problems]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("when: [{event: trade.cancelled}]", "`key: lower(event.comment)` cannot be worked out of `trade.cancelled`: unknown field event.comment; known are event.deal, event.position, event.lots, event.net_profit, event.id, event.type, event.timestamp"),
        ("when: [{crosses: {value: account.equity, below: 5}}]", "`crosses` watches one account, position or symbol, and `key: lower(event.comment)` names none: use `key: account`, `key: position` or `key: symbol`"),
        ("aggregates: {n: {from: positions, count: true}}\nwhen: [{becomes: n > 1}]", "`key: lower(event.comment)` names no positions: `from: positions` is for account, client, group, symbol and all"),
        ("when: [{schedule: {cron: '0 9 * * *', tz: UTC}}]", "`key: lower(event.comment)` names what comes and goes, and a schedule has no end: use one of account, client, group, symbol, all"),
        ("when: [{becomes: account.balance > 5}]", "`account` is not known here: with `key: lower(event.comment)` there is one only while an event is looked at, as in `where`"),
    ],
)  # fmt: skip
def test_what_such_a_key_does_not_know_is_refused_in_the_words_of_the_file(text, complaint):
    assert complaint in [each.message for each in loaded(BY_COMMENT, text).problems]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("aggregates: {n: {from: trade.closed, count: true, window: lifetime}}\nwhen: [{becomes: n > 1}]\nsteps: [{do: balance.deposit, with: {amount: 5}}]",
         "balance.deposit acts on an account, and with `key: lower(event.comment)` only an event names one"),
        ("grant: {id: g, action: credit.grant, amount: 5, while: n > 1, book: {at: once_true}, take_back: {mode: none}}\naggregates: {n: {from: trade.closed, count: true, window: lifetime}}",
         "a grant is paid to an account, and `key: lower(event.comment)` names none: use `key: account`"),
    ],
)  # fmt: skip
def test_money_needs_an_account_to_go_to(text, complaint):
    report = load_text(f"schema: 1\nid: rule\ntitle: t\nkey: {BY_COMMENT}\n{text}\n", "rule.yaml")

    assert any(each.message.startswith(complaint) for each in report.problems)


@pytest.mark.parametrize(
    ("key", "complaint"),
    [
        ('"in" if event.side == "by" else "out"', "4:29: warning: `event.side` is one of buy, sell, and never `by`; did you mean buy?"),
        ('"big" if event.profit > params.big else "small"', "4:6: error: money in USD meets money in each account's own currency, as if the two were one: add `account.currency == \"USD\"` to `scope`, or to `where`"),
    ],
)  # fmt: skip
def test_what_an_event_has_is_looked_at_as_in_any_condition_and_said_once(key, complaint):
    head = "params: {big: {type: money, default: 3, currency: USD}}\n"
    twice = "when: [{id: a, event: trade.closed}, {id: b, event: trade.closed, where: params.big > 1}]"

    found = [str(each) for each in loaded(f"'{key}'", twice, head).problems]

    assert found == [f"rule.yaml:{complaint}"]


def test_an_event_of_no_account_is_said_to_come_to_nothing_where_only_accounts_are_read():
    text = "when: [{event: connector.stale}]"

    assert "belongs to no account" in str(loaded("account.country", text).problems[0])
    assert loaded("lower(event.connector)", text).problems == ()


def test_it_is_explained_with_the_form_its_keys_have():
    head = "params: {big: {type: number, default: 3}}\nlimit: {max: 1, every: 1d}\n"
    text = explain(a_workflow(head + "when: [{event: trade.closed}]\n" + SAYS, key="'\"big\" if event.lots > params.big else \"small\"'")).text()  # fmt: skip

    assert (
        "For every value of (big if the event's volume in lots is greater than 3 (params.big), otherwise small), asked for as by.82d6e591df=VALUE."
        in text
    )
    assert "At most once in 1 day for each of these values" in text


def test_the_schema_takes_expressions_and_no_misspelt_kind():
    takes = Draft202012Validator(workflow_schema()["properties"]["key"]).is_valid

    assert takes(BY_COMMENT)
    assert takes("account.country")
    assert takes("event.request")
    assert not takes("acount")
