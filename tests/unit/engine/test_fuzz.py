"""Files nobody wrote: whatever stands in them, loading ends soon, with a workflow or with errors that name their place.

What loads is then explained, and told events: it may fire or not, and never breaks.
"""

import json
import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, reject, settings
from hypothesis import strategies as st
from unit.engine.desk import MORNING, USUAL, Desk

from hub.clock import to_us
from hub.engine.account_rows import NOBODY, AccountRow
from hub.engine.backtest import Tally
from hub.engine.coverage import points_of
from hub.engine.explain import explain
from hub.engine.keys import named
from hub.engine.load_text import LoadReport, load_text
from hub.engine.memory_of import memory_of
from hub.engine.naming import naming_of
from hub.engine.rehearsal import Rehearsal
from hub.engine.scopes import Scopes
from hub.events.catalogue import BY_NAME
from hub.events.records import decode_data, decode_envelope
from hub.expr import ExpressionError, Kind, Type, compile_expression
from hub.intents.verbs import VERBS

FOLDER = Path(__file__).parents[3] / "workflows"
TEXTS = [
    path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.yaml")) if ".test." not in path.name
]
TREES = [yaml.safe_load(text) for text in TEXTS]
# Long for one file, and short for a machine that does other things beside.
BOUNDED = settings(deadline=timedelta(seconds=3), suppress_health_check=[HealthCheck.too_slow])
PLACE = re.compile(r"fuzz\.yaml:[1-9][0-9]*:[1-9][0-9]*: (?:error|warning): .")
WORDS_OF_THE_FORMAT = """
for timeout until event becomes crosses absent within after wait if then else set stop choose parallel for_each approve
schedule manual period_end grant anchors retry on_error undo verify guard run quiet_hours trip self priority params
"""
KEYS = sorted({*re.findall(r"\b[a-z_]+(?=:)", "\n".join(TEXTS)), *WORDS_OF_THE_FORMAT.split()})
WORDS = [
    "account.balance", "lots", "lots > 20", "event.lots * 2", "30d", "forever", "1", "-1", "1e999", "true", "null", "now", "account",
    "Europe/Nicosia", "{{ lots }}", "{{ 1 / 0 }}", "{% for i in range(9999999) %}x{% endfor %}", "= lots", "= ", "9" * 40, "x" * 300,
    "trade.*", "*", "../../etc/passwd", "__import__('os')", "a.__class__", "\u202e", "\ud7ff", "0x10", "1_000", "12:30", "~", "steps.a.b",
    *sorted(BY_NAME)[:30], *sorted(VERBS),
]  # fmt: skip

scalars = st.one_of(
    st.sampled_from(WORDS), st.text(max_size=20), st.integers(), st.booleans(), st.none(), st.decimals(allow_nan=True).map(str)
)  # fmt: skip
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(st.sampled_from(KEYS), st.text(max_size=8)), inner, max_size=5)
    ),
    max_leaves=20,
)  # fmt: skip


def is_sound(report: LoadReport) -> None:
    """Whatever was in the file: a workflow, or errors with file, line and column, each one line a person can read."""
    assert report.workflow is not None or report.problems
    for problem in report.problems:
        line = str(problem)
        assert PLACE.match(line), line
        assert "Traceback" not in line
        assert "\n" not in line
        assert len(line) < 2_000, line


def decides(report: LoadReport) -> None:
    """What loads can be explained, and be told events without breaking."""
    workflow = report.workflow
    if workflow is None:
        return
    assert explain(workflow).text()
    assert points_of(workflow)
    memory_of(workflow)
    rehearsal = Rehearsal([workflow], Tally())
    rehearsal.tell(EVENTS)
    rehearsal.until(to_us(MORNING + timedelta(days=40)))
    assert not rehearsal.broken, rehearsal.broken


def some_events() -> list[Any]:
    desk = Desk()
    desk.account(type="real", balance="1000", currency="USD", digits=2)
    for number in range(1, 30):
        kind = ("trade.closed", "trade.opened", "balance.deposited")[number % 3]
        if kind == "balance.deposited":
            fields = {"ticket": number, "amount": "100"}
        else:
            fields = USUAL[kind] | {"deal": number, "lots": str(number)}
        desk.tell(kind, at=MORNING + timedelta(hours=number), **fields)
    desk.tell("trade.cancelled", deal=1)
    return desk.inputs


