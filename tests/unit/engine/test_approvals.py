"""Steps that wait for people: four eyes, quorum, expiry, and what was approved is what is done."""

from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from unit.engine.desk import MORNING, Desk, a_workflow

from hub.bus.log import InputKind
from hub.clock import to_us
from hub.engine.approvals import approval_id
from hub.engine.ballots import Ballot, Rules, encode_ballot, refusal
from hub.engine.decision import to_batch
from hub.engine.explain import explain
from hub.engine.load import load_text
from hub.engine.program import Mode
from hub.engine.rows import KeyRows
from hub.engine.run import Run
from hub.engine.run_rows import Approval
from hub.engine.starting import asked_for
from hub.engine.state import KeyState
from hub.engine.story import run_story
from hub.engine.storybook import read_stories
from hub.engine.values import Kind
from hub.intents.intent import Intent

HOUR = timedelta(hours=1)
TOLD = "decision: = steps.sign_off.decision"
PAYS = """
when: [{event: withdrawal.requested}]
limit: {max: 100, every: 1d}
steps:
  - {id: sign_off, approve: {permission: money.approve, %s}}
  - if: not steps.sign_off.rejected
    steps:
      - {id: pay, do: balance.withdraw, with: {amount: = event.amount, comment: "for {{ event.request }}"}}
  - {do: event.publish, with: {type: custom.decided, data: {%s}}}
"""
NOT_BY_ASKER = 'within: 24h, not_by: ["= event.requested_by"]'


def a_payout(asks: str = NOT_BY_ASKER, told: str = TOLD, **header: Any) -> Any:
    return a_workflow(PAYS % (asks, told), **header)


class Town(Desk):
    """A desk with people at it."""

    def request(self, amount: str = "5000", by: str = "carl", **more: Any) -> list[Intent]:
        number = len(self.inputs)
        return self.tell("withdrawal.requested", request=f"w{number}", amount=amount, requested_by=by, **more)

    @property
    def rows(self) -> dict[str, Any]:
        """Return the table of questions as the store would have it."""
        rows: dict[str, Any] = {}
        for decision in self.decisions:
            batch = to_batch(decision)
            for row in batch.approvals:
                rows.setdefault(row.id, row)
            for move in batch.approval_moves:
                rows[move.id] = rows[move.id]._replace(state=move.state, votes=move.votes)
        return rows

    @property
    def asked(self) -> Any:
        return list(self.rows.values())[-1]

    @property
    def shown(self) -> Any:
        return msgspec.json.decode(self.asked.shown)

    def says(self, who: str, decision: str = "approve", *, of: Any = None, **changes: Any) -> list[Intent]:
        row = of or self.asked
        ballot = Ballot(
            id=f"b{len(self.inputs)}", approval=row.id, workflow=row.workflow, run=row.run, decision=decision,
            by=f"key_{who}", name=who, permission=row.permission, hash=row.hash,
        )  # fmt: skip
        ballot = msgspec.structs.replace(ballot, **changes)
        return self.take(self._input(InputKind.APPROVAL, ballot.approval, encode_ballot(ballot)))

    def restart(self) -> None:
        """Forget everything that is not written down."""
        states: dict[tuple[int, str], bytes] = {}
        for decision in self.decisions:
            for row in to_batch(decision).states:
                if row.value is None:
                    states.pop((row.kind, row.name), None)
                else:
                    states[row.kind, row.name] = row.value
        rows = KeyRows([(kind, name, value) for (kind, name), value in states.items()], (), ())
        self.state = KeyState.from_rows(self.state.partition, self.state.key, rows)

    @property
    def decisions_told(self) -> list[str]:
        found = [fact for fact in self.facts if fact.envelope.type == "custom.decided"]
        return [msgspec.json.decode(fact.envelope.data)["decision"] for fact in found]


