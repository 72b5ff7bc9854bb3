"""From a workflow file to a program: what it becomes, and what makes it wrong."""

import time
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.engine.load import load_file, load_folder, load_text, messages_beside
from hub.engine.model_triggers import TRIGGER_KEYS
from hub.engine.program import Becomes, Calendar, Crosses, Lifetime, Mode, OnEvent, Retract, Sliding
from hub.engine.program_steps import Computed, Do, If, Literally, Nested, Rendered, steps_of
from hub.engine.program_timed import Limit

# Seconds of CPU: what is linear takes a fraction of one, what is not never ends. How quick it is stands in the benchmarks.
BLOWN_UP = 20

WORKFLOWS = Path(__file__).parents[3] / "workflows"
# What no hub can do before somebody has bought it.
TO_BE_SET_UP = {"notify.sms", "notify.push", "crm.upsert", "crm.note", "crm.activity", "task.open"}
SHIPPED = sorted(path for path in WORKFLOWS.glob("*.yaml") if not path.name.endswith(".test.yaml"))
BASE = """\
schema: 1
id: a
title: t
scope: account.currency == "USD"
aggregates:
  lots: {from: trade.closed, sum: event.lots, window: {sliding: 7d}}
when:
  - becomes: lots > 20
limit: {max: 1, every: 30d}
steps:
  - id: pay
    do: credit.grant
    with: {amount: = lots * 2}
"""


def changed(*pairs):
    text = BASE
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


def loaded(*pairs):
    report = load_text(changed(*pairs), "w.yaml")
    assert report.workflow is not None, report.problems
    return report.workflow


def complaints(*pairs):
    return [str(problem) for problem in load_text(changed(*pairs), "w.yaml").problems]


def test_a_workflow_is_what_its_file_says():
    workflow = loaded(("title: t", "title: Two dollars\nowner: retention\nmode: live\npriority: critical"))

    assert (workflow.id, workflow.title, workflow.owner) == ("a", "Two dollars", "retention")
    assert (workflow.mode, workflow.priority) == (Mode.LIVE, "critical")
    assert workflow.limit == Limit(1, timedelta(days=30), "key")
    assert str(workflow.place) == "w.yaml:1:1"


def test_without_a_mode_nothing_is_sent():
    assert loaded().mode is Mode.SHADOW


def test_the_hash_is_that_of_the_text():
    assert loaded().hash == loaded().hash
    assert loaded().hash != loaded(("title: t", "title: u")).hash


def test_for_ever_is_no_time():
    assert loaded(("every: 30d", "every: forever")).limit == Limit(1, None, "key")


def test_parameters_have_their_types():
    workflow = loaded(
        (
            "title: t",
            (
                "title: t\nparams:\n  m: {type: money, default: 2, currency: USD}\n  s: {type: string, default: x}\n"
                "  b: {type: bool, default: true}\n  d: {type: duration, default: 2w}\n  p: {type: percent, default: 0.5}"
            ),
        )
    )

    assert workflow.params == {
        "m": Decimal(2),
        "s": "x",
        "b": True,
        "d": timedelta(days=14),
        "p": Decimal("0.5"),
    }


@pytest.mark.parametrize(
    ("written", "window"),
    [
        ("{sliding: 7d}", Sliding(timedelta(days=7))),
        ("lifetime", Lifetime()),
        ("{calendar: month, tz: Europe/Nicosia}", Calendar("month", "Europe/Nicosia")),
        (
            '{calendar: day, tz: America/New_York, daily_at: "17:00"}',
            Calendar("day", "America/New_York", "17:00"),
        ),
        (
            "{calendar: day, tz: America/New_York, daily_at: 17:00}",
            Calendar("day", "America/New_York", "17:00"),
        ),
    ],
)
def test_windows(written, window):
    assert loaded(("{sliding: 7d}", written)).aggregates[0].window == window


def test_an_aggregate_is_compiled():
    (lots,) = loaded(
        (
            "sum: event.lots",
            "sum: event.lots, where: event.lots > 1, retract: {event: trade.cancelled, ref: event.deal}",
        )
    ).aggregates

    assert (lots.name, lots.source, lots.function) == ("lots", "trade.closed", "sum")
    assert lots.value is not None
    assert lots.value.reads == {"event.lots"}
    assert lots.retract == Retract("trade.cancelled", "deal")


def test_equal_aggregates_share_their_id_whatever_they_are_called():
    one, other = (
        loaded(),
        loaded(("id: a\n", "id: b\n"), ("lots:", "volume:"), ("lots >", "volume >"), ("= lots", "= volume")),
    )

    assert one.aggregates[0].id == other.aggregates[0].id


