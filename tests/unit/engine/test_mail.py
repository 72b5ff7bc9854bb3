"""Workflows by client, group, symbol or everything: told by the accounts, kept apart from them and from each other."""

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.engine.desk import MORNING, a_workflow
from unit.engine.test_loop import Engine

from hub.bus.log import InputKind, NewInput
from hub.engine.keys import KeyKind, kind_of, partition_of, problem
from hub.engine.load_text import load_text
from hub.engine.why import why
from hub.events.account import ClientChanged
from hub.events.base import AccountRef
from hub.events.catalogue import BY_NAME
from hub.events.facts import make_fact
from hub.intents.intent import State, decided_by
from hub.intents.outcome import Outcome, encode_outcome
from hub.testing import a_trade_closed, a_trade_opened, an_account

LOTS = """
aggregates:
  lots: {from: trade.closed, sum: event.lots, window: lifetime, retract: {event: trade.cancelled, ref: event.deal}}
when: [{becomes: lots > 20}]
steps: [{do: event.publish, with: {type: custom.much, data: {lots: = lots}}}]
"""
COUNTED = LOTS.replace(", retract: {event: trade.cancelled, ref: event.deal}", "")
HELLO = """
when: [{event: trade.closed, where: 'account.group == "real" and event.lots >= 1'}]
limit: {max: 1, every: 30d}
steps: [{do: notify.email, with: {text: "Dear {{ client.first_name }}, {{ event.lots }} lots", to: = client.email, subject: hello}}]
"""
LOCK = """
when: [{event: trade.closed, where: event.lots > 5}]
steps:
  - {id: lock, do: account.disable_trading}
  - {do: event.publish, with: {type: custom.locked, data: {ok: = steps.lock.ok, login: = account.login}}}
"""


PUBLISHES = "steps: [{do: event.publish, with: {type: custom.x}}]"


class Town(Engine):
    """Accounts of several clients, and the workflows that watch over more than one account."""

    async def open(self, *workflows):
        await self.loop.activate(workflows)
        await self.settle()

    async def client(self, name, *logins, **fields):
        changed = {each: {"after": value} for each, value in fields.items()}
        for login in logins:
            fact = make_fact(
                BY_NAME["client.updated"],
                "client.updated",
                ClientChanged(client=name, changed=changed),
                timestamp=self.clock.now(),
                received_us=self.clock.now_us(),
                source="crm",
                account=AccountRef(server="live-1", login=login),
                dedupe_key=f"{name}:{login}:{fields}",
            )
            await self.log.append([fact])
        await self.settle()

    async def closes(self, login, lots, **fields):
        account = an_account(login=login, group=fields.pop("group", "real"))
        await self.log.append([a_trade_closed(account, lots=lots, **fields)])
        await self.settle()

    async def answers(self, state="applied"):
        """Tell what became of every manager action that waits."""
        for intent in list(self.store.intents.values()):
            if intent.state is State.READY and intent.verb.startswith("account."):
                self.store.intents[intent.key] = intent._replace(state=State.APPLIED)
                body = encode_outcome(Outcome(intent=intent.key, verb=intent.verb, state=state))
                told = NewInput(intent.partition, InputKind.OUTCOME, decided_by(intent), intent.key, body)
                await self.log.append((), inputs=[told])
        await self.settle()

    def mailed(self):
        return [row for row in self.log.ranked(0, 10_000) if row.kind == InputKind.MAIL]

    def intents(self, verb):
        return [intent for intent in self.store.intents.values() if intent.verb == verb]

    def runs(self):
        return sorted(self.store.runs)


async def test_what_two_accounts_of_a_client_trade_adds_up_and_another_clients_does_not():
    town = Town()
    await town.open(a_workflow(LOTS, key="client"))
    await town.client("anna", 7001, 7002)
    await town.client("ben", 7003)

    await town.closes(7001, "12")
    await town.closes(7003, "12")
    assert town.runs() == []
    await town.closes(7002, "9")

    assert town.runs() == ["rule/client=anna/becomes/1"]
    (said,) = town.intents("event.publish")
    assert b"21" in said.params
    assert (said.account, said.partition) == ("live-1:7002", partition_of("client=anna"))