def test_a_run_waits_for_a_person_and_goes_on_when_one_has_approved():
    town = Town(a_payout())
    assert town.request() == []
    assert (town.asked.state, town.asked.permission, town.asked.account) == (
        "open", "money.approve", "live-1:7001",
    )  # fmt: skip

    (pay,) = town.says("dora", comment="seen his passport")

    assert (pay.verb, pay.params) == ("balance.withdraw", b'{"amount":"5000.00","comment":"for w0"}')
    assert town.asked.state == "approved"
    assert town.timers == {}
    (told,) = [fact for fact in town.facts if fact.envelope.type == "action.approved"]
    data = msgspec.json.decode(told.envelope.data)
    assert (data["action"], data["actor"], data["reason"]) == (town.asked.id, "dora", "seen his passport")
    town.outcome(pay)
    assert town.decisions_told == ["approved"]
    assert set(town.runs.values()) == {"done"}


def test_what_is_shown_is_recorded_with_its_hash():
    asks = 'within: 24h, quorum: 2, show: [event, account, params], text: "Pay {{ event.amount }}?", not_by: [carl, "= event.requested_by"]'
    town = Town(a_payout(asks, params="{most: {type: number, default: 7}}"))
    town.account(currency="USD", digits=2)
    town.request(by="max")

    row, shown = town.asked, town.shown

    assert row.hash == sha256(row.shown).hexdigest()
    assert row.id == approval_id(row.run, "sign_off")
    assert row.due == to_us(MORNING + 24 * HOUR)
    assert shown["actions"] == [
        {"step": "pay", "verb": "balance.withdraw", "params": {"amount": "5000.00", "comment": "for w1"}}
    ]
    assert (shown["text"], shown["quorum"], shown["not_by"]) == ("Pay 5000?", 2, ["carl", "max"])
    assert shown["shown"]["event"]["requested_by"] == "max"
    assert shown["shown"]["account"]["currency"] == "USD"
    assert shown["shown"]["params"] == {"most": "7"}
    assert msgspec.json.decode(row.votes) == {"votes": [], "refused": []}


@pytest.mark.parametrize("who", [{"name": "Carl "}, {"by": "carl", "name": "phone"}])
def test_four_eyes_who_asked_for_it_may_not_decide_it(who):
    town = Town(a_payout())
    town.request(by="carl")

    assert town.says("x", **who) == []
    assert town.says("x", "decline", **who) == []

    assert town.asked.state == "open"
    reasons = [trace.reason for trace in town.traces("held_back")]
    assert len(reasons) == 2
    assert all("four eyes" in reason for reason in reasons)
    refused = msgspec.json.decode(town.asked.votes)["refused"]
    assert [vote["decision"] for vote in refused] == ["approve", "decline"]
    assert len(town.says("dora")) == 1


STARTED = """
when: [{manual: {inputs: {amount: {type: number}}}}]
limit: {max: 9, every: 1d}
steps:
  - {id: sign_off, approve: {permission: money.approve, within: 24h, not_by: [= trigger.by]}}
  - {id: pay, do: balance.withdraw, with: {amount: = trigger.inputs.amount}}
"""


@pytest.mark.parametrize("who", [{"by": "key_c1"}, {"name": "Carl Ö."}, {"name": "CARL  O\u0308. "}])
def test_four_eyes_who_started_it_may_not_decide_it(who):
    workflow = a_workflow(STARTED)
    town = Town(workflow)
    town.account(currency="USD", digits=2)
    inputs, by = {"amount": "9"}, "key_c1 (Carl Ö.)"
    told = asked_for(workflow, "live-1:7001", trigger=None, inputs=inputs, name="s1", by=by)
    town.take(town._input(InputKind(told.input.kind), told.input.ref, told.input.body))

    assert town.says("x", **who) == []

    assert "four eyes" in town.traces("held_back")[0].reason
    assert town.shown["shown"]["trigger"]["inputs"] == {
        "amount": "9"
    }  # though the file says nothing of what is shown
    assert len(town.says("dora")) == 1


def test_who_may_not_decide_has_to_be_known_before_anybody_is_asked():
    town = Town(a_payout())

    town.tell("withdrawal.requested", request="w1", amount="9")

    assert town.rows == {}
    assert set(town.runs.values()) == {"failed"}
    assert "requested_by" in town.traces("failed")[0].reason


