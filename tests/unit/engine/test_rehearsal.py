"""A rehearsal: recorded events told to the pure engine, timers merged by time, actions assumed, nothing sent."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.engine.desk import MORNING, Desk, a_workflow

from hub.bus.log import InputKind
from hub.clock import to_us
from hub.engine import rehearsal as rehearsing
from hub.engine import runs
from hub.engine.account_rows import AccountRow
from hub.engine.backtest import Tally
from hub.engine.decide import advance
from hub.engine.levels import PositionSample, Sample
from hub.engine.load_text import load_text
from hub.engine.rehearsal import Rehearsal
from hub.events.operations import ActionMoved

HOUR = timedelta(hours=1)


class Recorded(Desk):
    """A desk whose inputs are a record for others."""

    @property
    def rows(self):
        return self.inputs


def rehearse(workflow, record, **named):
    tally = Tally()
    rehearsal = Rehearsal([workflow], tally, **named)
    rehearsal.tell(record.rows)
    return rehearsal, tally


def a_record():
    return Recorded(
        a_workflow("when: [{event: custom.never}]\nsteps: [{do: event.publish, with: {type: custom.x}}]")
    )


BONUS = """
aggregates:
  lots: {from: trade.closed, sum: event.lots, window: {calendar: month, tz: UTC}}
when: [{id: volume, becomes: lots > 20}]
limit: {max: 1, every: 30d}
steps:
  - {id: pay, do: credit.grant, with: {amount: = lots * 2}}
  - {id: tell, do: event.publish, with: {type: custom.paid, data: {ticket: = steps.pay.ticket}}}
"""


def test_it_says_who_when_and_how_much():
    record = a_record()
    record.account(currency="EUR", credit="0")
    for lots in (12, 13):
        record.tell("trade.closed", lots=str(lots), deal=lots)

    rehearsal, tally = rehearse(a_workflow(BONUS), record)

    (paid, told) = tally.touches
    assert (paid.who, paid.trigger, paid.amount, paid.currency) == (
        ("live-1:7001", "credit.grant"), "volume", Decimal("50.00"), "EUR",
    )  # fmt: skip
    assert told.verb == "event.publish"  # the run went on past the action that was assumed
    assert dict(tally.money) == {"credit.grant EUR": Decimal("50.00")}
    assert rehearsal.broken == []


def test_a_workflow_in_shadow_or_off_is_rehearsed_as_if_it_were_live():
    record = a_record()
    record.tell("trade.closed", lots="21", deal=1)

    for mode in ("shadow", "off"):
        _, tally = rehearse(a_workflow(BONUS, mode=mode), record)

        assert tally.actions["credit.grant"] == 1


def test_what_is_held_back_is_counted_by_reason():
    record = a_record()
    record.tell("trade.closed", lots="21", deal=1)
    record.tell("trade.cancelled", deal=1, at=MORNING + HOUR)
    record.tell("trade.closed", lots="21", deal=2)

    text = BONUS.replace("tz: UTC}", "tz: UTC}, retract: {event: trade.cancelled, ref: event.deal}")
    _, tally = rehearse(a_workflow(text), record)

    assert tally.actions["credit.grant"] == 1
    assert dict(tally.held_back) == {"limit": 1}


def test_an_assumed_effect_is_seen_by_what_follows():
    record = a_record()
    record.account(credit="10")
    record.tell("trade.closed", lots="1", deal=1)
    record.tell("trade.closed", lots="1", deal=2)
    pays = """
when: [{event: trade.closed, where: account.credit < 15}]
limit: {max: 9, every: 1d}
steps: [{id: pay, do: credit.grant, with: {amount: 5}}]
"""

    _, tally = rehearse(a_workflow(pays), record)

    assert tally.actions["credit.grant"] == 1  # the second event sees 15


def test_an_account_stays_in_the_group_it_was_assumed_to_be_moved_to_until_the_record_moves_it():
    record = a_record()
    for deal in (1, 2):
        record.tell("trade.closed", lots="1", deal=deal, group="std")
    record.tell("trade.closed", lots="1", deal=3, group="pro")
    promote = """
when: [{event: trade.closed}]
steps:
  - if: account.group == "std"
    then: [{id: move, do: account.set_group, with: {group: vip, expect_group: = account.group}}]
  - {do: event.publish, with: {type: custom.seen, data: {group: = account.group}}}
