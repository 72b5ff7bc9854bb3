"""What people are told of anchors: `hub explain`, `hub why`, warnings while loading, and stories."""

from unit.engine.desk import a_workflow
from unit.engine.prop_house import House

from hub.engine.explain import explain
from hub.engine.load import load_text
from hub.engine.story import run_story
from hub.engine.storybook import read_stories

TELL = "steps: [{do: event.publish, with: {type: custom.told, data: {v: = trigger.value}}}]\n"
ALL = f"""
anchors:
  day: {{take: "max(account.balance, account.equity)", daily_at: "17:00", tz: America/New_York, first: account.initial_balance}}
  start: {{take: account.initial_balance, once: true}}
  paid: {{take: event.amount, event: balance.deposited, where: event.amount > 10}}
  high: {{max: account.balance, first: start, lock: start + paid}}
  low: {{min: account.equity}}
when:
  - {{id: fall, crosses: {{value: account.equity, below: high - day, inclusive: true, for: 30s, gap: continue}}}}
  - {{id: rise, crosses: {{value: account.equity, above: low + 100, for: 1m}}}}
{TELL}"""


def test_what_is_remembered_reads_as_english():
    lines = explain(a_workflow(ALL)).lines

    start = lines.index("Remembers, for each account:")
    assert list(lines[start + 1 : start + 6]) == [
        (
            "  day: the largest of the account's balance, the account's equity, whenever it is 17:00 by the clock of "
            "America/New_York; until the first time, the account's initial balance."
        ),
        "  start: the account's initial balance, when it is first known, and then for good.",
        "  paid: the event's amount, at every balance.deposited where amount is greater than 10.",
        "  high: the largest value ever of the account's balance, beginning with start, at most start + paid.",
        "  low: the smallest value ever of the account's equity, between the events as well.",
    ]
    assert "  balance.deposited: Money came in." in lines


def test_a_level_that_has_to_stay_passed_says_for_how_long():
    lines = explain(a_workflow(ALL)).lines

    assert (
        "  fall: each time the account's equity reaches high - day or falls below it, and stays so for 30 seconds "
        "(whether the feed was away meanwhile or not); again only after it came back to the limit."
    ) in lines
    assert any(
        "stays so for 1 minute (begun anew when the feed was away meanwhile)" in line for line in lines
    )


async def test_why_says_where_a_trailing_limit_is_now_and_that_it_is_being_held():
    house = await House(
        "anchors: {peak: {max: account.equity}}\n"
        "when: [{crosses: {value: account.equity, below: peak - 100, for: 30s}}]\n" + TELL,
        "2026-04-13T12:00Z",
    ).open(balance="1000")
    assert await house.why() == [
        "account.equity below peak - 100: the limit follows a peak, and no sample has been seen yet"
    ]

    await house.sample("1000")
    await house.sample("899")

    assert await house.why() == [
        (
            "account.equity below peak - 100: 900, crossed, and not recovered since; fires at 2026-04-13T12:00:30.000Z, "
            "if it stays so till then"
        )
    ]


def test_a_condition_that_reads_a_peak_is_warned_of():
    text = (
        "schema: 1\nid: t\ntitle: t\nanchors: {peak: {max: account.equity}}\nwhen: [{becomes: peak > 5}]\n"
        "steps: [{do: event.publish, with: {type: custom.a, data: {}}}]\n"
    )

    (problem,) = load_text(text, "t.yaml").problems

    assert "t.yaml:5:18: warning: `peak` is read as it was told last" in str(problem)


def test_an_anchor_nobody_reads_is_warned_of():
    text = (
        "schema: 1\nid: t\ntitle: t\nanchors: {base: {take: 1, once: true}}\nwhen: [{event: trade.closed}]\n"
        "steps: [{do: event.publish, with: {type: custom.a, data: {}}}]\n"
    )

    assert [str(problem) for problem in load_text(text, "t.yaml").problems] == [
        "t.yaml:4:11: warning: nothing reads `base`"
    ]


STORIES = """
workflow: rule
tests:
  - name: a gap begins it anew
    given: {account: {balance: 1000}}
    story:
      - {at: 2026-04-13T12:00Z, sample: {equity: 1000}}
      - {at: 2026-04-13T12:00:10Z, sample: {equity: 800}}
      - {at: 2026-04-13T12:00:20Z, sample: {gap: true}}
      - {at: 2026-04-13T12:00:50Z, expect_none: true, why: "the feed was away"}
      - {at: 2026-04-13T12:01:00Z, sample: {equity: 790}}
      - {at: 2026-04-13T12:01:29Z, expect_none: true}
      - {at: 2026-04-13T12:01:30Z, expect: [{action: event.publish, data: {v: 800}}]}
  - name: midnight without a sample is unknown until one comes
    given: {account: {balance: 1000}}
    story:
      - {at: 2026-04-13T12:00Z, event: {type: trade.closed, deal: 1, net_profit: 1}}
      - {at: 2026-04-14T12:00Z, expect_none: true, why: "anchor day could not be taken: account.equity is missing"}
      - {at: 2026-04-14T12:01Z, sample: {equity: 1100}}
      - {at: 2026-04-14T12:02Z, sample: {equity: 1000}, expect_none: true, why: "(1000 < 900)"}
"""


async def test_stories_can_tell_of_gaps_and_of_days_that_end():
    rule = a_workflow(
        'anchors: {day: {take: "max(account.balance, account.equity)", daily_at: "00:00", tz: UTC, first: 1100}}\n'
        "when: [{crosses: {value: account.equity, below: day - 200, for: 30s}}]\n" + TELL
    )
    book = read_stories(STORIES, "rule.test.yaml")
    assert book.file is not None, book.problems

    results = [
        await run_story(rule, story, place) for story, place in zip(book.file.tests, book.places, strict=True)
    ]

    assert [result.failures for result in results] == [(), ()]


CLIENTS = """
workflow: rule
tests:
  - name: what a client paid first is remembered over his accounts
    given:
      account: {login: 1, type: real}
      accounts: [{login: 2, type: real}]
      client: {id: c-1, country: CY}
    story:
      - {at: 2026-04-13T12:00Z, event: {type: balance.deposited, amount: 100, is_first: true}}
      - {at: 2026-04-13T12:01Z, event: {type: balance.deposited, amount: 50, account: {login: 2}}, expect_none: true}
      - at: 2026-04-13T12:02Z
        event: {type: balance.deposited, amount: 101, account: {login: 2}}
        expect: [{action: event.publish, data: {first: 100}}]
"""


async def test_what_is_kept_by_client_is_remembered_by_client():
    rule = a_workflow(
        "anchors: {paid: {take: event.amount, event: balance.deposited, where: event.is_first}}\n"
        "when: [{event: balance.deposited, where: event.amount > paid}]\n"
        "steps: [{do: event.publish, with: {type: custom.told, data: {first: = paid}}}]",
        key="client",
    )
    book = read_stories(CLIENTS, "rule.test.yaml")
    assert book.file is not None, book.problems

    result = await run_story(rule, book.file.tests[0], book.places[0])

    assert result.failures == ()