def test_a_quorum_counts_people_and_not_ballots():
    town = Town(a_payout("within: 24h, quorum: 3"))
    town.request()
    assert town.says("dora") == []
    assert town.says("dora") == []
    assert town.says("other", name="DORA") == []  # the name of hers, another key
    assert town.says("other", by="key_dora") == []
    assert town.says("emil") == []
    assert town.asked.state == "open"
    assert "2 of 3" in town.traces("fired")[-1].reason

    assert len(town.says("fritz")) == 1

    assert [vote["name"] for vote in msgspec.json.decode(town.asked.votes)["votes"]] == [
        "dora",
        "emil",
        "fritz",
    ]
    assert town.asked.state == "approved"


def test_one_who_declines_declines_for_all():
    town = Town(
        a_payout("within: 24h, quorum: 3", "decision: = steps.sign_off.decision, by: = steps.sign_off.by")
    )
    town.request()
    town.says("dora")

    assert [intent.verb for intent in town.says("dora", "decline", hash="", comment="no papers")] == [
        "event.publish"
    ]

    assert town.asked.state == "declined"
    assert town.decisions_told == ["declined"]
    (told,) = [fact for fact in town.facts if fact.envelope.type == "action.declined"]
    assert msgspec.json.decode(told.envelope.data)["reason"] == "no papers"
    assert "declined by dora: no papers" in town.traces("done")[-1].reason


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"hash": "0" * 64}, "the hash is another"),
        ({"hash": ""}, "the hash is another"),
        ({"permission": "mail.approve"}, "it takes money.approve"),
    ],
)
def test_a_ballot_for_something_else_does_not_count(change, why):
    town = Town(a_payout())
    town.request()

    assert town.says("dora", **change) == []

    assert town.asked.state == "open"
    assert why in town.traces("held_back")[0].reason
    assert len(town.says("dora")) == 1


def test_somebody_who_declines_with_a_hash_declines_what_has_it():
    town = Town(a_payout())
    town.request()

    town.says("dora", "decline", hash="0" * 64)

    assert town.asked.state == "open"


@pytest.mark.parametrize(("then", "run", "told"), [("reject", "done", ["expired"]), ("fail", "failed", [])])
def test_silence_means_what_the_file_says(then, run, told):
    town = Town(a_payout(f"within: 24h, on_timeout: {then}, quorum: 2"))
    town.request()
    town.says("dora")

    town.until(MORNING + 24 * HOUR)

    assert town.asked.state == "expired"
    assert set(town.runs.values()) == {run}
    assert town.decisions_told == told
    assert not [
        intent for decision in town.decisions for intent in decision.intents if intent.verb != "event.publish"
    ]
    (event,) = [fact for fact in town.facts if fact.envelope.type == "action.declined"]
    assert "not decided until" in msgspec.json.decode(event.envelope.data)["reason"]


def test_an_approval_that_expires_late_says_so_and_a_later_ballot_does_not_count():
    town = Town(a_payout("within: 24h"))
    town.request()
    town.timers.clear()  # nobody looked at the clock
    town.now = to_us(MORNING + 25 * HOUR)

    assert [intent.verb for intent in town.says("dora")] == ["event.publish"]

    assert town.asked.state == "expired"
    assert town.decisions_told == ["expired"]
    assert any("late_by 1h" in trace.reason for trace in town.traces())
    (refused,) = town.traces("held_back")
    assert "dora (key_dora) would approve, which does not count: it is not open" in refused.reason


def test_a_ballot_at_the_very_end_is_too_late():
    town = Town(a_payout("within: 24h"))
    town.request()
    town.timers.clear()
    town.now = to_us(MORNING + 24 * HOUR)

    town.says("dora")

    assert town.asked.state == "expired"


def test_the_edge_judges_time_by_itself():
    ballot = Ballot("b", "apr", "rule", "run", "approve", "key_1", "dora", "money.approve", "hash")
    rules = Rules("money.approve", 100, "hash", ["carl"], [])

    assert refusal(ballot, rules, 99) is None
    assert refusal(ballot, rules, 100) is not None


def test_a_second_decision_changes_nothing():
    town = Town(a_payout())
    town.request()
    (pay,) = town.says("dora")

    assert town.says("emil", "decline") == []
    assert town.says("emil") == []

    assert town.asked.state == "approved"
    assert len(town.traces("held_back")) == 2
    town.outcome(pay)
    assert set(town.runs.values()) == {"done"}


