"""The shipped rule about weekends when its moment comes late: a hub that was down on Friday evening."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from unit.engine.test_loop import Engine

from hub.bus.log import InputKind, NewInput
from hub.engine.decision import decode_trace
from hub.engine.load import load_file
from hub.engine.load_text import load_text
from hub.engine.program import Mode
from hub.expr.judge import judge
from hub.intents.checks import FRESH
from hub.intents.intent import decided_by
from hub.intents.outcome import Outcome, encode_outcome
from hub.testing import a_trade_closed, a_trade_opened, an_account, an_event

FILE = Path(__file__).parents[3] / "workflows" / "weekend-holding.yaml"
ACCOUNT = an_account()
FRIDAY = datetime(2026, 3, 27, 21, tzinfo=UTC)  # 22:00 in Prague


class Friday(Engine):
    """An engine with an account that holds a position, down from shortly before the moment on."""

    is_flat = False

    async def begin(self):
        rule = load_file(FILE).workflow
        assert rule is not None
        text = rule.text.replace("mode: shadow", "mode: live")
        rule = load_text(text, "weekend-holding.yaml").workflow
        await self.loop.activate([replace(rule, mode=Mode.LIVE)])
        changed = {name: {"after": value} for name, value in (("program", "challenge"), ("status", "active"))}
        await self.log.append([an_event("account.updated", ACCOUNT, changed=changed)])
        await self.log.append([a_trade_opened(ACCOUNT, deal=1, position=1)])
        await self.settle()
        return self

    async def down_until(self, moment, *facts):
        """Let time pass with nobody there; what came meanwhile is in the log when it starts again."""
        await self.clock.advance(moment - self.clock.now())
        if facts:
            await self.log.append(facts)
        await self.restart()
        await self.store.fire_timers(self.clock.now_us(), 100)
        await self.answered()

    async def answered(self):
        """Carry everything out; of a flat account the look says so, in the words of who asks it."""
        done = set()
        while True:
            await self.settle()
            waiting = [each for each in self.store.intents.values() if each.key not in done]
            if not waiting:
                return
            for intent in waiting:
                done.add(intent.key)
                outcome = Outcome(intent.key, intent.verb, "applied")
                if self.is_flat and b"guard" in intent.params:
                    why = judge("account.open_positions > 0", {}, {"open_positions": 0}, FRESH)
                    outcome = Outcome(intent.key, intent.verb, "rejected", reason=f"guard: {why}")
                told = NewInput(
                    intent.partition,
                    InputKind.OUTCOME,
                    decided_by(intent),
                    intent.key,
                    encode_outcome(outcome),
                )
                await self.log.append((), inputs=[told])

    def reasons(self):
        return [decode_trace(row.body).reason for row in self.store.trace_rows.values()]

    @property
    def verbs(self):
        return [
            each.verb for each in sorted(self.store.intents.values(), key=lambda each: (each.at, each.key))
        ]


ACTS = ["event.publish", "order.cancel_all", "position.close_all", "position.close_all"]


@pytest.mark.parametrize(("minutes", "acts"), [(0, ACTS), (1, ACTS), (119, ACTS), (121, []), (60 * 24, [])])
async def test_a_late_moment_counts_within_two_hours_and_not_after(minutes, acts):
    engine = await Friday().begin()

    await engine.down_until(FRIDAY + timedelta(minutes=minutes))

    assert sorted(engine.verbs) == acts
    told = [trace.reason for verdict in ("fired", "held_back") for trace in engine.traces(verdict)]
    if 0 < minutes < 120:
        assert any(f"late_by {minutes * 60}s" in reason for reason in told)
    if not acts:
        assert any("not made up for: catch_up: last, within 2h" in reason for reason in told)


async def test_however_late_it_comes_once_and_the_next_friday_is_its_own():
    engine = await Friday().begin()
    await engine.down_until(FRIDAY.replace(hour=22, minute=30))
    await engine.down_until(FRIDAY.replace(hour=22, minute=45))
    assert sorted(engine.verbs) == ACTS

    await engine.down_until(datetime(2026, 4, 3, 20, tzinfo=UTC))  # 22:00 in Prague, by the summer's clock

    assert sorted(engine.verbs[4:]) == sorted([*ACTS, "account.disable", "event.publish"])


@pytest.mark.parametrize("told", [True, False])
async def test_who_went_flat_while_the_hub_was_down_is_left_alone_whether_it_has_heard_of_that_or_not(told):
    engine = await Friday().begin()
    engine.is_flat = True

    closed = a_trade_closed(ACCOUNT, deal=2, position=1, remaining_lots="0")
    await engine.down_until(FRIDAY.replace(minute=30), *([closed] if told else []))

    assert engine.verbs == ["position.close_all"]  # refused by the look at the account, and never sent
    assert any("guard: account.open_positions > 0 is false (0 > 0)" in reason for reason in engine.reasons())
