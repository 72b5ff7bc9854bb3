"""`hub explain`: workflows in plain English."""

import json
from pathlib import Path

import pytest
from unit.engine.desk import a_workflow
from unit.engine.explained_grants import DEPOSIT_BONUS, MONTHLY_VOLUME_BONUS
from unit.engine.keyed_texts import KEYED
from unit.engine.prop_texts import PROP
from unit.engine.shipped_texts import BLUEPRINTS, SHIPPED_TEXTS

from hub.commands.explain import run_explain
from hub.engine.check import check
from hub.engine.explain import explain
from hub.engine.load import load_file, workflow_files
from hub.errors import ConfigError

SHIPPED = Path(__file__).parents[3] / "workflows"

DEPOSIT_NOTICE = """\
Tell our systems about every deposit to a real account (deposit-notice, live)
  Live: what it decides is done. Owner: onboarding.
  For every account, where the account's type is real.
  Starts with every balance.deposited.
    Events the hub learns of afterwards, such as after an outage, do not start it.
  Then:
    1. Publishes the event custom.deposit_notice to your systems, with login = the account's login, \
amount = the event's amount, first = whether it is the first (false if not known).
  The events:
    balance.deposited: Money came in.
"""
DEPOSIT_WELCOME = """\
Welcome a client after the first deposit, with the tier the CRM has for him (deposit-welcome, shadow)
  Shadow: it decides and records, and sends nothing. Owner: marketing.
  For every client, over all accounts of the client.
  Starts with every balance.deposited where it is the first.
    Events the hub learns of afterwards, such as after an outage, do not start it.
  At most once ever for each client; what that holds back is not made up for later.
  Then, if it were live:
    1. Asks another system, with GET at [the secret crm_url]/clients/[the client's id], signed in by bearer = the secret crm_token.
       The answer has to hold tier; nothing else of it is kept.
       Waits for what comes of it for at most 5 seconds.
       If no answer comes, or one that says it failed, it is asked for again, 6 times at most, for the first time after 1 second, each pause 2 times the one before, none longer than 1 minute. If it does not come about, the run goes on.
    2. Publishes the event custom.client_welcomed to your systems, with client = the client's id, amount = the event's amount, tier = (the tier in the answer to crm if step crm succeeded, otherwise standard).
  The events:
    balance.deposited: Money came in.
"""
EQUITY_ALERT = """\
Tell our systems when equity falls 20 % below the balance (equity-alert, live)
  Live: what it decides is done. Owner: risk.
  For every account, where the account's type is real and the account's balance is greater than 0.
  With these values:
    params.fall = 20 % (Percent of the balance)
    params.rearm = 18 % (Percent at which it may fire again)
  Starts each time the account's equity falls below the account's balance * (1 - 20 / 100) (params.fall = 20 %); \
again only after it came back to the account's balance * (1 - 18 / 100) (params.rearm = 18 %).
    What is so already when the hub first looks does not count.
  At most 4 times in 1 day for each account; what that holds back is not made up for later.
  Then:
    1. Publishes the event custom.equity_alert to your systems, with login = the account's login, \
equity = the value that passed the limit, limit = the limit that was passed, balance = the account's balance.
"""
LOSS_ALERT = """\
Write to clients who realised losses above 1000 in 7 days (loss-alert, live)
  Live: what it decides is done. Owner: retention. Its actions go after all others.
  For every account, where the account's type is real and the client's email is known.
  With these values:
    params.loss = 1000 (Realised loss in the account's currency)
  Counts, for each account:
    loss_7d: the sum of net profit without its sign, over every trade.closed where net profit is less than 0, \
in the last 7 days. A trade.cancelled with the same deal takes its part out again.
  Starts each time loss_7d becomes greater than 1000 (params.loss).
    What is so already when the hub first looks does not count. \
Events the hub learns of afterwards, such as after an outage, do not start it.
  At most once in 7 days for each account; what that holds back is not made up for later.
  Then:
    1. Sends a mail to the client's email \
with the subject “Account [the account's login]: your results of the last 7 days”:
       | Dear [the client's first name, or “client”],
       |
       | in the last 7 days account [the account's login] closed losing trades of [loss_7d] \
[the account's currency] in total.
       | If you would like to talk about it, answer this message.
  The events:
    trade.closed: A position was closed, whole or in part.
    trade.cancelled: The named deal was taken back by the dealer.
"""
MARGIN_ALERT = """\
Tell our systems at 120 % and again at 100 % margin level (margin-alert, live)
  Live: what it decides is done. Owner: risk. Its actions go before all others.
  For every account, where the account's number of open positions is greater than 0.
  Starts:
    warning: each time the account's margin level falls below 120 %; again only after it came back to 125 %.
    call: each time the account's margin level falls below 100 %; again only after it came back to 105 %.
    What is so already when the hub first looks does not count.
  At most 4 times in 1 day for each account and each way it starts; what that holds back is not made up for later.
  Then:
    1. Publishes the event custom.margin_alert to your systems, with login = the account's login, \
alert = the name of what started it, level = the value that passed the limit, limit = the limit that was passed.
"""
VIP_PROMOTION = """\
Move standard accounts that traded more than 100 lots in 30 days to the VIP group (vip-promotion, shadow)
  Shadow: it decides and records, and sends nothing. Owner: dealing.
  For every account, where the account's group starts with real/std.
  With these values:
    params.lots = 100 (Lots in 30 days)
  Counts, for each account:
    lots_30d: the sum of volume in lots, over every trade.closed, in the last 30 days. A trade.cancelled with the same deal takes its part out again.
  Starts each time lots_30d becomes greater than 100 (params.lots).
    What is so already when the hub first looks does not count. Events the hub learns of afterwards, such as after an outage, count as well.
  At most once in 30 days for each account; what that holds back is not made up for later.
  Then, if it were live:
    1. Moves the account to the group real/vip, if it is still in the group it was in before.
       If the broker refuses it, the run fails here.
       If the run fails later, it moves the account to the group it was in before, if it is still in the group real/vip.
    2. Publishes the event custom.client_promoted to your systems, with login = the account's login, lots = lots_30d.
  The events:
    trade.closed: A position was closed, whole or in part.
    trade.cancelled: The named deal was taken back by the dealer.
"""
VOLUME_BONUS_INSTANT = """\
$2 credit a lot at once when an account passes 20 lots in a calendar month (live in the simulator) \
(volume-bonus-instant, shadow)
  Shadow: it decides and records, and sends nothing. Owner: retention.
  For every account, where the account's type is real and the account's currency is USD \
and the account's country is none of US, CA.
  With these values:
    params.rate = 2.00 USD (Credit for each lot of the month so far)
    params.min_lots = 20 (Lots an account has to pass)
  Counts, for each account:
    lots: the sum of volume in lots, over every trade.closed where symbol class is one of fx, metals, \
since the month began by the clock of Europe/Nicosia. A trade.cancelled with the same deal takes its part out again.
  Starts each time lots becomes greater than 20 (params.min_lots).
    What is so already when the hub first looks does not count. \
Events the hub learns of afterwards, such as after an outage, count as well.
  At most once in 30 days for each account; what that holds back is not made up for later.
  Then, if it were live:
    1. Gives the account a credit of 2.00 USD * lots (params.rate = 2.00 USD), \
with comment = “Volume bonus: [lots] lots”.
       This moves money, once for each run. It is not taken back by itself.
  The events:
    trade.closed: A position was closed, whole or in part.
    trade.cancelled: The named deal was taken back by the dealer.
"""
DEPOSIT_APPROVAL = """\
Book deposits that your payment provider reports, large ones and those by bank wire only after approval (deposit-approval, shadow)
  Shadow: it decides and records, and sends nothing. Owner: payments.
  For every request, where the account's type is real and the account's currency is USD.
  With these values:
    params.alone = 25000 (Amounts from here on need a person)
  Starts with every deposit.requested.
    Events the hub learns of afterwards, such as after an outage, count as well.
  At most once ever for each request; what that holds back is not made up for later.
  Then, if it were live:
    1. If the event's currency (USD if not known) is not USD:
         1. Publishes the event custom.deposit_declined to your systems, with request = the event's request, decision = other_currency.
         2. Ends the run: paid in another currency than the account's.
    2. If the event's amount is at least 25000 (params.alone) or the event's method (empty if not known) in small letters is wire:
         1. Waits to be approved by a person with the permission money.approve, but not by the event's requester (empty if not known).
            They see what would be done from here on, and the event, the account and the client.
            They are asked: “Has [the event's amount] USD arrived for account [the account's login]?”
            One who declines is enough. If it is not decided within 2 days, it counts as rejected. What was approved is what is done, with the values of that moment.
         2. If sign_off was rejected:
              1. Publishes the event custom.deposit_declined to your systems, with request = the event's request, decision = what was decided at sign_off.
              2. Ends the run: not approved.
    3. Pays the event's amount into the account, with comment = “Deposit [the event's request]”.
       This moves money, once for each run. It is not taken back by itself.
  The events:
    deposit.requested: A client asked to pay in.
"""
WITHDRAWAL_APPROVAL = """\
Pay withdrawals out, those of 10,000 and more only when somebody has approved them (withdrawal-approval, shadow)
  Shadow: it decides and records, and sends nothing. Owner: payments.
  For every request, where the account's type is real and the account's currency is USD.
  With these values:
    params.alone = 10000 (Amounts from here on need a person)
  Starts with every withdrawal.requested.
    Events the hub learns of afterwards, such as after an outage, count as well.
  At most once ever for each request; what that holds back is not made up for later.
  Then, if it were live:
    1. If the event's currency (USD if not known) is not USD:
         1. Publishes the event custom.withdrawal_decided to your systems, with request = the event's request, decision = other_currency, by = nobody.
         2. Ends the run: asked for in another currency than the account's.
    2. If the event's amount is at least 10000 (params.alone):
         1. Waits to be approved by a person with the permission money.approve, but not by the event's requester.
            They see what would be done from here on, and the event, the account and the client.
            They are asked: “Pay [the event's amount] USD to account [the account's login] ([the event's method, or “no method named”])?”
            One who declines is enough. If it is not decided within 1 day, it counts as rejected. What was approved is what is done, with the values of that moment.
    3. If sign_off was not rejected (so too where that is not known):
         1. Takes the event's amount out of the account, with comment = “Withdrawal [the event's request]”.
            This moves money, once for each run. It is not taken back by itself.
            If the broker refuses it, the run fails here.
    4. Publishes the event custom.withdrawal_decided to your systems, with request = the event's request, decision = what was decided at sign_off (not_needed if not known), by = who decided sign_off (nobody if not known).
  The events:
    withdrawal.requested: A client asked to be paid.
"""
GOLDEN = {
    "deposit-approval": DEPOSIT_APPROVAL,
    "deposit-bonus": DEPOSIT_BONUS,
    **KEYED,
    "deposit-notice": DEPOSIT_NOTICE,
    "deposit-welcome": DEPOSIT_WELCOME,
    "equity-alert": EQUITY_ALERT,
    "loss-alert": LOSS_ALERT,
    "margin-alert": MARGIN_ALERT,
    "monthly-volume-bonus": MONTHLY_VOLUME_BONUS,
    "vip-promotion": VIP_PROMOTION,
    "volume-bonus-instant": VOLUME_BONUS_INSTANT,
    "withdrawal-approval": WITHDRAWAL_APPROVAL,
    **PROP,
    **SHIPPED_TEXTS,
}