def test_what_was_approved_is_what_is_done_whatever_has_changed():
    town = Town(
        a_workflow("""
when: [{event: withdrawal.requested}]
steps:
  - {id: sign_off, approve: {permission: accounts.approve, within: 24h}}
  - if: not steps.sign_off.rejected
    then:
      - {id: move, do: account.set_group, with: {group: '= default(account.country, "none")', expect_group: = account.group}}
""")
    )
    town.account(group="real/std", country="CY")
    town.request()
    town.account(group="real/vip", country="GR")
    town.restart()

    (move,) = town.says("dora")

    assert msgspec.json.decode(move.params) == {"group": "CY", "expect_group": "real/std"}
    assert town.shown["actions"][0]["params"] == msgspec.json.decode(move.params)


def test_an_amount_that_can_no_longer_be_booked_as_approved_is_not_booked():
    town = Town(a_payout())
    town.request(amount="5000.555")
    assert town.shown["actions"][0]["params"]["amount"] == "5000.56"
    town.account(digits=0)

    assert town.says("dora") == []

    assert "5000.56 was approved, and 5001 is what can be booked" in town.traces("failed")[0].reason


def test_an_amount_of_nothing_is_shown_as_that_and_does_nothing():
    town = Town(a_payout(), login=7001)
    town.request(amount="0.001")
    assert "the amount is 0.00, not above 0" in town.shown["actions"][0]["problem"]

    assert town.says("dora") == []

    assert "the amount is 0.00, not above 0" in town.traces("held_back")[0].reason


def test_the_reasons_name_the_question():
    town = Town(a_payout())

    town.request()

    assert f"{town.asked.id} asks for money.approve" in town.traces("fired")[0].reason


def test_what_is_known_only_later_is_shown_as_that():
    town = Town(
        a_workflow("""
when: [{event: withdrawal.requested}]
steps:
  - {id: sign_off, approve: {permission: money.approve, within: 24h}}
  - {id: lock, do: account.disable_trading, with: {comment: "by {{ steps.sign_off.by }}"}}
  - {id: note, do: account.update, with: {name: Ann, comment: = steps.lock.state}}
""")
    )
    town.request()
    assert town.shown["actions"] == [
        {"step": "lock", "verb": "account.disable_trading", "params": {}, "later": ["comment"]},
        {"step": "note", "verb": "account.update", "params": {"name": "Ann"}, "later": ["comment"]},
    ]

    (lock,) = town.says("dora")
    (note,) = town.outcome(lock)

    assert msgspec.json.decode(lock.params) == {"comment": "by dora"}
    assert msgspec.json.decode(note.params) == {"name": "Ann", "comment": "applied"}


def test_every_way_that_may_still_be_taken_is_shown_and_no_other():
    town = Town(
        a_workflow("""
when: [{event: withdrawal.requested}]
steps:
  - if: event.amount > 100
    then:
      - {id: sign_off, approve: {permission: money.approve, within: 24h}}
      - choose:
          - {if: steps.sign_off.rejected, steps: [{id: no, do: account.disable}]}
          - {if: event.amount > 1000, steps: [{id: much, do: account.disable_trading}]}
          - {else: [{id: little, do: account.enable}]}
      - if: account.country == "CY"
        then: [{id: here, do: account.update, with: {country: CY}}]
        else: [{id: there, do: account.update, with: {country: GR}}]
      - {stop: enough}
    else:
      - {id: small, do: account.enable_trading}
""")
    )
    town.account(country="CY")
    town.request(amount="5000")

    assert [action["step"] for action in town.shown["actions"]] == ["much", "here", "there"]

    town.account(country="GR")
    (much,) = town.says("dora")
    (there,) = town.outcome(much)
    assert (much.step, there.step) == ("much", "there")


def test_a_second_question_shows_what_the_first_has_fixed():
    town = Town(
        a_workflow("""
when: [{event: withdrawal.requested}]
steps:
  - {id: first, approve: {permission: a.one, within: 24h}}
  - {id: second, approve: {permission: a.two, within: 24h, not_by: [= steps.first.by]}}
  - {id: move, do: account.set_group, with: {group: = account.country}}
""")
    )
    town.account(country="CY")
    town.request()
    town.account(country="GR")
    town.says("dora")
    assert town.asked.permission == "a.two"
    assert town.shown["actions"][0]["params"] == {"group": "CY"}

    assert town.says("dora") == []
    (move,) = town.says("emil")

    assert msgspec.json.decode(move.params) == {"group": "CY"}