EVENTS = some_events()
ACCOUNT = AccountRow("live-1", 7001, type="real", balance=Decimal(1000), digits=2)
CLOSED = [
    {"event": decode_data(envelope), "account": ACCOUNT, "client": NOBODY}
    for envelope in (decode_envelope(row.body) for row in EVENTS)
    if envelope.type == "trade.closed"
][:3]


def places(tree: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [here] if here else []
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for name, inner in items:
        found += places(inner, (*here, name))
    return found


def changed(tree: Any, where: tuple[Any, ...], value: Any) -> Any:
    tree = json.loads(json.dumps(tree))
    inner = tree
    for part in where[:-1]:
        inner = inner[part]
    inner[where[-1]] = value
    return tree


@st.composite
def edited_trees(draw):
    tree = draw(st.sampled_from(TREES))
    for _ in range(draw(st.integers(1, 3))):
        tree = changed(tree, draw(st.sampled_from(places(tree))), draw(trees))
    return tree


@st.composite
def edited_texts(draw):
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(st.one_of(st.text(max_size=6), st.sampled_from([*WORDS, "\n", "  ", ": ", "- ", "{", "[", "&a ", "*a", "!!x "]))) + text[end:]  # fmt: skip
    return text


@st.composite
def shuffled_lines(draw):
    lines = draw(st.sampled_from(TEXTS)).splitlines()
    for _ in range(draw(st.integers(1, 4))):
        place, other = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(("drop", "double", "swap", "indent"))):
            case "drop" if len(lines) > 2:
                del lines[place]
            case "double":
                lines.insert(place, lines[other % len(lines)])
            case "swap":
                place, other = place % len(lines), other % len(lines)
                lines[place], lines[other] = lines[other], lines[place]
            case _:
                lines[place % len(lines)] = "  " + lines[place % len(lines)]
    return "\n".join(lines)


def dumped(tree: Any) -> str:
    return yaml.safe_dump(tree, allow_unicode=True, sort_keys=False)


@BOUNDED
@given(edited_trees())
def test_a_workflow_with_anything_in_any_place(tree):
    report = load_text(dumped(tree), "fuzz.yaml")

    is_sound(report)
    decides(report)


@BOUNDED
@given(edited_texts())
def test_a_file_with_letters_changed(text):
    report = load_text(text, "fuzz.yaml")

    is_sound(report)
    decides(report)


@BOUNDED
@given(shuffled_lines())
def test_a_file_with_lines_moved_lost_or_doubled(text):
    report = load_text(text, "fuzz.yaml")

    is_sound(report)
    decides(report)


@BOUNDED
@given(st.dictionaries(st.sampled_from(KEYS), trees, max_size=12))
@example(tree={"anchors": {"\n": None}})
def test_a_tree_of_the_formats_own_words(tree):
    head = {"schema": 1, "id": "fuzz", "title": "fuzz", "owner": "tests", "mode": "live", "key": "account"}

    is_sound(load_text(dumped({**head, **tree}), "fuzz.yaml"))
    is_sound(load_text(dumped(tree), "fuzz.yaml"))


@BOUNDED
@given(st.text(max_size=300))
def test_any_text_at_all(text):
    is_sound(load_text(text, "fuzz.yaml"))


CONDITION = """schema: 1
id: fuzz
title: fuzz
owner: tests
mode: live
key: account
params: {{rate: {{type: number, default: 2}}}}
aggregates:
  lots: {{from: trade.closed, sum: event.lots, window: {{sliding: 7d}}}}
when: [{{event: trade.closed, where: {condition}}}]
steps: [{{do: event.publish, with: {{type: custom.x, data: {{a: {value}}}}}}}]
"""
TOKENS = [
    "lots", "event.lots", "event.symbol", "account.tags", "account.balance", "params.rate", "event.timestamp", "now", "20", "0", "1.5",
    '"a"', "true", "false", "and", "or", "not", "in", "if", "else", "+", "-", "*", "/", "//", "%", "<", "<=", "==", "!=", "(", ")", "[", "]",
    ",", "min(", "max(", "abs(", "round(", "has(", "default(", "lower(", "starts_with(", "like(", "day_of(", ".", "__class__", "lambda", ":",
    "**", "10 ** 9", "'%s' %", "import", "trigger.id", "event", "null", "30d", "=", "9" * 30,
]  # fmt: skip
expressions = st.one_of(
    st.lists(st.sampled_from(TOKENS), min_size=1, max_size=14).map(" ".join), st.text(max_size=40)
)