async def test_an_account_of_nobody_known_is_no_clients():
    town = Town()
    await town.open(a_workflow(LOTS, key="client"))

    await town.closes(7001, "30")

    assert town.mailed() == []


async def test_what_is_taken_back_from_an_account_is_taken_back_from_its_client():
    town = Town()
    await town.open(a_workflow(LOTS, key="client"))
    await town.client("anna", 7001, 7002)
    await town.closes(7001, "12", deal=501)

    fact = make_fact(
        BY_NAME["trade.cancelled"],
        "trade.cancelled",
        BY_NAME["trade.cancelled"].model.model_validate({"deal": 501}),
        timestamp=town.clock.now(),
        received_us=town.clock.now_us(),
        source="test",
        account=AccountRef(server="live-1", login=7001),
        dedupe_key="cancelled-501",
    )  # fmt: skip
    await town.log.append([fact])
    await town.settle()
    await town.closes(7002, "12")

    assert town.runs() == []


async def test_one_mail_a_client_whichever_account_it_comes_from():
    town = Town()
    await town.open(a_workflow(HELLO, key="client"))
    await town.client("anna", 7001, 7002, email="anna@example.com", first_name="Anna")

    await town.closes(7001, "0.5")
    await town.closes(7001, "2", group="demo")
    assert town.intents("notify.email") == []
    await town.closes(7002, "2")
    await town.closes(7001, "3")

    (mail,) = town.intents("notify.email")
    assert b"anna@example.com" in mail.params
    assert mail.account == "live-1:7002"
    held = town.traces("held_back")
    assert len(held) == 1
    assert held[0].reason.startswith("limit: 1 run(s) within 30d")


REAL_ONES = """
scope: account.group == "real" and client.consent_marketing
aggregates:
  lots: {from: trade.closed, where: event.lots >= 1, sum: event.lots, window: lifetime}
"""
SAYS = "steps: [{do: event.publish, with: {type: custom.much, data: {lots: = lots}}}]"


@pytest.mark.parametrize(
    ("when", "fires"),
    [
        ("becomes: lots > 20", ["rule/client=anna/becomes/1"]),
        # There the account is at hand: trades of others count no more than by `becomes`.
        ("event: trade.closed, where: lots > 20", ["rule/client=anna/event/"]),
    ],
)
async def test_what_the_scope_of_a_client_says_of_accounts_is_asked_of_each_event(when, fires):
    town = Town()
    await town.open(a_workflow(f"{REAL_ONES}\nwhen: [{{{when}}}]\n{SAYS}", key="client"))
    await town.client("anna", 7001, 7002, consent_marketing=True)
    await town.client("ben", 7003, consent_marketing=False)

    await town.closes(7001, "12")
    await town.closes(7002, "30", group="demo")
    await town.closes(7001, "0.5")
    await town.closes(7003, "30")
    assert town.runs() == []
    await town.closes(7002, "9")

    assert [run.startswith(name) for run, name in zip(town.runs(), fires, strict=True)] == [True]
    (said,) = town.intents("event.publish")
    assert b'"21"' in said.params


async def test_of_the_accounts_of_a_client_those_in_scope_are_counted():
    town = Town()
    text = """
scope: account.group == "real" or account.currency == "EUR"
aggregates: {held: {from: positions, count: true}}
when: [{becomes: held > 1}]
steps: [{do: event.publish, with: {type: custom.many, data: {held: = held}}}]
"""
    await town.open(a_workflow(text, key="client"))
    await town.client("anna", 7001, 7002)
    for number, (login, group) in enumerate([(7001, "real"), (7002, "demo"), (7002, "demo"), (7001, "real")]):
        assert town.runs() == []
        account = an_account(login=login, group=group)
        await town.log.append([a_trade_opened(account, deal=number + 1, position=number + 1)])
        await town.settle()

    assert town.runs() == ["rule/client=anna/becomes/1"]