ALWAYS = """
when: [{event: withdrawal.requested}]
limit: {max: 100, every: 1d}
steps:
  - if: event.amount > 100
    then:
      - {id: sign_off, approve: {permission: money.approve, within: 24h}}
  - {id: fix, do: balance.correct, with: {amount: = event.amount}}
"""


def test_a_verb_that_always_needs_approval_is_not_asked_for_without_one():
    town = Town(a_workflow(ALWAYS))

    assert town.request(amount="50") == []

    assert "nobody has approved it" in town.traces("failed")[0].reason
    town.request(amount="500")
    (fix,) = town.says("dora")
    assert fix.verb == "balance.correct"
    assert set(town.runs.values()) == {"failed", "running"}


def test_a_verb_that_always_needs_approval_is_refused_after_a_no():
    town = Town(a_workflow(ALWAYS))
    town.request(amount="500")

    assert town.says("dora", "decline") == []

    assert "nobody has approved it" in town.traces("failed")[0].reason


def test_a_question_that_grows_too_large_is_not_asked():
    text = "x" * 3_900
    notes = "\n".join(
        f'  - {{id: n{n}, do: account.update, with: {{comment: "{text[:250]}", name: "{text[:120]}"}}}}'
        for n in range(200)
    )
    steps = f"steps:\n  - {{id: sign_off, approve: {{permission: a.b, within: 1h}}}}\n{notes}"
    town = Town(a_workflow(f"when: [{{event: withdrawal.requested}}]\n{steps}"))

    town.request()

    assert town.rows == {}
    assert "more than 65536 bytes" in town.traces("failed")[0].reason


def test_of_what_is_too_large_to_show_only_that_is_said():
    town = Town(
        a_workflow(
            "when: [{event: custom.big}]\nsteps: [{id: ok, approve: {permission: a.b, within: 1h, show: [event, account]}}]"
        )
    )

    town.tell("custom.big", words="x" * 20_000)

    assert "bytes" in town.shown["shown"]["event"]["left_out"]
    assert town.shown["shown"]["account"]["login"] == 7001


def test_people_may_be_asked_what_to_do_about_a_failure():
    town = Town(
        a_workflow("""
when: [{event: withdrawal.requested}]
steps: [{id: move, do: account.set_group, with: {group: vip}}]
on_error:
  - {id: mend, approve: {permission: accounts.approve, within: 24h, text: "{{ error.message }}"}}
  - {id: lock, do: account.disable_trading}
""")
    )
    (move,) = town.request()
    town.outcome(move, "rejected", reason="no such group")
    assert "no such group" in town.shown["text"]
    assert set(town.runs.values()) == {"running"}

    (lock,) = town.says("dora")
    town.outcome(lock)

    assert lock.verb == "account.disable_trading"
    assert set(town.runs.values()) == {"failed"}


# --- over restarts and edits


def test_an_open_question_survives_a_restart():
    town = Town(a_payout("within: 24h, quorum: 2"))
    town.request()
    town.restart()
    town.says("dora")
    town.restart()

    assert town.says("dora") == []
    assert len(town.says("emil")) == 1

    assert not [slot for slot in town.state.values if slot[0] == Kind.APPROVAL]


def test_what_is_stored_reads_back_as_it_was():
    town = Town(a_payout())
    town.request()
    before = dict(town.state.values)

    town.restart()

    (name,) = [slot for slot in before if slot[0] == Kind.APPROVAL]
    assert isinstance(before[name], Approval)
    assert town.state.values == before
    assert town.state.alarm_due == to_us(MORNING + 24 * HOUR)


def test_a_run_and_its_question_keep_the_version_they_began_with():
    old = a_payout("within: 24h")
    town = Town(old)
    town.request()

    town.switch(a_payout("within: 1h, permission: other.people"[:10]))
    town.program.pin(old)
    (pay,) = town.says("dora")

    assert pay.params == b'{"amount":"5000.00","comment":"for w0"}'


