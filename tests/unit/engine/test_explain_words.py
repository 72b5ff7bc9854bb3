"""Expressions, verbs and spans in plain English."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from unit.engine.desk import a_workflow
from unit.expr.test_agreement import WORLD, anything, conditions, durations, numbers, texts, times, tried
from unit.expr.world import compiled

from hub.engine import explain_verbs as verbs
from hub.engine.draft_values import parameters
from hub.engine.explain import explain
from hub.engine.explain_conditions import Wording
from hub.engine.explain_names import Param, span
from hub.errors import ExpressionError
from hub.expr import Expression
from hub.intents.verbs import VERBS, Risk

PARAMS = {"min_lots": Param("20", "20"), "rate": Param("2.00 USD", "2.00 USD"), "daily": Param("5 %", "5")}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lots > params.min_lots", "lots is greater than 20 (params.min_lots)"),
        ("not lots > params.min_lots", "lots is at most 20 (params.min_lots)"),
        ("20 < lots", "lots is greater than 20"),
        ("not (lots > 1 and account.enabled)", "lots is at most 1 or the account is disabled"),
        (
            "lots > 1 and (lots < 5 or account.enabled)",
            "lots is greater than 1 and (lots is less than 5 or the account is enabled)",
        ),
        (
            "lots > 1 or lots < 0 or lots == 0.5",
            "lots is greater than 1 or lots is less than 0 or lots is 0.5",
        ),
        ('account.country != "CY"', "the account's country is not CY"),
        ('account.country in ["CY", "GR"]', "the account's country is one of CY, GR"),
        ('account.country not in ["CY", "GR"]', "the account's country is none of CY, GR"),
        ('"vip" in account.tags', "vip is among the account's tags"),
        ('not starts_with(account.group, "real/")', "the account's group does not start with real/"),
        (
            'contains(lower(event.comment), "a bonus")',
            "the event's comment in small letters contains “a bonus”",
        ),
        ("has(account.country)", "the account's country is known"),
        ("between(event.lots, 0.1, 5)", "the event's volume in lots is between 0.1 and 5"),
        (
            "not default(event.lots > 1 and event.is_first, false)",
            "(the event's volume in lots is at most 1 or it is not the first) (so too where that is not known)",
        ),
        ("default(event.is_first, true)", "it is the first (so too where that is not known)"),
        (
            "now - account.registered_at > days(30)",
            "now - the account's time of registration is longer than 30 days",
        ),
        ("event.closed_at < now", "the event's closing time is before now"),
        (
            'weekday_of(now, "Europe/Prague") in ["sat", "sun"]',
            "the weekday of now in Europe/Prague is one of sat, sun",
        ),
        ("event.deal % 10 == 7", "(what remains of the event's deal / 10) is 7"),
        ("lots // 5 * 2 > 3", "(lots / 5, rounded down) * 2 is greater than 3"),
        ("lots - (3 - lots) > -lots", "lots - (3 - lots) is greater than -lots"),
        ("len(account.tags) == 1", "the number of items in the account's tags is 1"),
        ('steps.crm.body.tier == "gold"', "the tier of the body of step crm is gold"),
        ("not steps.crm.ok", "step crm did not succeed"),
        ("account.attributes.tier == 'or'", "tier in the account's attributes is “or”"),
        (
            "(1 if account.enabled else 2) > lots",
            "(1 if the account is enabled, otherwise 2) is greater than lots",
        ),
        (
            "account.enabled if lots > 1 else true",
            "if lots is greater than 1: the account is enabled, otherwise it is always so",
        ),
        ("(lots > 1) == (lots > 2)", "`(lots > 1)` is `(lots > 2)`"),
    ],
)
def test_a_condition_in_words(text, words):
    assert Wording(PARAMS).condition(compiled(text)) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lots * params.rate", "lots * 2.00 USD (params.rate = 2.00 USD)"),
        ("account.balance * params.daily / 100", "the account's balance * 5 / 100 (params.daily = 5 %)"),
        ("abs(event.net_profit - 1)", "(the event's net profit - 1) without its sign"),
        ("max(lots, 1) + 2", "(the largest of lots, 1) + 2"),
        ("round(lots, 1)", "lots rounded to 1 digit"),
        ("default(account.leverage, 100)", "the account's leverage (100 if not known)"),
        ("lots > 1", "whether lots is greater than 1"),
        ("number(steps.crm.body.amount)", "the number in the amount of the body of step crm"),
    ],
)
def test_a_value_in_words(text, words):
    assert Wording(PARAMS).value(compiled(text)) == words


def test_what_turns_true_is_said_with_becomes_where_that_reads_well():
    wording = Wording(PARAMS)

    assert wording.turning(compiled("lots >= 20")) == "lots becomes at least 20"
    assert wording.turning(compiled('account.status == "active"')) == "the account's status becomes active"
    assert wording.turning(compiled("account.enabled")) == "this turns true: the account is enabled"


@settings(max_examples=80, deadline=None)
@given(conditions)
def test_a_condition_and_its_opposite_are_said_and_differ(text):
    expression, opposite, again = (
        tried(each, WORLD) for each in (text, f"not ({text})", f"not not ({text})")
    )
    if not all(isinstance(each, Expression) for each in (expression, opposite, again)):
        return  # too much of it for one expression
    wording = Wording({"n": Param("5", "5")})

    said = wording.condition(expression)

    assert said
    assert "\n" not in said
    assert wording.condition(opposite) != said
    assert wording.condition(again) == said
    assert wording.turning(expression)


@settings(max_examples=80, deadline=None)
@given(numbers | texts | durations | times | anything | conditions)
def test_nothing_that_compiles_cannot_be_said(text):
    expression = tried(text, WORLD)
    if isinstance(expression, ExpressionError):
        return

    assert Wording({}).value(expression)
    assert Wording({"n": Param("5", "5")}, near="r").value(expression)


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_has_a_sentence_of_the_parameters_it_always_has(name):
    verb = VERBS[name]
    always = {name: f"<{name}>" for name, field in parameters(verb.params).items() if field.is_required()}
    form = verbs.SENTENCES[name]

    assert set(verbs._GAP.findall(form)) <= always.keys()
    said = verbs.sentence(verb, always | {"comment": "why"})
    assert all(value in said for value in always.values())
    assert "with comment = why" in said
    assert "{" not in said


def test_verbs_that_move_money_say_so_and_no_other_does():
    told = {name for name, verb in VERBS.items() if verbs.MOVES_MONEY in (verbs.warning(verb) or "")}

    assert told == {name for name, verb in VERBS.items() if verb.risk is Risk.MONEY}


def test_spans_are_said_in_the_largest_unit_that_fits():
    assert [span(timedelta(seconds=seconds)) for seconds in (1, 90, 3600, 86400, 129600)] == [
        "1 second",
        "90 seconds",
        "1 hour",
        "1 day",
        "36 hours",
    ]


@pytest.mark.parametrize(
    ("verb", "said", "sentence"),
    [
        ("position.modify", {"position": "the position's id", "sl": "5", "tp": "7"},
         "Sets the stop loss of the position to 5 and the take profit of the position to 7"),
        ("position.modify", {"position": "77", "sl": "5"}, "Sets the stop loss of the position 77 to 5"),
        ("position.close", {"position": "the position's id", "lots": "1"}, "Closes the position, with lots = 1"),
        ("group.disable", {"name": "the group's name"}, "Disables the group"),
        ("symbol.set_swap", {"name": "EURUSD", "long": "1"}, "Changes the swaps of the symbol EURUSD, with long = 1"),
        ("notify.sms", {"to": "+1", "text": "“Hello”"}, "Sends a text message to +1: “Hello”"),
        ("notify.page", {"team": "risk", "expires": "90s", "text": "“Look”"},
         "Calls somebody on duty in the team risk, unless it is 90 seconds late by then: “Look”"),
        ("crm.upsert", {"id": "the client's id", "record": "{email = the client's email, vip = true}"},
         "Writes the client into the CRM, with email = the client's email, vip = true"),
        ("crm.note", {"profile": '"sales"', "object": '"account"', "id": "the account's login", "text": "“Hello”"},
         "Adds a note to the account the account's login in the CRM sales: “Hello”"),
        ("crm.activity", {"id": "the client's id", "kind": '"call"', "title": "“Hello”", "minutes": "5"},
         "Enters the call “Hello” at the client in the CRM, with minutes = 5"),
        ("task.open", {"id": "77", "object": '"deal"', "title": "“Hello”"}, "Opens the task “Hello” at the deal 77 in the CRM"),
        ("event.publish", {"type": "custom.a", "position": "the position's id"},
         "Publishes the event custom.a to your systems, with position = the position's id"),
    ],
)  # fmt: skip
def test_what_a_sentence_speaks_of_is_called_as_a_person_would(verb, said, sentence):
    assert verbs.sentence(VERBS[verb], said) == sentence


def test_what_is_taken_back_is_what_it_was_before():
    lever = VERBS["account.set_leverage"]

    assert verbs.taken_back(lever, {"leverage": "the account's leverage"}) == (
        "sets the account's leverage to what it was before"
    )
    assert verbs.taken_back(VERBS["credit.remove"], {"amount": "the account's credit"}).endswith(
        "; the account's values are those from before"
    )


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("[{id: a, approve: {permission: p.q, within: 1d}}, {if: steps.a.approved, then: [{stop: x}]}]", "If a was approved:"),
        ("[{id: a, approve: {permission: p.q, within: 1d}}, {if: 'not default(steps.a.rejected, false)', then: [{stop: x}]}]",
         "If a was not rejected (so too where that is not known):"),
        ("[{id: a, set: {approved: true}}, {if: steps.a.approved, then: [{stop: x}]}]", "If the approved kept as a is true:"),
        ("[{id: a, do: account.disable}, {if: steps.a.ok, then: [{stop: x}]}]", "If step a succeeded:"),
        ("[{id: a, wait: {event: trade.opened, timeout: 1d}}, {if: steps.a.timed_out, then: [{stop: x}]}]", "If step a waited in vain:"),
        ("[{if: trigger.id != 'go', then: [{stop: x}]}]", "If it was not started by go:"),
        ("[{if: '\"go\" == trigger.id', then: [{stop: x}]}]", "If it was started by go:"),
    ],
)  # fmt: skip
def test_what_came_of_a_step_is_said_by_what_kind_of_step_it_was(steps, said):
    text = explain(a_workflow(f"when: [{{id: go, event: trade.closed}}]\nsteps: {steps}")).text()

    assert said in text