@settings(BOUNDED, max_examples=300)
@given(expressions, expressions)
def test_any_expression(condition, value):
    text = CONDITION.format(condition=json.dumps(condition), value=json.dumps(f"= {value}"))

    report = load_text(text, "fuzz.yaml")

    is_sound(report)
    decides(report)


BY_KEY = """schema: 1
id: fuzz
title: fuzz
mode: live
key: {key}
params: {{rate: {{type: number, default: 2}}}}
aggregates:
  lots: {{from: trade.closed, sum: event.lots, window: {{sliding: 7d}}}}
when: [{{becomes: lots > params.rate}}]
steps: [{{do: event.publish, with: {{type: custom.x}}}}]
"""
texts = st.deferred(
    lambda: st.one_of(
        st.sampled_from(["event.symbol", "event.comment", "event.side", "account.type", "client.language", '"a"', '""']),
        st.builds("{}({})".format, st.sampled_from(["lower", "upper"]), texts),
        st.builds("default({}, {})".format, texts, texts),
        st.builds("({} + {})".format, texts, texts),
        st.builds("({} if {} {} {} else {})".format, texts, numbers, st.sampled_from(["<", "=="]), numbers, texts),
        st.builds("({} if {} in [{}, 'b'] else {})".format, texts, texts, texts, texts),
        st.just('day_of(event.timestamp, "UTC")'),
    )
)  # fmt: skip
numbers = st.deferred(
    lambda: st.one_of(
        st.sampled_from(["event.lots", "event.deal", "event.magic", "account.digits", "account.leverage", "params.rate", "0", "1e9"]),
        st.builds("({} {} {})".format, numbers, st.sampled_from(["+", "*", "/", "//", "%"]), numbers),
        st.builds("default({}, {})".format, numbers, numbers),
        st.builds("round({}, 2)".format, numbers),
        st.builds("len({})".format, texts),
    )
)  # fmt: skip


@settings(BOUNDED, max_examples=30)
@given(st.one_of(texts, numbers, expressions))
def test_any_key(key):
    report = load_text(BY_KEY.format(key=json.dumps(key)), "fuzz.yaml")

    is_sound(report)
    decides(report)


@settings(BOUNDED, max_examples=30)
@given(st.one_of(texts, numbers))
def test_a_key_is_what_the_expression_is_worth_where_its_event_is_known(key):
    params = {"rate": Decimal(2)}
    declared = Scopes({"rate": Type(Kind.NUMBER)}, {})
    try:
        known = compile_expression(key, declared.keyed("trade.closed"))
    except ExpressionError:  # it divides by zero
        reject()
    name = naming_of(compile_expression(key, declared.keyed()), params)

    for env in CLOSED:
        assert name.key(env) == named(name.kind, known.evaluate({**env, "params": params}))


@pytest.mark.parametrize(
    "text",
    ["(" * 3_000, "not " * 1_500 + "true", "-" * 1_999 + "1", "1" + "+1" * 900, "[" * 1_000 + "]" * 1_000, "lots < " * 300 + "1", "a." * 900 + "a"],
)  # fmt: skip
def test_expressions_without_end_are_refused_at_once(text):
    report = load_text(CONDITION.format(condition=json.dumps(text), value="1"), "fuzz.yaml")

    assert report.workflow is None
    is_sound(report)


def test_the_events_these_are_told_do_fire_a_workflow():
    workflow = load_text(CONDITION.format(condition="event.lots > 20", value="1"), "fuzz.yaml").workflow
    assert workflow is not None
    tally = Tally()

    Rehearsal([workflow], tally).tell(EVENTS)

    assert tally.actions["event.publish"] > 0