def test_a_question_of_a_workflow_that_is_gone_is_withdrawn_when_its_time_is_up():
    town = Town(a_payout("within: 24h"))
    town.request()
    town.switch(a_workflow("when: [{event: trade.closed}]\nsteps: [{stop: nothing}]"))

    assert town.says("dora") == []
    assert "cannot be loaded" in town.traces("held_back")[0].reason
    town.until(MORNING + 24 * HOUR)

    assert town.asked.state == "withdrawn"
    assert town.timers == {}


def test_a_run_that_breaks_takes_its_question_back_and_stops_nobody(monkeypatch):
    town = Town(a_payout("within: 24h"))
    town.request()
    town.request()
    first, second = town.rows.values()
    carry_on = Run.carry_on

    def breaks(run: Run) -> Any:
        if run.begun.id == first.run:
            raise RuntimeError("the sky fell")
        return carry_on(run)

    monkeypatch.setattr(Run, "carry_on", breaks)
    assert town.says("dora", of=first) == []
    assert len(town.says("dora", of=second)) == 1

    assert [row.state for row in town.rows.values()] == ["withdrawn", "approved"]
    assert town.runs[first.run] == "failed"
    assert "the sky fell" in town.traces("failed")[0].reason


def test_a_ballot_nobody_can_read_is_an_error_of_its_own():
    town = Town(a_payout())
    town.request()

    with pytest.raises(Exception, match="not a ballot"):
        town.take(town._input(InputKind.APPROVAL, town.asked.id, b'{"decision": "approve"}'))
    with pytest.raises(Exception, match="at most"):
        town.take(town._input(InputKind.APPROVAL, town.asked.id, b" " * 20_000))


def test_in_shadow_nobody_is_asked_and_it_is_assumed():
    town = Town(
        replace(
            a_payout(told="decision: = steps.sign_off.decision, assumed: = steps.sign_off.assumed"),
            mode=Mode.SHADOW,
        )
    )

    intents = town.request()

    assert [(intent.verb, intent.state.value) for intent in intents] == [
        ("balance.withdraw", "shadow"), ("event.publish", "shadow"),
    ]  # fmt: skip
    assert msgspec.json.decode(intents[1].params)["data"] == {"decision": "approved", "assumed": True}
    assert town.rows == {}


def test_thousands_of_open_questions_of_many_accounts_each_expire_once():
    workflow = a_payout("within: 24h")
    towns = [Town(workflow, login=login) for login in range(7_000, 7_200)]
    for town in towns:
        for _ in range(5):
            town.request()
        town.restart()
        assert len(town.state.open_runs) == 5

    for town in towns:
        town.until(MORNING + 30 * HOUR)
        assert [row.state for row in town.rows.values()] == ["expired"] * 5
        assert town.decisions_told == ["expired"] * 5
        assert not town.state.open_runs


# --- the file


def test_it_is_said_in_plain_english():
    lines = "\n".join(explain(a_payout('within: 24h, quorum: 2, not_by: ["= event.requested_by"]')).lines)

    assert "Waits to be approved by 2 different people with the permission money.approve, but not by" in lines
    assert "They see what would be done from here on, and the event and the account." in lines
    assert "If it is not decided within 1 day, it counts as rejected." in lines


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        ("{approve: {permission: money.approve, within: 24h}}", "`id` is missing"),
        ("{id: a, approve: {within: 24h}}", "`permission` is missing"),
        ("{id: a, approve: {permission: money.approve}}", "`within` is missing"),
        ("{id: a, approve: {permission: Money, within: 24h}}", "write words with points between them"),
        ("{id: a, approve: {permission: a.b, within: 24h, quorum: 11}}", "quorum"),
        ("{id: a, approve: {permission: a.b, within: 24h, on_timeout: approve}}", "`on_timeout` is reject or fail"),
        ("{id: a, approve: {permission: a.b, within: 24h, show: [evnt]}}", "cannot be shown; did you mean event?"),
        ("{id: a, approve: {permission: a.b, within: 24h, not_by: [= event.reqested_by]}}", "requested_by"),
        ("{id: a, approve: {permission: a.b, within: 24h, not_by: [= event.amount > 1]}}", "holds names of keys"),
        ("{id: a, approve: {permission: a.b, within: 24h, text: '{{ evnt }}'}}", "evnt"),
        ("{id: a, approve: {permission: a.b, within: 400d}}", "`within` is from 1s to 366d"),
        ("{id: a, approve: {permission: a.b, within: 24h, quorm: 2}}", "did you mean quorum?"),
    ],
)  # fmt: skip
def test_a_step_that_cannot_be_asked_is_refused_with_its_place(step, problem):
    head = "schema: 1\nid: rule\ntitle: a rule\nwhen: [{event: withdrawal.requested}]\nsteps:\n  - "

    report = load_text(f"{head}{step}\n", "rule.yaml")

    assert report.workflow is None
    assert [found.place.line for found in report.problems] == [6] * len(report.problems)
    assert any(problem in str(found) for found in report.problems), [str(each) for each in report.problems]


