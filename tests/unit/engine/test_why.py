"""Why: what was kept, and how each trigger stands now, with the values that decide."""

from datetime import timedelta

import pytest
from unit.engine.desk import a_workflow
from unit.engine.test_loop import Engine

from hub.engine.index import Program
from hub.engine.why import MOST_TRACES, why
from hub.testing import a_trade_closed

TEXT = """
scope: account.login > 0
aggregates:
  lots: {from: trade.closed, sum: event.lots, window: {sliding: 7d}}
when:
  - {id: volume, becomes: lots > 20}
  - {id: big, event: trade.closed, where: event.lots > 9}
  - {id: floor, crosses: {value: account.equity, below: 500, rearm: 600}}
limit: {max: 1, every: 30d}
steps: [{do: event.publish, with: {type: custom.x}}]
"""


class Asked:
    def __init__(self):
        self.workflow = a_workflow(TEXT, id="rule")
        self.engine = Engine()

    async def tell(self, lots):
        fact = a_trade_closed(lots=lots)
        await self.engine.log.append([fact])
        await self.engine.settle()
        return fact

    async def why(self, **named):
        key = named.pop("key", a_trade_closed().account)
        store, now = self.engine.store, self.engine.clock.now_us()
        return await why(
            store, Program([self.workflow]), named.pop("workflow", "rule"), key, now_us=now, **named
        )


@pytest.fixture
async def asked():
    asked = Asked()
    await asked.engine.loop.activate([asked.workflow])
    await asked.engine.settle()
    return asked


async def test_it_says_how_far_each_trigger_is(asked):
    fact = await asked.tell("8.5")
    event = await asked.engine.log.find(fact.key)

    answer = await asked.why(event=event)

    assert [(each.trigger, each.holds, each.reason) for each in answer.standing] == [
        ("volume", False, "lots > 20 is false (8.5 > 20)"),
        ("big", False, "where: event.lots > 9 is false (8.5 > 9)"),
        ("floor", False, "account.equity below 500: 500, not seen yet, armed again at 600"),
    ]


async def test_it_tells_what_fired_and_what_was_held_back(asked):
    await asked.tell("10")
    await asked.tell("11")

    answer = await asked.why()

    lines = "\n".join(answer.lines())
    assert {kept.verdict for kept in answer.kept} == {"fired", "held_back"}
    assert "fired: big: event.lots > 9 is true (10 > 9)" in lines
    assert "limit: 1 run(s) within 30d" in lines
    assert "asked for rule/" in lines


async def test_it_can_be_asked_of_one_event_or_of_a_time(asked):
    fact = await asked.tell("10")
    event = await asked.engine.log.find(fact.key)
    await asked.tell("11")

    assert {kept.event for kept in (await asked.why(event=event)).kept} == {event.ref}
    assert (await asked.why(at=asked.engine.clock.now_us() - 1)).kept == ()


async def test_a_decision_is_found_however_much_was_decided_since(asked):
    fact = await asked.tell("10")
    event = await asked.engine.log.find(fact.key)
    await asked.engine.clock.advance(timedelta(hours=1))
    for _ in range(MOST_TRACES + 1):
        await asked.tell("11")

    assert [kept.verdict for kept in (await asked.why(event=event)).kept] == ["fired"]


async def test_it_says_when_nothing_is_known(asked):
    (first, *_) = (await asked.why(key="live-1:404")).standing
    (none,) = (await asked.why(workflow="nothing")).standing

    assert first.reason == "nothing was ever heard of live-1:404"
    assert none.reason == "no such workflow is live"
