"""Asking many conditions at once finds exactly those that asking one by one would find."""

from hypothesis import given, settings
from hypothesis import strategies as st
from unit.engine.desk import Desk, a_workflow

STEPS = "steps: [{do: event.publish, with: {type: custom.told, data: {rule: 1}}}]"
LOTS = "aggregates:\n  n: {from: trade.closed, sum: event.lots, window: {calendar: month, tz: UTC}}\n"


def asking(condition: str) -> str:
    return f"when: [{{event: trade.closed, where: {condition}}}]\n" + STEPS


def test_a_missing_value_in_one_condition_silences_no_other():
    desk = Desk(
        a_workflow(asking("account.leverage > 1"), id="unknown"),
        a_workflow(asking("event.lots > 100"), id="no"),
        a_workflow(asking("event.lots > 1"), id="yes"),
    )
    desk.account(type="real")

    assert [intent.workflow for intent in desk.tell("trade.closed", lots="2")] == ["yes"]


def test_an_aggregate_is_seen_whichever_side_of_and_it_stands_on():
    desk = Desk(
        a_workflow(LOTS + asking("n > 5 and event.lots > 1"), id="first"),
        a_workflow(LOTS + asking("event.lots > 1 and n > 5"), id="last"),
        a_workflow(LOTS + asking("event.lots > 1 and n > 50"), id="never"),
    )
    desk.account(type="real")

    assert [intent.workflow for intent in desk.tell("trade.closed", lots="4")] == []
    assert [intent.workflow for intent in desk.tell("trade.closed", lots="2")] == ["first", "last"]


def test_a_condition_that_asks_whether_an_aggregate_is_there_is_asked_beside_the_others():
    average = LOTS.replace("sum:", "avg:")
    desk = Desk(
        a_workflow(average + asking("has(n) and event.lots > 1"), id="has"),
        a_workflow(average + asking("event.lots > 100"), id="no"),
    )
    desk.account(type="real")

    assert [intent.workflow for intent in desk.tell("trade.closed", lots="2")] == ["has"]


def test_what_many_conditions_read_may_be_missing_for_all_of_them():
    many = [a_workflow(asking(f"account.leverage > {number}"), id=f"many-{number}") for number in range(5)]
    desk = Desk(*many, a_workflow(asking("not has(account.leverage)"), id="none"))
    desk.account(type="real")

    assert [intent.workflow for intent in desk.tell("trade.closed", lots="2")] == ["none"]

    desk.account(leverage=3)
    assert {intent.workflow for intent in desk.tell("trade.closed", lots="2")} == {
        "many-0",
        "many-1",
        "many-2",
    }


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), st.integers(0, 9)),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from(["and", "or"]),
    st.decimals("0.01", "9", places=2),
    st.one_of(st.none(), st.integers(0, 9)),
)
def test_many_conditions_over_the_same_values_answer_as_one_by_one(conditions, word, lots, leverage):
    texts = [
        f"event.lots {sign} {number} {word} account.leverage {sign} {9 - number}"
        for sign, number in conditions
    ]
    rules = [a_workflow(asking(text), id=f"rule-{number}") for number, text in enumerate(texts)]
    told = {"lots": str(lots)}

    def fired(*workflows):
        desk = Desk(*workflows)
        desk.account(type="real", **({} if leverage is None else {"leverage": leverage}))
        return {intent.workflow for intent in desk.tell("trade.closed", **told)}

    assert fired(*rules) == set().union(*(fired(rule) for rule in rules))