@pytest.mark.parametrize(
    "change",
    [
        ("sum: event.lots", "max: event.lots"),
        ("sum: event.lots", "sum: event.lots * 2"),
        ("sum: event.lots", "sum: event.lots, where: event.lots > 1"),
        ("from: trade.closed", "from: trade.opened"),
        ("{sliding: 7d}", "{sliding: 8d}"),
        ("{sliding: 7d}", "lifetime"),
        ("sum: event.lots", "sum: event.lots, retract: {event: trade.cancelled, ref: event.deal}"),
    ],
)
def test_another_definition_is_another_aggregate(change):
    assert loaded(change).aggregates[0].id != loaded().aggregates[0].id


def test_an_aggregate_with_another_parameter_value_is_another_aggregate():
    two = loaded(
        ("title: t", "title: t\nparams: {x: {type: number, default: 2}}"),
        ("event.lots,", "event.lots * params.x,"),
    )
    three = loaded(
        ("title: t", "title: t\nparams: {x: {type: number, default: 3}}"),
        ("event.lots,", "event.lots * params.x,"),
    )

    assert two.aggregates[0].id != three.aggregates[0].id


def test_a_condition_is_a_trigger():
    (trigger,) = loaded(("becomes: lots > 20", "becomes: lots > 20\n    on_first: true")).triggers

    assert isinstance(trigger, Becomes)
    assert (trigger.id, trigger.on_first, trigger.condition.text) == ("becomes", True, "lots > 20")


def test_an_event_is_a_trigger():
    (trigger,) = loaded(
        ("becomes: lots > 20", "id: big\n    event: trade.*\n    where: event.lots > 5")
    ).triggers

    assert isinstance(trigger, OnEvent)
    assert (trigger.id, trigger.event) == ("big", "trade.*")


def test_a_crossing_is_a_trigger():
    (trigger,) = loaded(
        (
            "becomes: lots > 20",
            "crosses: {value: account.equity, below: account.balance * 0.8, rearm: account.balance}",
        )
    ).triggers

    assert isinstance(trigger, Crosses)
    assert (trigger.field, trigger.side, trigger.on_first) == ("equity", "below", False)
    assert trigger.limit.reads == {"account.balance"}


def test_a_backfill_moves_money_that_was_earned_and_writes_to_nobody():
    notice = (
        "do: credit.grant\n    with: {amount: = lots * 2}",
        "do: event.publish\n    with: {type: custom.x}",
    )
    nested = (
        "do: credit.grant\n    with: {amount: = lots * 2}",
        "if: lots > 1\n    then: [{do: account.disable}]",
    )

    assert loaded().triggers[0].on_replay == "fire"
    assert loaded(nested).triggers[0].on_replay == "fire"
    assert loaded(notice).triggers[0].on_replay == "skip"
    assert (
        loaded(("becomes: lots > 20", "becomes: lots > 20\n    on_replay: skip")).triggers[0].on_replay
        == "skip"
    )


def test_steps_are_named_by_their_id_or_their_position():
    workflow = loaded(
        (
            "  - id: pay\n",
            (
                "  - do: account.enable\n"
                "  - if: lots > 1\n    then:\n      - do: account.disable\n      - {id: off, do: account.archive}\n"
                "    else:\n      - do: account.enable\n"
                "  - {id: one, if: lots > 2, do: account.enable}\n"
                "  - id: pay\n"
            ),
        )
    )
    first, branch, inline, last = workflow.steps

    assert isinstance(branch, If)
    assert isinstance(inline, If)
    assert [step.path for step in (first, branch, inline, last)] == ["0", "1", "2", "pay"]
    assert [step.path for step in branch.then] == ["1.then.0", "off"]
    assert [step.path for step in branch.otherwise] == ["1.else.0"]
    assert [(step.path, step.id) for step in inline.then] == [("one", "one")]


def test_values_are_literals_expressions_or_human_text():
    workflow = loaded(
        (
            "do: credit.grant\n    with: {amount: = lots * 2}",
            (
                "do: event.publish\n    with:\n      type: custom.x\n"
                "      data: {login: = account.login, fixed: {a: [1, 2.50]}, list: [= lots, x]}\n"
                "  - id: grant\n    do: credit.grant\n    with: {amount: = lots * 2, comment: '{{ lots }} lots'}"
            ),
        )
    )
    publish, grant = workflow.steps

    assert isinstance(publish, Do)
    assert isinstance(grant, Do)
    assert publish.params["type"] == Literally("custom.x")
    data = publish.params["data"]
    assert isinstance(data, Nested)
    assert isinstance(data.parts, dict)
    assert isinstance(data.parts["login"], Computed)
    assert data.parts["fixed"] == Literally({"a": [1, Decimal("2.50")]})
    assert isinstance(data.parts["list"], Nested)
    assert isinstance(grant.params["comment"], Rendered)