"""

    _, tally = rehearse(a_workflow(promote), record)

    seen = [
        msgspec.json.decode(touch.params)["data"]["group"]
        for touch in tally.touches
        if touch.verb == "event.publish"
    ]
    assert tally.actions["account.set_group"] == 1
    assert seen[1:] == ["vip", "pro"]


def test_what_the_live_version_published_is_left_out():
    record = a_record()
    record.tell("trade.closed", lots="1", deal=1)
    record.tell("custom.done", caused_by="rule/live-1:7001/go/evt_1/0")
    record.tell("custom.done", caused_by="other/live-1:7001/go/evt_1/0")
    counts = """
when: [{event: custom.done}]
self: true
steps: [{do: event.publish, with: {type: custom.seen}}]
"""

    _, tally = rehearse(a_workflow(counts), record)

    assert tally.actions["event.publish"] == 1


def test_timers_fire_at_their_own_moment_between_the_events():
    record = a_record()
    record.tell("trade.closed", lots="1", deal=1)
    record.tell("trade.closed", lots="1", deal=2, at=MORNING + 5 * HOUR)
    waits = """
when: [{event: trade.closed, where: event.deal == 1}]
steps:
  - wait: {for: 2h}
  - {do: event.publish, with: {type: custom.later}}
"""

    rehearsal, tally = rehearse(a_workflow(waits), record)

    assert [touch.at for touch in tally.touches] == [to_us(MORNING + 2 * HOUR)]
    assert rehearsal.broken_count == 0


def test_time_passes_after_the_last_event_as_far_as_it_is_told_to():
    record = a_record()
    record.tell("trade.closed", lots="1", deal=1)
    waits = "when: [{event: trade.closed}]\nsteps: [{wait: {for: 2h}}, {do: event.publish, with: {type: custom.later}}]"

    rehearsal, tally = rehearse(a_workflow(waits), record)
    assert not tally.touches

    rehearsal.until(to_us(MORNING + 2 * HOUR))
    assert len(tally.touches) == 1


def test_nothing_before_since_is_reported_and_everything_is_remembered():
    record = a_record()
    record.tell("trade.closed", lots="15", deal=1)
    record.tell("trade.closed", lots="15", deal=2, at=MORNING + HOUR)

    _, warmed = rehearse(a_workflow(BONUS), record, since=to_us(MORNING + HOUR))
    _, cold = rehearse(a_workflow(BONUS), record, since=to_us(MORNING + 2 * HOUR))

    assert [touch.amount for touch in warmed.touches if touch.amount] == [Decimal("60.00")]
    assert not cold.touches


def test_an_account_may_be_known_before_its_first_recorded_event():
    record = a_record()
    record.tell("trade.closed", lots="21", deal=1)
    scoped = f'scope: account.type == "real"\n{BONUS}'
    known = AccountRow("live-1", 7001, type="real")

    _, nobody = rehearse(a_workflow(scoped), record)
    _, somebody = rehearse(a_workflow(scoped), record, known=lambda _key: (known, None))

    assert not nobody.touches
    assert somebody.actions["credit.grant"] == 1


BREACH = """
when: [{id: floor, crosses: {value: account.equity, below: 900, rearm: 950}}]
steps: [{do: account.disable}]
"""


def test_samples_cross_the_levels_of_the_version_that_is_rehearsed():
    record = a_record()
    record.account(balance="1000")
    rehearsal, tally = rehearse(a_workflow(BREACH), record)

    for minute, equity in enumerate((1000, 899, 898, 960, 880)):
        rehearsal.sampled(
            "live-1:7001", Sample(equity=Decimal(equity)), to_us(MORNING + timedelta(minutes=minute))
        )

    assert tally.actions["account.disable"] == 2


def test_a_recorded_crossing_counts_as_the_sample_it_was_told_by():
    live = Recorded(a_workflow(BREACH.replace("900", "920")))
    live.account(balance="1000")
    live.observe(live.level, beyond=False)
    live.cross(live.level, "910")

    _, same = rehearse(a_workflow(BREACH.replace("900", "920")), live)
    _, edited = rehearse(a_workflow(BREACH), live)

    assert same.actions["account.disable"] == 1
    assert not edited.actions  # 910 is not below 900, whatever the live level said


STOPS = """when: [{crosses: {value: position.profit, above: 100}}]
steps: [{id: move, do: position.modify, with: {position: = position.id, sl: = position.open_price}}]
"""


def test_samples_of_positions_cross_their_levels():
    record = a_record()
    record.tell("trade.opened", deal=1, position=77)
    record.tell("trade.opened", deal=2, position=78)
    rehearsal, tally = rehearse(a_workflow(STOPS, key="position"), record)

    for minute, profit in enumerate((10, 101, 102, 90, 130)):
        positions = (PositionSample(77, Decimal(profit)), PositionSample(78, Decimal(50)))
        rehearsal.sampled(
            "live-1:7001", Sample(positions=positions), to_us(MORNING + timedelta(minutes=minute))
        )

    assert tally.actions["position.modify"] == 2
    assert rehearsal.broken == []


def test_a_recorded_crossing_of_a_position_counts_as_the_sample_it_was_told_by():
    record = a_record()
    record.tell("trade.opened", deal=1, position=77)
    crossed = {
        "position": 77, "level_id": "l", "generation": 1, "field": "profit", "edge": "crossed", "side": "above",
        "value": "110", "limit": "100", "sampled_at": MORNING, "sample_age_ms": 0,
    }  # fmt: skip
    record.tell("position.crossed", **crossed)

    _, same = rehearse(a_workflow(STOPS, key="position"), record)
    _, edited = rehearse(a_workflow(STOPS.replace("100", "120"), key="position"), record)

    assert same.actions["position.modify"] == 1
    assert not edited.actions


def test_an_input_that_cannot_be_decided_stops_nobody_else():
    record = a_record()
    record.tell("trade.closed", lots="21", deal=1)
    record.tell("trade.closed", lots="1", deal=2)
    body = record.inputs[0].body
    record.inputs.insert(0, record.inputs[0]._replace(body=body.replace(b'"lots":"21"', b'"lots":"x"')))

    rehearsal, tally = rehearse(a_workflow(BONUS), record)

    assert rehearsal.broken_count == 1
    assert "lots" in rehearsal.broken[0]
    assert tally.actions["credit.grant"] == 1


def test_a_workflow_by_client_hears_of_its_accounts():
    record = a_record()
    record.tell("client.updated", client="c-1", changed={"email": {"after": "ann@example.com"}})
    record.tell("trade.closed", lots="21", deal=1)

    _, tally = rehearse(
        a_workflow(
            BONUS.replace(
                "credit.grant, with: {amount: = lots * 2}", "event.publish, with: {type: custom.x}"
            ).replace(
                "  - {id: tell, do: event.publish, with: {type: custom.paid, data: {ticket: = steps.pay.ticket}}}\n",
                "",
            ),
            key="client",
        ),
        record,
    )

    assert tally.actions == {"event.publish": 1}


ASKS = """
when: [{event: trade.closed}]
limit: {max: 9, every: 1d}
steps:
  - {id: sign_off, approve: {permission: approvals.money, quorum: 2, within: 2h, show: [event]}}
  - if: steps.sign_off.decision == "approved"
    then: [{id: pay, do: credit.grant, with: {amount: 5}}]
    else: [{do: event.publish, with: {type: custom.refused, data: {why: = steps.sign_off.decision}}}]