@pytest.mark.parametrize(
    ("key", "fires"),
    [
        ("symbol", ["rule/symbol=live-1:EURUSD/becomes/1"]),
        ("group", ["rule/group=live-1:real/becomes/1"]),
        ("all", ["rule/all=/becomes/1"]),
        ("account", []),
    ],
)
async def test_a_workflow_is_kept_by_what_its_key_says(key, fires):
    town = Town()
    await town.open(a_workflow(COUNTED, key=key))

    await town.closes(7001, "7", symbol="EURUSD", group="real")
    await town.closes(7002, "7", symbol="EURUSD", group="real")
    await town.closes(7003, "3", symbol="EURUSD", group="demo")
    await town.closes(7004, "4", symbol="GBPUSD", group="real")
    await town.closes(7005, "4.5", symbol="EURUSD", group="real")

    assert town.runs() == fires


async def test_an_action_by_client_is_done_to_the_account_of_the_event_and_the_run_goes_on():
    town = Town()
    await town.open(a_workflow(LOCK, key="client"))
    await town.client("anna", 7001, 7002)
    await town.closes(7002, "6")

    (lock,) = town.intents("account.disable_trading")
    assert lock.account == "live-1:7002"
    assert decided_by(lock) == "client=anna"
    await town.restart()
    await town.answers()

    (told,) = town.intents("event.publish")
    assert b"7002" in told.params
    assert [run.state for run in town.store.runs.values()] == ["done"]
    applied = [row for row in town.log.ranked(0, 1000) if b"action.applied" in row.body]
    assert [row.key for row in applied] == ["live-1:7002"]


WAITS = """
when: [{event: trade.closed, where: event.lots > 5}]
steps:
  - {id: pause, wait: {%s}}
  - {id: lock, do: account.disable_trading}
  - {do: event.publish, with: {type: custom.locked, data: {login: = account.login}}}
"""


@pytest.mark.parametrize(
    "wait",
    [
        "event: trade.opened, timeout: 1h",
        'if: "n > 1", timeout: 1h',
        "event: kyc.confirmed, timeout: 1h",
        "for: 1h",
    ],
)
async def test_a_run_by_client_is_about_the_account_it_began_with_whichever_wakes_it(wait):
    counts = "aggregates: {n: {from: trade.closed, count: true, window: lifetime}}"
    town = Town()
    await town.open(a_workflow((counts if "n > 1" in wait else "") + WAITS % wait, key="client"))
    await town.client("anna", 7001, 7002)
    await town.closes(7001, "6")
    await town.restart()

    await town.log.append([a_trade_opened(an_account(login=7002))])
    await town.closes(7002, "1")
    await town.clock.advance(timedelta(hours=2))
    await town.store.fire_timers(town.clock.now_us(), 10)
    await town.settle()

    (lock,) = town.intents("account.disable_trading")
    assert lock.account == "live-1:7001"
    await town.answers()
    (told,) = town.intents("event.publish")
    assert b"7001" in told.params


async def test_what_was_done_by_client_does_not_take_the_account_back_to_its_old_group():
    town = Town()
    await town.open(
        a_workflow(LOCK, key="client"),
        a_workflow(
            "when: [{event: action.applied, where: 'account.group == \"vip\"'}]\nsteps: [{do: event.publish, with: {type: custom.still_vip}}]",
            id="still",
        ),
    )
    await town.client("anna", 7001)
    await town.closes(7001, "6", group="real")
    await town.closes(7001, "1", group="vip")
    await town.answers()

    assert [intent.workflow for intent in town.intents("event.publish") if intent.workflow == "still"] == [
        "still"
    ]