def test_an_event_of_one_s_own_may_have_any_field():
    workflow = loaded(
        ("becomes: lots > 20", 'event: custom.score\n    where: event.points > 5 and event.from.level == "x"')
    )

    assert workflow.triggers[0].id == "event"


def test_earlier_steps_can_be_read_and_later_ones_cannot():
    later = "\n  - {id: told, do: event.publish, with: {type: custom.x, data: {t: = steps.pay.ticket}}}"

    assert loaded(("{amount: = lots * 2}", "{amount: = lots * 2}" + later))
    assert complaints(("= lots * 2", "= steps.pay.ticket"))[0].startswith(
        "w.yaml:13:28: error: unknown field steps.pay"
    )


CROSSES = "crosses: {value: account.equity, below: 5"
PUBLISH = "do: credit.grant\n    with: {amount: = lots * 2}"
REFUSALS = [
    (
        ("id: a\n", ""),
        "1:1: error: `id` is missing: Its name for ever: runs and payments are counted under it.",
    ),
    (
        ("id: a\n", "id: A b\n"),
        "2:5: error: `id` cannot be `A b`: write small letters, digits and -, at most 64",
    ),
    (("title: t", "title: 5"), "3:8: error: `title` is text, not `5`: put it between quotes"),
    (
        ("title: t", "title: t\nmode: liv"),
        "4:7: error: `mode` is off, shadow or live, not `liv`; did you mean live?",
    ),
    (
        ("title: t", "title: t\nanchors: {a: {take: 1, once: true, tz: UTC}}"),
        "4:14: error: `daily_at` and `tz` belong together: whose clock shows the time",
    ),
    (
        ("title: t", "title: t\nanchors: {a: 1}"),
        "4:14: error: `a` is a mapping, `key: value`, not `1`",
    ),
    (
        (PUBLISH, "do: event.publish\n    with: {type: custom.x, data: {why: = error.message}}"),
        "13:42: error: `error` is not known here: only the steps of `on_error` know what failed",
    ),
    (
        (
            "title: t",
            "title: t\non_error: [{do: event.publish, with: {type: custom.x, data: {why: = error.reason}}}]",
        ),
        "4:75: error: unknown field error.reason; known are error.step, error.message",
    ),
    (
        ("title: t", 'title: t\nquiet_hours: {from: "21:00", to: "21:00", tz: Europe/Nicosia}'),
        "4:14: error: `from` and `to` are the same time: nothing or everything is quiet",
    ),
    (
        ("title: t", 'title: t\nquiet_hours: {from: "21:00", to: "8:00", tz: Europe/Nicosia}'),
        '4:34: error: `to` cannot be `8:00`: write a time of day such as "17:00"',
    ),
    (
        ("title: t", 'title: t\nquiet_hours: {from: "21:00", to: "08:00", tz: Europe/Nikosia}'),
        "4:47: error: unknown time zone `Europe/Nikosia`; did you mean Europe/Nicosia?",
    ),
    (
        ("title: t", 'title: t\nquiet_hours: {from: "21:00", to: "08:00", tz: client.timezon}'),
        "4:54: error: unknown field client.timezon; did you mean client.timezone?",
    ),
    (
        ("title: t", "title: t\nanchors: {a: {taek: 1, once: true}}"),
        "4:15: error: unknown key `taek`; did you mean take?",
    ),
    (
        ("title: t", "title: t\nkey: 5"),
        "4:6: error: `key` is one of account, client, group, symbol, position, all, a field of events such as event.request, or an expression such as lower(event.comment)",
    ),
    (
        ("title: t", "title: t\nkey: acount"),
        "4:6: error: `key` is one of account, client, group, symbol, position, all, a field of events such as event.request, or an expression such as lower(event.comment); did you mean account?",
    ),
    (
        ("title: t", "title: t\nkey: client.id"),
        "4:6: error: `key` is one of account, client, group, symbol, position, all, a field of events such as event.request, or an expression such as lower(event.comment): write `key: client` for client.id",
    ),
    (
        ("title: t", "title: t\nkey: event.Request"),
        "4:6: error: `key` is one of account, client, group, symbol, position, all, a field of events such as event.request, or an expression such as lower(event.comment); did you mean event.request?",
    ),
    (("title: t", "title: t\nlimits: {}"), "4:1: error: unknown key `limits`; did you mean limit?"),
    (("schema: 1", "schema: 2"), "1:9: error: `schema` is 1, not `2`"),
    (("schema: 1", "schema: '1'"), "1:9: error: `schema` is the number 1: write it without quotes"),
    (("becomes: lots", "becomes: lotz"), "8:14: error: unknown name lotz; did you mean lots?"),
    (
        ("becomes: lots > 20", "becomes: event.lots > 20"),
        "8:14: error: `event` is not known here: only `where`, aggregates and the steps of an event's workflow know it",
    ),
    (
        ("becomes: lots > 20", "becomes: account.equity > 20"),
        (
            "8:14: error: account.equity moves with every price and is not known here: "
            "use a `crosses` trigger, which fires when it passes a limit"
        ),
    ),
    (
        ("becomes: lots > 20", "becomes: lots"),
        "8:14: error: this is a number, but true or false is needed here: write a condition, such as a comparison",
    ),
    (
        ("becomes: lots > 20", 'becomes: "lots > 20 and\n      account.grup == 1"'),
        "9:15: error: unknown field account.grup; did you mean account.group?",
    ),
    (
        ("becomes: lots > 20", "webhook: x"),
        "8:5: error: `webhook` is part of the format but not of this version yet",
    ),
    (
        ("becomes: lots > 20", "evnt: x"),
        f"8:5: error: a trigger needs one of the keys {', '.join(TRIGGER_KEYS)}; did you mean event?",
    ),
    (
        ("becomes: lots > 20", "event: trade.close"),
        "8:12: error: unknown event type `trade.close`; did you mean trade.closed?",
    ),
    (
        ("becomes: lots > 20", "event: tradd.*"),
        "8:12: error: no event type fits `tradd.*`; patterns end in `.*`, such as trade.*",
    ),
    (
        ("becomes: lots > 20", "event: trade.closed\n    becomes: lots > 3"),
        f"9:5: error: a trigger is one of {', '.join(TRIGGER_KEYS[:-1])} and {TRIGGER_KEYS[-1]}: move `becomes` into a trigger of its own",
    ),
    (
        ("becomes: lots > 20", "event: trade.closed\n    where: event.lotss > 3"),
        "9:18: error: unknown field event.lotss; did you mean event.lots?",
    ),
    (
        ("- becomes: lots > 20", "- 5"),
        f"8:5: error: a trigger is a mapping with one of the keys {', '.join(TRIGGER_KEYS)}",
    ),
    (("\n  - becomes: lots > 20", " []"), "7:7: error: `when` is empty: it needs at least 1"),
    (
        ("\n  - becomes: lots > 20", " {}"),
        "7:7: error: `when` is a list, not a mapping: begin each item with `- `",
    ),
    (("becomes: lots > 20", CROSSES + ", above: 6}"), "8:14: error: `crosses` has either `below` or `above`"),
    (
        ("becomes: lots > 20", "crosses: {value: account.balance, below: 5}"),
        (
            "8:22: error: `crosses` watches one of account.equity, account.floating, account.free_margin, "
            "account.margin_level, not `account.balance`; for anything else use `becomes`"
        ),
    ),
    (
        ("becomes: lots > 20", "crosses: {value: account.equity, below: account.margin}"),
        (
            "8:45: error: account.margin moves with every price and is not known here: "
            "a limit is made of values that events tell, such as account.balance"
        ),
    ),
    (
        ("becomes: lots > 20", CROSSES + ", rearm: account.floating}"),
        (
            "8:55: error: account.floating moves with every price and is not known here: "
            "a limit is made of values that events tell, such as account.balance"
        ),
    ),
    (
        ("becomes: lots > 20", CROSSES + ", rearm: 4}"),
        "8:55: error: `rearm` lies above the limit: otherwise it arms again while it still holds",
    ),
    (
        ("becomes: lots > 20", CROSSES + ", gap: restart}"),
        "8:14: error: `gap` says what becomes of `for`, and there is none: remove it",
    ),
    (
        ("becomes: lots > 20", "id: x\n    becomes: lots > 20\n  - id: x\n    becomes: lots > 30"),
        "10:9: error: two triggers have the id `x`: each needs its own",
    ),
    (
        ("limit: {max: 1, every: 30d}\n", ""),
        (
            "11:9: error: credit.grant moves money and the workflow has no `limit`: add one, such as "
            "`limit: {max: 1, every: 30d}`"
        ),
    ),
    (("max: 1", "max: 0"), "9:14: error: `max` is at least 1, not `0`"),
    (
        ("    do: credit", "    retry: {max: 1, delay: 1s, factor: 0.5}\n    do: credit"),
        "12:40: error: `factor` is at least 1, not `0.5`",
    ),
    (
        ("    do: credit", "    retry: {max: 1, delay: 1s, factor: twice}\n    do: credit"),
        "12:40: error: `factor` is a plain number, not `twice`",
    ),
    (("max: 1", "max: x"), "9:14: error: `max` is a whole number, not `x`"),
    (
        ("every: 30d", "every: 30"),
        "9:24: error: a duration is a whole number and a unit, such as 30s, 5m, 6h, 7d or 2w",
    ),
    (("every: 30d", "every: 99999d"), "9:24: error: a duration is at most 3660d"),
    (
        ("sliding: 7d", "calendar: month"),
        "6:55: error: `tz` is missing: The time zone by name, such as Europe/Nicosia.",
    ),
    (
        ("sliding: 7d", "calendar: month, tz: Europe/Nicosa"),
        "6:77: error: unknown time zone `Europe/Nicosa`; did you mean Europe/Nicosia?",
    ),
    (
        ("sliding: 7d", "since: period_end"),
        "6:55: error: `since: period_end` cannot tell which period is meant: no other aggregate has a calendar window",
    ),
    (
        ("window: {sliding: 7d}", "window: week"),
        "6:55: error: a window is `{calendar: month, tz: Europe/Nicosia}`, `{sliding: 7d}`, `{tumbling: 1h}`, `{since: period_end}`, `{since: {event: ...}}`, `{since: {anchor: ...}}` or `lifetime`",
    ),
    (
        ("sum: event.lots", "sum: event.lots, count: true"),
        "6:9: error: an aggregate has exactly one of sum, count, min, max, avg, last, distinct, distinct_days and best_day_share, such as `sum: event.lots`",
    ),
    (("sum: event.lots", "sum: event.symbol"), "6:35: error: this is text, but a number is needed here"),
    (
        ("from: trade.closed", "from: positions"),
        "6:52: error: a `from: positions` has no window: it is what stands now",
    ),
    (
        ("from: trade.closed", "from: trade.*"),
        "6:16: error: one type of event is needed here, not the pattern `trade.*`",
    ),
    (
        ("sum: event.lots", "sum: event.lots, retract: {event: trade.cancelled, ref: event.dael}"),
        "6:86: error: trade.closed has no field `dael`; did you mean deal?",
    ),
    (
        ("lots: {", "Lots: {"),
        "6:3: error: `Lots` is not a name: write small letters, digits and _, beginning with a letter",
    ),
    (
        ("do: credit.grant", "do: credit.grnt"),
        "12:9: error: unknown verb `credit.grnt`; did you mean credit.grant?",
    ),
    (
        ("do: credit.grant", "do: credit.grant\n    retry: {max: 3}"),
        "13:12: error: `delay` is missing: How long after the first refusal, such as 200ms.",
    ),
    (
        (PUBLISH, "do: event.publish\n    retry: {max: 3, delay: 1s}\n    with: {type: custom.x}"),
        "13:12: error: event.publish is tried again by itself: `retry` is for actions on accounts and for requests",
    ),
    (("{amount: = lots * 2}", "{}"), "13:11: error: credit.grant needs `amount`: add it under `with`"),
    (
        ("amount: = lots * 2", "amount: = account.group"),
        "13:22: error: this is text, but a number is needed here",
    ),
    (("amount: = lots * 2", "amount: -5"), "13:20: error: `amount` is more than 0, not `-5`"),
    (
        ("amount: = lots * 2", "amount: =lots * 2"),
        "13:20: error: `=lots * 2` is neither text nor an expression: an expression begins with `= `",
    ),
    (
        ("amount: = lots * 2", 'amount: "{{ lots }}"'),
        (
            "13:20: error: `{{ }}` is filled in only in comment, html, subject, text, title, url: "
            "write an expression, `= ...`, instead"
        ),
    ),
    (
        ("amount: = lots * 2", "amount: = lots, comment: 'x {{ client.frst_name }}'"),
        "13:43: error: unknown field client.frst_name; did you mean client.first_name?",
    ),
    (
        ("amount: = lots * 2", "amount: = lots, comment: '{{ account.equity }}'"),
        (
            "13:41: error: account.equity moves with every price and is not known here: "
            "use a `crosses` trigger, which brings trigger.value"
        ),
    ),
    (
        ("amount: = lots * 2", "amount: = lots, comment: '{{ client }}'"),
        "13:41: error: `client` is a record: name one of its fields",
    ),
    (
        ("amount: = lots * 2", "amount: = lots, comment: '{% for'"),
        "13:38: error: unexpected 'end of template'",
    ),
    (
        ("amount: = lots * 2", "amount: = lots, comment: '{{ secrets.x }}'"),
        "13:41: error: `secrets` are known in http.request only: in `auth`, `headers` and `url.base`, as a whole value",
    ),
    (
        ("= lots * 2", "= secrets.x"),
        "13:22: error: `secrets` are known in http.request only: in `auth`, `headers` and `url.base`, as a whole value",
    ),
    (
        ("= lots * 2", "= trigger.vlue"),
        "13:30: error: unknown field trigger.vlue; did you mean trigger.value?",
    ),
    (
        ("  - id: pay\n    do", "  - do"),
        "11:5: error: credit.grant moves money and needs an `id`: it is paid once under that name",
    ),
    (
        ("= lots * 2", "= lots * 2, comment: 5"),
        "13:41: error: `comment` is text, not `5`: put it between quotes",
    ),
    (
        ("do: credit.grant", "do: balance.correct"),
        "12:9: error: balance.correct always needs a person's approval: add an `approve` step before it",
    ),
    (
        (PUBLISH, "do: event.publish\n    with: {type: trade.closed}"),
        "13:18: error: `trade.closed` is reported by the platforms or the hub itself: publish a custom.* event",
    ),
    (
        (PUBLISH, "do: event.publish\n    with: {type: = account.group}"),
        "13:18: error: the type of a published event is written out, such as custom.client_promoted",
    ),
    (
        (PUBLISH, "do: event.publish\n    with: {type: challenge.failed, data: {rul: x}}"),
        "13:43: error: challenge.failed has no field `rul`; did you mean rule?",
    ),
    (
        (PUBLISH, "do: event.publish\n    with: {type: challenge.failed, data: {equity: 5}}"),
        "13:43: error: challenge.failed has no field `equity`: say it as evidence, in `values: {equity: ...}`",
    ),
    (
        (PUBLISH, "do: notify.email\n    with: {to: nobody, subject: x, text: x}"),
        "13:16: error: `to` cannot be `nobody`: write an address such as name@example.com",
    ),
    (
        (PUBLISH, "do: account.enable\n  - id: pay\n    do: account.disable"),
        "13:9: error: two steps have the id `pay`: each needs its own",
    ),
    ((PUBLISH, "if: lots > 3"), "11:5: error: `if` has exactly one of `do`, `then` and `steps` beside it"),
    (
        ("- becomes: lots > 20", "- absent: {event: trade.closed, within: 30d, after_where: event.lots > 1}"),
        "8:13: error: `after_where` says which events of `after` count: name them there",
    ),
    (
        ("- becomes: lots > 20", "- absent: {event: trade.closd, within: 30d}"),
        "8:21: error: unknown event type `trade.closd`; did you mean trade.closed?",
    ),
    (
        ("- becomes: lots > 20", "- absent: {event: trade.closed}"),
        "8:13: error: `within` is missing: How long it is waited for, such as 30d.",
    ),
    (
        ("title: t", "title: t\nrun: {mode: queue}"),
        "4:13: error: `mode` is single, queued or parallel, not `queue`; did you mean queued?",
    ),
    (
        ("title: t", "title: t\nrun: {mode: single, max: 2}"),
        "4:6: error: `max` belongs to `mode: parallel` and `mode: queued`: of single runs one is open",
    ),
    ((PUBLISH, "choose: []"), "12:13: error: `choose` is empty: it needs at least 1"),
    (
        (PUBLISH, "choose: [{else: []}, {if: lots > 3, steps: []}]"),
        "11:5: error: `else` is the last way of `choose`: nothing after it is looked at",
    ),
    (
        (PUBLISH, "choose: [{if: lots > 3}]"),
        "12:14: error: a way of `choose` is `{if: CONDITION, steps: [...]}`, and the last may be `{else: [...]}`",
    ),
    ((PUBLISH, "choose: [{if: lotz > 3, steps: []}]"), "12:19: error: unknown name lotz; did you mean lots?"),
    ((PUBLISH, "wait: 5s"), "12:11: error: `wait` is a mapping, `key: value`, not `5s`"),
    (
        (PUBLISH, "wait: {for: 5s, until: now}"),
        "12:11: error: `wait` has exactly one of `for`, `until`, `event` and `if`",
    ),
    (
        (PUBLISH, "wait: {for: soon}"),
        "12:17: error: a duration is a whole number and a unit, such as 30s, 5m, 6h, 7d or 2w",
    ),
    (
        (PUBLISH, "wait: {event: trade.closed}"),
        "12:11: error: a wait for an event or a condition needs a `timeout`, such as `timeout: 24h`",
    ),
    (
        (PUBLISH, "wait: {for: 5s, where: event.lots > 1}"),
        "12:11: error: `where` and `since` belong to a wait for an `event`",
    ),
    (
        (PUBLISH, "wait: {event: trade.closd, timeout: 5s}"),
        "12:19: error: unknown event type `trade.closd`; did you mean trade.closed?",
    ),
    (
        (PUBLISH, "wait: {event: trade.closed, where: trigger.event.lots > 1, timeout: 5s}"),
        "12:48: error: unknown field trigger.event; known are trigger.id, trigger.value, trigger.limit, trigger.at",
    ),
    ((PUBLISH, "set: {}"), "12:10: error: `set` is empty: it needs at least 1"),
    ((PUBLISH, "stop: ''"), "12:11: error: `stop`: String should have at least 1 character"),
    (
        ("title: t", "title: t\nparams: {r: {type: money, default: 2}}"),
        "4:13: error: a money parameter names its currency: add `currency: USD`",
    ),
    (
        ("title: t", "title: t\nparams: {r: {type: nmber, default: 2}}"),
        "4:20: error: `type` is money, number, percent, string, bool or duration, not `nmber`; did you mean number?",
    ),
    (
        ("title: t", "title: t\nparams: {r: {type: number, default: x}}"),
        "4:37: error: the default of a number parameter is a plain number",
    ),
    (
        ("title: t", "title: t\nparams: {r-d: {type: number, default: 3}}"),
        "4:10: error: `r-d` is not a name: write small letters, digits and _, beginning with a letter",
    ),
]