"""


@pytest.mark.parametrize(
    ("people", "verbs"), [("approve", {"credit.grant": 1}), ("decline", {"event.publish": 1}), (None, {})]
)
def test_people_say_what_they_are_assumed_to_say(people, verbs):
    record = a_record()
    record.tell("trade.closed", lots="1", deal=1)

    rehearsal, tally = rehearse(a_workflow(ASKS), record, people=people)

    assert rehearsal.broken == []
    assert tally.actions == verbs


def test_nobody_answers_where_nothing_is_assumed():
    record = a_record()
    record.tell("trade.closed", lots="1", deal=1)

    rehearsal, tally = rehearse(a_workflow(ASKS), record)
    rehearsal.until(to_us(MORNING + 3 * HOUR))

    assert tally.actions == {"event.publish": 1}


SLIDES = """
aggregates:
  lots: {from: trade.closed, sum: event.lots, window: {sliding: 3h}}
when:
  - {id: many, becomes: lots > 8}
  - {id: few, becomes: lots < 3}
limit: {max: 5, every: 1d, per: trigger}
steps: [{wait: {for: 1h}}, {do: event.publish, with: {type: custom.x, data: {lots: = lots}}}]
"""


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 6)), max_size=20))
def test_what_a_window_lets_go_is_decided_as_by_the_hub(script):
    record, moment = a_record(), MORNING
    for deal, (hours, lots) in enumerate(script, start=1):
        moment += hours * HOUR
        record.tell("trade.closed", at=moment, deal=deal, lots=str(lots))
    hub = Desk(a_workflow(SLIDES))
    for item in record.rows:
        hub.until(MORNING + timedelta(microseconds=item.at - to_us(MORNING) - 1))
        hub.take(item._replace(n=len(hub.inputs) + 10_000))
    hub.until(moment + 9 * HOUR)

    rehearsal, tally = rehearse(a_workflow(SLIDES), record)
    rehearsal.until(to_us(moment + 9 * HOUR))

    asked = [intent for decision in hub.decisions for intent in decision.intents]
    assert [(t.at, t.name, t.params) for t in tally.touches] == [
        (intent.at, intent.key.partition("/")[2], intent.params) for intent in asked
    ]


def test_a_grant_is_booked_when_its_period_is_over_and_taken_back_when_it_stops_holding():
    text = (Path(__file__).parents[3] / "workflows" / "monthly-volume-bonus.yaml").read_text(encoding="utf-8")
    workflow = load_text(text, "bonus.yaml").workflow
    assert workflow is not None
    record = a_record()
    record.account(type="real", currency="USD", country="CY", credit="0", digits="2")
    for deal, lots in enumerate(("12", "13"), start=1):
        record.tell("trade.closed", lots=lots, deal=deal, symbol_class="fx")
    record.tell("balance.withdrawn", amount="10", ticket=1, at=MORNING + timedelta(days=40))

    rehearsal, tally = rehearse(workflow, record)
    rehearsal.until(to_us(MORNING + timedelta(days=60)))

    assert rehearsal.broken == []
    assert dict(tally.money) == {"credit.grant USD": Decimal("50.00"), "credit.remove USD": Decimal("50.00")}
    assert [touch.trigger for touch in tally.touches] == ["bonus", "bonus"]


def test_a_message_nobody_agreed_to_is_not_counted_as_sent():
    record = a_record()
    offer = a_workflow(
        "when: [{event: trade.closed}]\n"
        "steps: [{do: notify.email, with: {to: a@b.c, subject: s, text: t, category: marketing}}]"
    )
    record.tell("trade.closed", deal=1)
    record.tell("client.linked", client="c1", changed={"consent_marketing": {"after": True}})
    record.tell("trade.closed", deal=2)

    _, tally = rehearse(offer, record)

    assert tally.actions["notify.email"] == 1


@pytest.mark.parametrize(("listens", "told"), [("custom.never", 0), ("custom.x", 1)])
def test_what_it_publishes_itself_is_decided_where_somebody_needs_it(listens, told, monkeypatch):
    decided = []
    monkeypatch.setattr(rehearsing, "advance", lambda *a: decided.append(a[2].kind) or advance(*a))
    record = a_record()
    record.tell("trade.closed", lots="1", deal=1)
    text = f"when: [{{id: a, event: trade.closed}}, {{id: b, event: {listens}}}]\nsteps: [{{do: event.publish, with: {{type: custom.x}}}}]"

    _, tally = rehearse(a_workflow(text), record)

    assert tally.actions["event.publish"] == 1
    assert decided.count(InputKind.EVENT) == told


@pytest.mark.parametrize(("listens", "moved"), [("action.applied", 1), ("custom.never", 0)])
def test_what_became_of_an_action_is_made_into_an_event_where_somebody_hears_it(listens, moved, monkeypatch):
    made = []
    monkeypatch.setattr(runs, "ActionMoved", lambda **said: made.append(said["verb"]) or ActionMoved(**said))
    record = a_record()
    record.tell("trade.closed", lots="1", deal=1)
    text = f"""
when: [{{id: a, event: trade.closed}}, {{id: b, event: {listens}}}]
limit: {{max: 1, every: 1d, per: trigger}}
steps: [{{id: pay, do: credit.grant, with: {{amount: 5}}}}]
"""

    _, tally = rehearse(a_workflow(text), record)

    assert tally.actions["credit.grant"] == 1
    assert made == ["credit.grant"] * moved
