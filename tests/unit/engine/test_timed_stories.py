"""Stories can tell of schedules and of people who start runs."""

from hub.engine.load_text import load_text
from hub.engine.story import run_story
from hub.engine.storybook import read_stories

HEAD = "schema: 1\nid: w\ntitle: t\n"
WEEKLY = (
    HEAD
    + """
when: [{schedule: {cron: "0 9 * * mon", tz: Europe/Nicosia}}]
steps: [{do: event.publish, with: {type: custom.weekly, data: {login: = account.login}}}]
"""
)
REFUND = (
    HEAD
    + """
when: [{manual: {inputs: {amount: {type: number}}}}]
steps: [{do: event.publish, with: {type: custom.refund, data: {amount: = trigger.inputs.amount}}}]
"""
)


async def failures(workflow, story):
    loaded = load_text(workflow, "w.yaml")
    assert loaded.workflow is not None, loaded.problems
    book = read_stories(f"workflow: w\ntests:\n{story}", "w.test.yaml")
    assert book.file is not None, book.problems
    result = await run_story(loaded.workflow, book.file.tests[0], book.places[0])
    return list(result.failures)


async def test_a_schedule_fires_as_the_clock_of_the_story_moves():
    story = """
  - name: every Monday at nine in Nicosia, once
    given: {account: {server: live-1, login: 7, currency: USD}}
    story:
      - {at: 2026-03-27T10:00Z, expect_none: true, why: "fires next at 2026-03-30T06:00:00.000Z"}
      - at: 2026-03-30T09:00+03:00
        expect: [{action: event.publish, key: "w/live-1:7/schedule/2026-03-30T06:00:00.000Z/0"}]
      - {at: 2026-03-31T10:00Z, restart: hub, expect_none: true}
      - {at: 2026-04-06T09:00+03:00, expect: [{action: event.publish, login: 7}]}
"""
    assert await failures(WEEKLY, story) == []


async def test_a_workflow_of_everything_fires_once_in_a_story():
    story = """
  - name: once, however many accounts
    given: {account: {server: live-1, login: 7}, accounts: [{server: live-1, login: 8}]}
    story:
      - at: 2026-03-30T05:00Z
      - {at: 2026-03-30T09:00+03:00, expect: [{action: event.publish}]}
"""
    workflow = WEEKLY.replace("title: t", "title: t\nkey: all").replace("login: = account.login", "at: = now")

    assert await failures(workflow, story) == []


async def test_somebody_asks_for_a_run_and_is_refused_what_does_not_fit():
    story = """
  - name: a refund
    given: {account: {server: live-1, login: 7, currency: USD}}
    story:
      - {at: 2026-03-30T05:00Z, start: {inputs: {amount: 12.5}}, expect: [{action: event.publish, data: {amount: 12.5}}]}
      - {at: 2026-03-30T06:00Z, start: {inputs: {amount: twelve}}}
"""
    (failure,) = await failures(REFUND, story)

    assert failure.startswith("step 2: start: inputs.amount: it is a plain number")


HELD = (
    HEAD
    + """
key: position
when: [{crosses: {value: position.price, below: 1.05, for: 30s, gap: restart}}]
steps: [{do: event.publish, with: {type: custom.low, data: {login: = account.login, price: = trigger.value}}}]
"""
)


async def test_a_story_samples_positions_and_loses_sight_of_them():
    story = """
  - name: it has to be seen below for half a minute
    given: {account: {server: live-1, login: 7}}
    story:
      - {at: 2026-03-02T10:00:00Z, event: {type: trade.opened, deal: 1, position: 77, side: buy, lots: 1, price: "1.1"}}
      - {at: 2026-03-02T10:00:01Z, sample: {positions: [{position: 77, price: "1.09"}, {position: 78, price: "1.01"}]}}
      - {at: 2026-03-02T10:01:00Z, sample: {degraded: true, positions: [{position: 77, price: "1.01"}]}, expect_none: true}
      - {at: 2026-03-02T10:02:00Z, sample: {positions: [{position: 77, price: "1.04"}]}}
      - {at: 2026-03-02T10:02:20Z, sample: {gap: true}, expect_none: true, why: "the feed was away"}
      - {at: 2026-03-02T10:04:00Z, sample: {equity: 1000}, expect_none: true}
      - {at: 2026-03-02T10:05:00Z, sample: {positions: [{position: 77, price: "1.045"}]}}
      - {at: 2026-03-02T10:05:29Z, restart: hub, expect_none: true}
      - at: 2026-03-02T10:05:30Z
        expect: [{action: event.publish, login: 7, key: "w/position=live-1:77/crosses/1/0", data: {login: 7, price: "1.04"}}]
"""
    assert await failures(HELD, story) == []