@pytest.mark.parametrize(("change", "complaint"), REFUSALS, ids=[refusal for _, refusal in REFUSALS])
def test_a_broken_file_is_refused_with_its_place_and_the_fix(change, complaint):
    report = load_text(changed(change), "w.yaml")

    assert [str(problem) for problem in report.problems] == [f"w.yaml:{complaint}"]
    assert report.workflow is None


@pytest.mark.parametrize("name", ["event", "account", "min", "secrets", "is", "in", "for"])
def test_an_aggregate_cannot_take_a_name_that_means_something(name):
    assert complaints(("lots: {", f"{name}: {{"))[0].endswith("choose another name")


def test_all_problems_of_a_file_are_told_at_once():
    found = complaints(
        ("title: t", "titel: t\ntitle: t"),
        ("becomes: lots > 20", "becomes: lotz > 20"),
        ("do: credit.grant", "do: credit.grnt"),
    )

    assert [line.split(" ", 1)[0] for line in found] == ["w.yaml:3:1:", "w.yaml:9:14:", "w.yaml:13:9:"]


def test_with_several_triggers_each_needs_an_id():
    found = complaints(("becomes: lots > 20", "becomes: lots > 20\n  - becomes: lots > 30"))

    assert [line.split(" ", 1)[0] for line in found] == ["w.yaml:8:5:", "w.yaml:9:5:"]