def test_every_shipped_workflow_has_a_text_here():
    files = [path for path in workflow_files([SHIPPED]) if path.parent.name != "events"]
    assert {path.stem for path in files} == GOLDEN.keys() | BLUEPRINTS.keys()


@pytest.mark.parametrize("name", BLUEPRINTS)
def test_a_shipped_blueprint_reads_as_written_down(name):
    blueprint = load_file(SHIPPED / "blueprints" / f"{name}.yaml").blueprint

    assert blueprint is not None
    assert explain(blueprint.workflow).text() == BLUEPRINTS[name]


@pytest.mark.parametrize("name", GOLDEN)
def test_a_shipped_workflow_reads_as_written_down(name):
    workflow = load_file(SHIPPED / f"{name}.yaml").workflow

    assert workflow is not None
    assert explain(workflow).text() == GOLDEN[name]


PLAIN = """
when: [{event: trade.closed}]
limit: {max: 1, every: 1d}
steps: [{do: event.publish, with: {type: custom.seen, data: {v: 1}}}]
"""


@pytest.mark.parametrize(
    ("key", "every", "each"),
    [
        ("account", "For every account.", "for each account"),
        ("client", "For every client, over all accounts of the client.", "for each client"),
        ("group", "For every group, over all its accounts.", "for each group"),
        ("symbol", "For every symbol, whoever trades it.", "for each symbol"),
        ("all", "For everything together.", "in all"),
    ],
)
def test_the_key_is_said_in_words(key, every, each):
    lines = explain(a_workflow(PLAIN, key=key)).lines

    assert lines[1] == every
    assert f"At most once in 1 day {each}; what that holds back is not made up for later." in lines