def test_a_verb_that_always_needs_approval_is_refused_where_nobody_is_asked_before():
    head = "schema: 1\nid: rule\ntitle: a rule\nlimit: {max: 1, every: 1d}\nwhen: [{event: withdrawal.requested}]\n"
    fix = "  - {id: fix, do: balance.correct, with: {amount: = event.amount}}\n"
    ask = "  - {id: ok, approve: {permission: a.b, within: 1h}}\n"

    alone = load_text(f"{head}steps:\n{fix}", "rule.yaml")
    handling = load_text(f"{head}steps:\n{ask}on_error:\n{fix}", "rule.yaml")
    asked = load_text(f"{head}steps:\n{ask}{fix}", "rule.yaml")

    assert any("add an `approve` step before it" in str(each) for each in alone.problems)
    assert any("none for what a failed run does" in str(each) for each in handling.problems)
    assert (alone.workflow, handling.workflow) == (None, None)
    assert asked.workflow is not None


# --- stories

STORY = """
workflow: rule
tests:
  - name: told
    given: {account: {login: 7001, group: std}, client: {id: c-1}}
    story:
      - {at: 2026-03-02T10:00Z, event: {type: withdrawal.requested, request: w1, amount: 5000, requested_by: carl}}
      - %s
"""


async def told(step: str, **header: Any) -> str:
    book = read_stories(STORY % step, "rule.test.yaml")
    assert book.file is not None, [str(problem) for problem in book.problems]
    result = await run_story(a_payout(**header), book.file.tests[0], book.places[0])
    return "\n".join(result.failures)


PAID = "expect: [{action: balance.withdraw, amount: 5000}, {action: event.publish}]"


@pytest.mark.parametrize(
    ("step", "failure"),
    [
        (f"{{approve: sign_off, by: dora, {PAID}}}", ""),
        ("{decline: sign_off, by: dora, expect: [{action: event.publish, data: {decision: declined}}]}", ""),
        ("{approve: sign_off, by: carl, expect_none: true, why: four eyes}", ""),
        ("{expect_approval: {step: sign_off, login: 7001, quorum: 1}, expect_none: true}", ""),
        ("{approve: sign_of, by: dora, expect_none: true}", "nobody was asked at step sign_of"),
        ("{approve: sign_off, by: dora, expect_none: true}", "expected no intent"),
        (
            "{expect_approval: {step: sign_off, quorum: 2}, expect_none: true}",
            "but what is asked differs:\n  quorum: expected 2, got 1",
        ),
        ("{expect_approval: {step: sign_off, state: approved}}", "state: expected approved, got open"),
    ],
)
async def test_a_story_has_people_decide_and_says_what_they_are_asked(step, failure):
    said = await told(step)

    assert failure in said
    assert bool(said) == bool(failure), said


@pytest.mark.parametrize("step", ["{approve: sign_off}", "{by: dora}", "{approve: a, decline: b, by: dora}"])
def test_a_story_that_does_not_say_who_decides_is_refused(step):
    assert read_stories(STORY % step, "rule.test.yaml").file is None


@pytest.mark.parametrize("key", ["client", "group", "all"])
async def test_by_another_key_the_account_of_the_request_is_the_one_that_is_paid(key):
    expected = "{action: balance.withdraw, login: 7001, amount: 5000}, {action: event.publish, login: 7001}"

    assert await told(f"{{approve: sign_off, by: dora, expect: [{expected}]}}", key=key) == ""