MONEY = ("title: t", "title: t\nparams: {rate: {type: money, default: 2, currency: EUR}}")


def test_of_money_in_another_currency_than_the_accounts_it_is_said_how_it_is_booked():
    assert complaints(MONEY, ("= lots * 2", "= params.rate * lots")) == [
        (
            "w.yaml:14:20: warning: the amount is in EUR: accounts in another currency are booked at the recorded rate, "
            'and held back while there is none. `account.currency == "EUR"` in `scope` leaves them out'
        )
    ]
    assert loaded(MONEY, ('== "USD"', '== "EUR"'), ("= lots * 2", "= params.rate * lots"))


def test_a_scope_that_lets_several_currencies_through_is_not_enough():
    assert complaints(MONEY, ('== "USD"', 'in ["EUR", "USD"]'), ("= lots * 2", "= params.rate * lots"))
    assert complaints(
        MONEY, ('== "USD"', '== "EUR" or account.login > 5'), ("= lots * 2", "= params.rate * lots")
    )


def test_a_plain_amount_in_any_currency_is_warned_about():
    report = load_text(changed(('scope: account.currency == "USD"\n', "")), "w.yaml")

    assert report.workflow is not None
    assert "the amount is a plain number" in str(report.problems[0])


def test_an_amount_in_the_base_currency_is_warned_about():
    report = load_text(changed(("sum: event.lots", "sum: event.net_profit_base")), "w.yaml")

    assert "base currency" in str(report.problems[0])