def test_quiet_hours_that_delay_say_until_when():
    text = PLAIN + """quiet_hours: {from: "22:00", to: "07:30", tz: Europe/Nicosia}"""

    assert (
        "Not between 22:00 and 07:30, by the clock of Europe/Nicosia; what would begin then waits until 07:30."
        in explain(a_workflow(text)).lines
    )


def test_a_long_text_is_cut_short_and_says_so():
    text = "\n".join(f"        line {number}" for number in range(100))
    step = (
        "steps:\n  - do: notify.email\n    with:\n      to: a@example.com\n      subject: s\n      text: |\n"
        + text
    )

    lines = explain(a_workflow(f"when: [{{event: trade.closed}}]\n{step}")).lines

    assert "     | line 39" in lines
    assert "     | … and 60 lines more" in lines
    assert not any("line 40" in line for line in lines)


def test_no_control_character_of_a_file_reaches_the_reader():
    workflow = a_workflow(PLAIN, scope="""'account.group == "\\u009b31m\\u202ered"'""")

    told = explain(workflow).text()

    assert "?31m?red" in told
    assert all(character.isprintable() or character == "\n" for character in told)


# --- the command


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "good.yaml").write_text("schema: 1\nid: good\ntitle: t" + PLAIN)
    return tmp_path


