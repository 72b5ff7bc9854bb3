"""Files as people get them wrong, and as somebody would write them who means no good: each answer says where and why."""

import pytest

from hub.engine.load_text import load_text

HEAD = "schema: 1\nid: w\ntitle: t\nowner: o\nkey: account\n"
WHEN = "when: [{event: trade.closed}]\n"
STEPS = "steps: [{do: event.publish, with: {type: custom.x}}]\n"
WINDOW = HEAD + "aggregates:\n  a: {from: trade.closed, sum: event.lots, window: %s}\n" + WHEN + STEPS
WHERE = HEAD + "when: [{event: trade.closed, where: %s}]\n" + STEPS
DATA = HEAD + WHEN + "steps: [{do: event.publish, with: {type: custom.x, data: {a: %s}}}]\n"
TEXT = HEAD + WHEN + "steps: [{do: notify.email, with: {to: a@b.example, subject: s, text: '%s'}}]\n"
DURATION = "a duration is a whole number and a unit"
A_WINDOW = "a window is `{calendar: month, tz: Europe/Nicosia}`, `{sliding: 7d}`"
BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
DEEP = "".join(f"{'  ' * 2 * n}  - if: event.lots > 1\n{'  ' * 2 * n}    then:\n" for n in range(60))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(text, said, id=name)
        for name, text, said in (
            ("a root of other keys", WHERE % "position.lots > 1", "6:37: error: `position` is not known here: "),
            ("a root of symbols", WHERE % 'symbol.class == "x"', "6:37: error: `symbol` is not known here: "),
            ("results before there are any", WHERE % "steps.a.b == 1", "6:37: error: `steps` is not known here: "),
            ("a period nobody began", DATA % "= period.start", "7:64: error: `period` is not known here: "),
            ("an item of no list", DATA % "= item.x", "7:64: error: unknown name item"),
            ("inputs of no start by hand", DATA % "= trigger.inputs.a", "7:72: error: unknown field trigger.inputs"),
            ("an event where none is", HEAD + "when: [{becomes: event.lots > 3}]\n" + STEPS, "6:18: error: `event` is not known here: "),
            ("a window before now", WINDOW % "{sliding: -3d}", f"7:62: error: {DURATION}"),
            ("a window of nothing", WINDOW % "{sliding: 0s}", "7:62: error: a duration is at least 1 of its unit and at most 3660d"),
            ("a window for ever and a day", WINDOW % "{sliding: 99999999999999999999d}", "7:62: error: a duration is at least 1 of its unit"),
            ("a window of one and a half", WINDOW % "{tumbling: 1.5h}", f"7:63: error: {DURATION}"),
            ("a window on Mars", WINDOW % "{calendar: day, tz: Mars/Olympus}", "7:72: error: unknown time zone `Mars/Olympus`"),
            ("a zone that is a file", WINDOW % "{calendar: day, tz: ../../etc/passwd}", "7:72: error: unknown time zone `../../etc/passwd`"),
            ("an hour nobody has", WINDOW % "{calendar: day, tz: UTC, daily_at: '25:00'}", "7:87: error: `daily_at` cannot be `25:00`"),
            ("a fortnight", WINDOW % "{calendar: fortnight, tz: UTC}", "7:63: error: `calendar` is day, week, month, quarter or year"),
            ("two windows", WINDOW % "{sliding: 3d, tumbling: 1d}", "7:66: error: unknown key `tumbling`"),
            ("a list of windows", WINDOW % "[3d]", f"7:52: error: {A_WINDOW}"),
            ("a word for a window", WINDOW % "forever", f"7:52: error: {A_WINDOW}"),
            ("no window", WINDOW % "~", f"7:52: error: {A_WINDOW}"),
            ("an event nobody tells", WINDOW % "{since: {event: nothing.ever}}", "7:68: error: unknown event type `nothing.ever`"),
            ("a thousand brackets", WHERE % f"'{'(' * 500}1 > 0{')' * 500}'", "6:102: error: nested more than 64 levels deep"),
            ("a list in a list in a list", HEAD + f"params: {'[' * 2000}{']' * 2000}\n" + WHEN + STEPS, "6:41: error: nested more than 32 levels"),
            ("a step in a step in a step", f"{HEAD}{WHEN}steps:\n{DEEP}", "38:65: error: nested more than 32 levels deep"),
            ("a billion laughs", BOMB + HEAD + WHEN + STEPS, "1:1: error: unknown key `a`"),
            ("a mapping of itself", HEAD + "params: &p\n  a: *p\n" + WHEN + STEPS, "6:9: error: anchor `&p`: write the value out"),
            ("a tag that runs something", HEAD + WHEN + "steps: [!!python/object/apply:os.system ['id']]\n", "7:9: error: tag `tag:yaml.org,2002:python"),
            ("a key twice", HEAD + "id: v\n" + WHEN + STEPS, "6:1: error: key `id` stands here twice, first on line 2"),
            ("a file in a file", (HEAD + WHEN + STEPS) * 1 + "---\n" + HEAD, "8:1: error: a second document in one file"),
            ("tabs", HEAD + "when:\n\t- event: trade.closed\n" + STEPS, "7:1: error: not valid YAML: "),
            ("half a character", (HEAD + WHEN + STEPS).replace("title: t", 'title: "\\ud800"'), "3:11: error: not valid YAML: "),
            ("another notation of numbers", HEAD + "limit: {max: 0o17, every: 1d}\n" + WHEN + STEPS, "6:14: error: `max` is a whole number"),
            ("a minute and a half", HEAD + "limit: {max: 1, every: 1:30}\n" + WHEN + STEPS, f"6:24: error: {DURATION}"),
            ("a format of the far future", (HEAD + WHEN + STEPS).replace("schema: 1", "schema: 1" + "0" * 25), "1:9: error: `schema` is a whole number, and not as large"),
            ("more than there is", WHERE % "event.lots > 1e999999", "6:50: error: numbers have at most 28 digits"),
            ("more again", WHERE % "event.lots * 1e308 > 1", "6:50: error: numbers lie between 1e-30 and 1e30"),
            ("without end", HEAD + "params: {a: {type: number, default: .inf}}\n" + WHEN + STEPS, "6:37: error: the default of a number"),
            ("a loop", TEXT % "{%% for i in range(999999999) %%}x{%% endfor %%}".replace("%%", "%"), "7:71: error: there are no loops in text"),
            ("a call of itself", TEXT % "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "7:71: error: nothing can be called in text"),
            ("a way out", TEXT % "{{ event.__class__.__mro__ }}", "7:71: error: __mro__ is out of reach"),
            ("another file's text", TEXT % '{% include "/etc/passwd" %}', "7:71: error: text cannot include other text"),
            ("a tower of powers", TEXT % "{{ 9**9**9 }}", "7:71: error: powers are not allowed in text"),
            ("conditions in conditions", TEXT % ("{% if 1 %}" * 400 + "x" + "{% endif %}" * 400), "7:71: error: nested too deeply"),
        )
    ],
)  # fmt: skip
def test_the_answer_says_where_and_why(text, said):
    first = str(load_text(text, "w.yaml").problems[0])

    assert first.startswith(f"w.yaml:{said}")