def test_what_nobody_reads_is_warned_about():
    found = complaints(("title: t", "title: t\nparams: {rate: {type: number, default: 2}}"))

    assert found == ["w.yaml:4:10: warning: nothing reads `params.rate`"]


def test_a_condition_that_no_event_changes_is_warned_about():
    found = complaints(("becomes: lots > 20", "becomes: 1 > 0"))

    assert found[0].endswith("warning: nothing in this condition changes with an event: it never fires")


def test_an_event_without_an_account_is_warned_about():
    assert "belongs to no account" in complaints(("becomes: lots > 20", "event: connector.stale"))[0]


def test_steps_of_a_workflow_that_may_start_without_an_event_see_it_as_optional():
    both = ("becomes: lots > 20", "id: a\n    becomes: lots > 20\n  - id: b\n    event: trade.closed")

    assert loaded(both, ("= lots * 2", "'= default(event.lots, 1)'"))


def test_a_file_is_read_from_disk(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(BASE)

    report = load_file(path, "workflows/a.yaml")

    assert report.text == BASE
    assert report.workflow is not None
    assert report.workflow.hash == loaded().hash
    assert str(report.workflow.place) == "workflows/a.yaml:1:1"


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00a")
    (tmp_path / "large.yaml").write_bytes(b"#" * 300_000)

    assert "no such file" in load_file(tmp_path / "none.yaml").problems[0].message.lower()
    assert "not valid UTF-8 at byte 0" in load_file(tmp_path / "binary.yaml").problems[0].message
    assert "256 KiB" in load_file(tmp_path / "large.yaml").problems[0].message


def test_a_bad_file_never_blocks_another(tmp_path):
    (tmp_path / "a.yaml").write_text(BASE)
    (tmp_path / "b.yaml").write_text("id: [")
    (tmp_path / "c.yml").write_text(BASE.replace("id: a\n", "id: c\n"))
    (tmp_path / "a.test.yaml").write_text("workflow: a\n")
    (tmp_path / "notes.txt").write_text("id: [")
    (tmp_path / ".hidden.yaml").write_text("id: [")

    found = load_folder([tmp_path])

    assert [workflow.id for workflow in found.workflows] == ["a", "c"]
    assert {problem.place.path for problem in found.problems} == {str(tmp_path / "b.yaml")}


def test_two_files_with_one_id_are_both_refused(tmp_path):
    (tmp_path / "a.yaml").write_text(BASE)
    (tmp_path / "copy.yaml").write_text(BASE)
    (tmp_path / "other.yaml").write_text(BASE.replace("id: a\n", "id: b\n"))

    found = load_folder([tmp_path])

    assert [workflow.id for workflow in found.workflows] == ["b"]
    assert [problem.message for problem in found.problems] == [
        f"the id `a` is also that of {tmp_path / 'copy.yaml'}: give each its own",
        f"the id `a` is also that of {tmp_path / 'a.yaml'}: give each its own",
    ]


def test_a_file_named_twice_is_loaded_once(tmp_path):
    (tmp_path / "a.yaml").write_text(BASE)

    assert len(load_folder([tmp_path, tmp_path / "a.yaml"]).workflows) == 1


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_workflow_loads_without_a_problem(path):
    report = load_file(path)

    assert not report.problems
    assert report.workflow is not None
    assert report.workflow.id == path.stem


def test_shipped_workflows_that_touch_accounts_or_money_or_need_another_system_only_watch():
    for workflow in load_folder([WORKFLOWS]).workflows:
        acts = any(step.verb.is_manager or step.verb.answers for step in steps_of(workflow.steps))
        acts = acts or workflow.grant is not None
        acts = acts or any(step.verb.name in TO_BE_SET_UP for step in steps_of(workflow.steps))
        assert workflow.mode is (Mode.SHADOW if acts else Mode.LIVE), workflow.id


def test_every_shipped_workflow_has_a_story():
    for path in SHIPPED:
        assert path.with_suffix(".test.yaml").exists(), path.name


def test_a_hundred_workflows_load_in_three_tenths_of_a_second():
    texts = [path.read_text() for path in SHIPPED]
    numbered = [
        text.replace("\nid: ", f"\nid: n{number}-").replace(" 20", f" 2{number}")
        for number in range(100)
        for text in [texts[number % len(texts)]]
    ]
    messages = messages_beside([WORKFLOWS])
    load_text(numbered[0], "warm.yaml", messages)
    started = time.process_time()

    assert all(load_text(text, "w.yaml", messages).workflow for text in numbered)

    # Three times what it takes alone, because the machine that runs this has other work to do.
    assert time.process_time() - started < BLOWN_UP


FRAGMENTS = st.sampled_from(
    ["schema: 1\n", "id: a\n", "when:\n", "  - becomes: lots > 20\n", "steps: ", "[", "]", "{", "}", ": ", "\n  ", "- ", "= ",
     "event: trade.closed", "where: event.", "do: credit.grant", "with: ", "{{ x", "}}", "params", "'", '"', "null", "5", "&a", "*a"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(FRAGMENTS, max_size=25).map("".join))
def test_no_text_does_more_than_be_reported(text):
    report = load_text(text, "w.yaml")

    assert (report.workflow is not None) or report.problems


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_damage_to_a_file_does_more_than_be_reported(data):
    source = (WORKFLOWS / "vip-promotion.yaml").read_text()
    start = data.draw(st.integers(0, len(source)))
    length = data.draw(st.integers(0, 12))
    inserted = data.draw(st.one_of(st.text(max_size=8), FRAGMENTS))

    report = load_text(source[:start] + inserted + source[start + length :], "w.yaml")

    assert (report.workflow is not None) or report.problems


def test_what_is_taken_back_is_not_converted_and_needs_a_scope():
    undo = "\n    undo: {do: credit.remove, with: {amount: = params.rate}}"
    found = complaints(MONEY, ("= lots * 2}", "= lots * 2}" + undo))

    assert len(found) == 1
    assert "what is taken back or passed on is not converted" in found[0]