def test_the_command_prints_one_text_after_another_without_colours_in_a_pipe(folder, capsys):
    status = run_explain([SHIPPED, folder], as_json=False)

    assert status == 0
    shown = capsys.readouterr()
    texts = [GOLDEN[name] for name in sorted(GOLDEN)]
    assert shown.out.startswith("\n".join(texts) + "\nt (good, shadow)\n")
    assert shown.err == ""


def test_the_command_prints_an_object_a_line_as_json(folder, capsys):
    status = run_explain([SHIPPED / "margin-alert.yaml", folder], as_json=True)

    assert status == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    head, *lines = MARGIN_ALERT.splitlines()
    assert first == {
        "id": "margin-alert",
        "title": head.removesuffix(" (margin-alert, live)"),
        "lines": [line.removeprefix("  ") for line in lines],
    }
    assert second["id"] == "good"


def test_a_broken_file_is_reported_as_by_check_and_the_others_are_explained(folder, capsys):
    (folder / "bad.yaml").write_text(
        "schema: 1\nid: bad\ntitle: t" + PLAIN.replace("trade.closed", "trade.clsed")
    )

    status = run_explain([folder], as_json=False)

    shown = capsys.readouterr()
    assert status == 1
    assert shown.err == check([folder]).text()
    assert shown.out.startswith("t (good, shadow)\n")


def test_a_terminal_gets_colours(folder, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)

    run_explain([SHIPPED / "volume-bonus-instant.yaml"], as_json=False)

    shown = capsys.readouterr().out
    assert "\x1b[1m$2 credit" in shown
    assert "\x1b[33m" in shown


def test_a_file_that_is_not_there_and_an_empty_folder_are_refused(tmp_path, capsys):
    with pytest.raises(ConfigError, match="there is no"):
        run_explain([tmp_path / "nothing.yaml"], as_json=False)

    assert run_explain([tmp_path], as_json=False) == 1
    assert "no workflow files found" in capsys.readouterr().err