async def test_an_old_contribution_expires_for_a_client_without_any_event():
    text = LOTS.replace("window: lifetime", "window: {sliding: 7d}").replace(
        "lots > 20", "lots < 5 and lots > 0"
    )
    town = Town()
    await town.open(a_workflow(text, key="client"))
    await town.client("anna", 7001, 7002)
    await town.closes(7001, "12", timestamp=MORNING)
    await town.clock.advance(timedelta(days=2))
    await town.closes(7002, "3", timestamp=MORNING + timedelta(days=2))
    assert town.runs() == []

    await town.clock.advance(timedelta(days=5, seconds=1))
    await town.loop.step()
    await town.settle()

    assert town.runs() == ["rule/client=anna/becomes/1"]


async def test_a_client_is_known_by_what_was_told_before_the_workflow_was_live():
    text = 'when: [{becomes: client.country == "CY" and n > 0}]\naggregates: {n: {from: trade.closed, count: true, window: lifetime}}\nsteps: [{do: event.publish, with: {type: custom.done, data: {who: = client.id}}}]'
    town = Town()
    await town.client("anna", 7001, country="CY")
    await town.open(a_workflow(text, key="client"))

    await town.closes(7001, "1")

    assert town.runs() == ["rule/client=anna/becomes/1"]


async def test_nobody_is_told_what_no_workflow_could_use():
    town = Town()
    await town.open(a_workflow(COUNTED, key="symbol"), a_workflow(HELLO, id="other"))

    await town.closes(7001, "1")
    await town.client("anna", 7001, email="a@example.com")

    assert [row.key for row in town.mailed()] == ["symbol=live-1:EURUSD"]


async def test_why_answers_for_a_client_and_says_how_to_ask():
    town = Town()
    workflow = a_workflow(LOTS, key="client")
    await town.open(workflow)
    await town.client("anna", 7001)
    await town.closes(7001, "12")
    program = town.loop.programs.of(partition_of("client=anna"))
    now = town.clock.now_us()

    answer = await why(town.store, program, "rule", "client=anna", now_us=now)
    wrong = await why(town.store, program, "rule", "live-1:7001", now_us=now)
    unheard = await why(town.store, program, "rule", "client=zoe", now_us=now)

    assert answer.lines() == ["now becomes: lots > 20 is false (12 > 20)"]
    assert wrong.lines() == ["now : the workflow is kept by client: ask with client=ID"]
    assert unheard.lines() == ["now becomes: nothing was ever heard of client=zoe"]


@pytest.mark.parametrize(
    ("key", "text", "complaint"),
    [
        ("client", "when: [{crosses: {value: account.equity, below: 5}}]\nsteps: [{do: event.publish, with: {type: custom.x}}]",
         "`crosses` watches one account, position or symbol, and `key: client` names none: use `key: account`, `key: position` or `key: symbol`"),
        ("symbol", LOTS,
         "`trade.cancelled` names no symbol, so nothing kept by symbol hears of it"),
        ("group", "when: [{becomes: account.balance > 5}]\nsteps: [{do: event.publish, with: {type: custom.x}}]",
         "`account` is not known here: with `key: group` there is one only while an event is looked at, as in `where`"),
        # Of what is asked there a scope would say nothing.
        ("client", "scope: account.group == \"real\"\nwhen: [{schedule: {cron: '0 9 * * *', tz: UTC}}]\n" + PUBLISHES,
         "`account` is not known here: with `key: client` there is one only while an event is looked at, as in `where`"),
        ("client", 'scope: account.group == "real"\nwhen: [{becomes: client.kyc == "confirmed"}]\n' + PUBLISHES,
         "`account` is not known here: with `key: client` there is one only while an event is looked at, as in `where`"),
        ("all", 'scope: account.group == "real"\nwhen: [{event: connector.disconnected}]\n' + PUBLISHES,
         "`account` is not known here: with `key: all` there is one only while an event is looked at, as in `where`"),
        ("client", "scope: account.registered_at < now\n" + LOTS,
         "what is said of an event's account cannot depend on `now`: say it in `where`"),
        ("client", "scope: " + " or ".join(f"account.login == {n}" for n in range(70)) + "\n"
         + LOTS.replace("sum: event.lots", "where: '" + " or ".join(f"event.deal == {n}" for n in range(70)) + "', sum: event.lots"),
         "together with what `scope` says of events: the expression has 2991 characters, 2000 are allowed: move parts of it into aggregates or steps"),
        ("event.request", 'scope: account.currency == "USD"\nwhen: [{event: withdrawal.requested}]\nsteps: [{id: pay, do: balance.withdraw, with: {amount: 5}}]',
         "balance.withdraw moves money and the workflow has no `limit`: add one, such as `limit: {max: 1, every: forever}`"),
        ("all", LOTS.replace("do: event.publish, with: {type: custom.much, data: {lots: = lots}}", "do: account.disable_trading"),
         "account.disable_trading acts on an account, and with `key: all` only an event names one: start at events alone, or use `key: account`"),
    ],
)  # fmt: skip
def test_what_a_key_cannot_know_is_refused_while_loading(key, text, complaint):
    report = load_text(
        f"schema: 1\nid: rule\ntitle: t\nowner: o\nmode: live\nkey: {key}\n{text}\n", "rule.yaml"
    )

    assert [problem.message for problem in report.problems] == [complaint]


@pytest.mark.parametrize(
    ("key", "kind", "sound"),
    [
        ("live-1:7001", KeyKind.ACCOUNT, True),
        ("client=a=b", KeyKind.CLIENT, True),
        ("group=live-1:real\\A", KeyKind.GROUP, True),
        ("symbol=live-1:EURUSD.x", KeyKind.SYMBOL, True),
        ("all=", KeyKind.ALL, True),
        ("all=x", KeyKind.ALL, False),
        ("client=", KeyKind.CLIENT, False),
        ("group=real", KeyKind.GROUP, False),
        ("7001", KeyKind.ACCOUNT, False),
        ("nobody=7001", KeyKind.ACCOUNT, False),
        ("live-1:\u0661", KeyKind.ACCOUNT, False),
    ],
)
def test_a_key_says_what_it_names(key, kind, sound):
    assert kind_of(key) is kind
    assert (problem(key) is None) is sound
    assert 0 <= partition_of(key) < 64


HAPPENING = st.tuples(st.sampled_from(["7001", "7002", "7003", "7004"]), st.integers(1, 40), st.booleans())


@settings(max_examples=40, deadline=None)
@given(st.lists(HAPPENING, max_size=25), st.integers(1, 7))
async def test_sums_by_client_are_those_of_his_accounts_whatever_is_killed_on_the_way(told, batch):
    town = Town()
    owners = {"7001": "anna", "7002": "anna", "7003": "ben", "7004": None}
    await town.open(a_workflow(LOTS, key="client"), a_workflow(LOTS, id="each"))
    await town.client("anna", 7001, 7002)
    await town.client("ben", 7003)
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for i, (login, lots, killed) in enumerate(told):
        await town.log.append([a_trade_closed(an_account(login=int(login)), lots=str(lots), deal=1000 + i)])
        sums[login] += lots
        if owners[login]:
            sums[owners[login]] += lots
        if i % batch == 0:
            await town.loop.step()
        if killed:
            await town.restart()
    await town.settle()

    wanted = {f"rule/client={name}/becomes/1" for name in ("anna", "ben") if sums[name] > 20}
    wanted |= {f"each/live-1:{login}/becomes/1" for login in owners if sums[login] > 20}
    assert set(town.store.runs) == wanted
    mailed = [row.ref for row in town.mailed()]
    assert len(mailed) == len(set(mailed))  # each trade once
