"""Money through the MT Remote backend against the simulated broker: exactly once, whatever the gateway does."""

import asyncio
import time
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from random import Random

import msgspec
import pytest
from pydantic import SecretStr

from hub.clock import SystemClock
from hub.dispatch.channels.manager_mt_remote import MtRemoteBackend
from hub.dispatch.channels.mt_remote_client import MtRemoteClient, MtRemoteSettings
from hub.dispatch.effects.backend import Applied, Found, NotFound, Refused, Unreadable
from hub.dispatch.effects.machine import Timing
from hub.dispatch.effects.worker import NOT_ARMED, ActionWorker
from hub.dispatch.memory import MemoryIntents
from hub.ids import tag_of
from hub.intents.checks import Check, Checks, with_checks
from hub.intents.intent import Intent, State
from hub.intents.outcome import decode_outcome
from hub.sim.faults import Odds
from hub.sim.serve import Options, Simulator

CLOCK = SystemClock()
QUICK = Timing(
    money_quiesce=timedelta(milliseconds=400),
    state_quiesce=timedelta(milliseconds=50),
    between_looks=timedelta(milliseconds=100),
    first_retry=timedelta(milliseconds=20),
    longest_retry=timedelta(milliseconds=100),
)


def an_intent(name, verb="credit.grant", login=1001, **params):
    params = params or {"amount": "50.00"}
    now = CLOCK.now_us()
    return Intent(
        key=f"bonus/live-1:{login}/t/{name}/grant",
        partition=1,
        account=f"live-1:{login}",
        verb=verb,
        params=msgspec.json.encode(params),
        workflow="volume-bonus",
        run="r",
        step="grant",
        caused_by="evt_1",
        state=State.READY,
        at=now,
        due=now,
    )


def settings_for(simulator, **changes):
    fields = {
        "server": "live-1",
        "url": simulator.mt_remote_url,
        "login": simulator.manager_login,
        "password": SecretStr(simulator.manager_password),
        "zone": "Europe/Nicosia",
        "call_timeout_s": 0.5,
        "simulated": True,
    }
    return MtRemoteSettings(**fields | changes)


@asynccontextmanager
async def a_broker(**changes):
    """Yield the simulator and a backend connected to it."""
    async with Simulator(Options(seed=7, traffic=False)) as simulator, asyncio.TaskGroup() as group:
        settings = settings_for(simulator, **changes)
        client = MtRemoteClient(settings, CLOCK)
        stopping = asyncio.Event()
        group.create_task(client.run(stopping))
        try:
            yield simulator, MtRemoteBackend(settings, client)
        finally:
            stopping.set()


async def carried_out(backend, intents, *, armed=False, seconds=15):
    """Run a worker until every intent has ended; return the intents and what the engine was told."""
    stored = MemoryIntents(intents)
    worker = ActionWorker(stored, CLOCK, backends=[backend], armed=armed, random=Random(1), timing=QUICK)
    stopping = asyncio.Event()
    ended = {State.APPLIED, State.REJECTED, State.PARKED}
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(stopping))
        deadline = time.monotonic() + seconds
        while not {intent.state for intent in stored.all()} <= ended:
            assert time.monotonic() < deadline, stored.all()
            await asyncio.sleep(0.01)
        stopping.set()
        worker.wake()
    return [await stored.get(intent.key) for intent in intents], [
        decode_outcome(told.body) for told in stored.told
    ]


def cash_effects(simulator, intent):
    return simulator.ledger.by_tag(tag_of(intent.key, ""))


async def test_money_is_moved_once_with_its_tag_and_the_ticket_comes_back():
    async with a_broker() as (simulator, backend):
        intent = an_intent("plain", comment="Volume bonus 2026-05")
        intent = intent._replace(params=b'{"amount":"50.25","comment":"Volume bonus 2026-05"}')

        (done,), told = await carried_out(backend, [intent])

        (effect,) = cash_effects(simulator, intent)
        assert (done.state, done.ticket) == (State.APPLIED, effect.ticket)
        assert effect.amount == Decimal("50.25")
        assert len(effect.comment) <= 31
        assert told[-1].before["credit"] is not None


@pytest.mark.parametrize(
    ("verb", "field", "sign"),
    [("balance.deposit", "balance", 1), ("balance.withdraw", "balance", -1), ("credit.grant", "credit", 1)],
)
async def test_each_money_verb_moves_its_own_field_by_the_amount(verb, field, sign):
    async with a_broker() as (simulator, backend):
        before = getattr(simulator.broker.account(1001), field)

        (done,), _ = await carried_out(backend, [an_intent("one", verb, amount="10.50")])

        assert done.state is State.APPLIED
        assert getattr(simulator.broker.account(1001), field) - before == sign * Decimal("10.50")


async def test_a_definite_no_is_rejected_with_the_brokers_words():
    async with a_broker() as (simulator, backend):
        (done,), told = await carried_out(backend, [an_intent("too much", "credit.remove", amount="999999")])

        assert done.state is State.REJECTED
        assert done.reason
        assert told[-1].state == "rejected"
        assert not simulator.ledger.effects()


@pytest.mark.parametrize(
    "fault", ["apply_then_drop_answer", "apply_then_withhold_answer", "drop_before_apply", "late_apply"]
)
async def test_whatever_becomes_of_the_answer_the_money_moves_exactly_once(fault):
    async with a_broker() as (simulator, backend):
        simulator.faults.late_apply_after = timedelta(milliseconds=150)
        getattr(simulator.faults, fault).next = 1
        intent = an_intent(fault)

        (done,), told = await carried_out(backend, [intent])

        assert done.state is State.APPLIED
        assert len(cash_effects(simulator, intent)) == 1
        assert told[0].state == "unknown"
        assert done.sends == (2 if fault == "drop_before_apply" else 1)


async def test_twenty_percent_of_trouble_over_many_accounts_neither_loses_nor_doubles_anything():
    async with a_broker() as (simulator, backend):
        for fault in ("apply_then_drop_answer", "drop_before_apply", "late_apply"):
            setattr(simulator.faults, fault, Odds(probability=0.07))
        simulator.faults.late_apply_after = timedelta(milliseconds=100)
        intents = [an_intent(f"{login}-{n}", login=login) for login in range(1001, 1013) for n in range(3)]

        done, told = await carried_out(backend, intents, seconds=40)

        effects = {intent.key: len(cash_effects(simulator, intent)) for intent in intents}
        assert sum(outcome.state == "unknown" for outcome in told) >= 3
        assert simulator.ledger.duplicates() == {}
        for intent in done:
            assert (
                effects[intent.key] == (1 if intent.state is State.APPLIED else 0)
                or intent.state is State.PARKED
            )
        assert sum(intent.state is State.APPLIED for intent in done) >= len(done) * 0.9


async def test_history_that_lags_less_than_the_quiesce_does_not_cause_a_second_send():
    async with a_broker() as (simulator, backend):
        simulator.faults.history_lag = timedelta(milliseconds=300)
        simulator.faults.apply_then_drop_answer.next = 1
        intent = an_intent("lag")

        (done,), _ = await carried_out(backend, [intent])

        assert (done.state, done.sends) == (State.APPLIED, 1)
        assert len(cash_effects(simulator, intent)) == 1


async def test_history_rows_told_twice_are_not_taken_for_a_duplicate():
    async with a_broker() as (simulator, backend):
        simulator.faults.duplicate_history_rows = True
        simulator.faults.apply_then_drop_answer.next = 1

        (done,), told = await carried_out(backend, [an_intent("rows")])

        assert done.state is State.APPLIED
        assert told[-1].incident == ""


async def test_two_sends_that_vanish_are_parked_for_a_person():
    async with a_broker() as (simulator, backend):
        simulator.faults.drop_before_apply.next = 2

        (done,), told = await carried_out(backend, [an_intent("vanishing")])

        assert (done.state, done.sends) == (State.PARKED, 2)
        assert "decide" in told[-1].incident
        assert not simulator.ledger.effects()


async def test_a_comment_that_was_cut_parks_instead_of_paying_twice():
    async with a_broker() as (simulator, backend):
        simulator.faults.comment_length = 8
        simulator.faults.apply_then_drop_answer.next = 1

        (done,), _ = await carried_out(backend, [an_intent("cut", amount="33.33")])

        assert done.state is State.PARKED
        assert len(simulator.ledger.effects()) == 1


async def test_a_really_doubled_operation_is_an_incident():
    async with a_broker() as (_, backend):
        intent = an_intent("doubled")._replace(
            state=State.UNKNOWN, sends=1, attempts=2, sent_at=CLOCK.now_us()
        )
        for _ in range(2):
            assert isinstance(await backend.execute(intent), Applied)

        (done,), told = await carried_out(backend, [intent])

        assert done.state is State.APPLIED
        assert "reverse all but one" in told[-1].incident


async def test_a_crash_while_sending_is_looked_for_and_not_sent_again():
    async with a_broker() as (simulator, backend):
        intent = an_intent("crash")
        sending = intent._replace(state=State.SENDING, sends=1, attempts=1, sent_at=CLOCK.now_us())
        await backend.execute(sending)

        (done,), _ = await carried_out(backend, [sending])

        assert (done.state, done.sends) == (State.APPLIED, 1)
        assert len(cash_effects(simulator, intent)) == 1


async def test_live_writes_need_arming_and_a_simulator_does_not():
    async with a_broker(simulated=False) as (simulator, backend):
        (held,), _ = await carried_out(backend, [an_intent("unarmed")])
        (done,), _ = await carried_out(backend, [an_intent("armed")], armed=True)

        assert (held.state, held.reason) == (State.REJECTED, NOT_ARMED)
        assert done.state is State.APPLIED
        assert len(simulator.ledger.effects()) == 1


async def test_a_verb_no_backend_offers_is_rejected_and_says_so():
    async with a_broker() as (_, backend):
        (done,), _ = await carried_out(backend, [an_intent("x", "position.close_all", symbol="EURUSD")])

        assert done.reason == "no configured backend offers position.close_all for live-1:1001"


@pytest.mark.parametrize(
    ("verb", "params", "field", "value"),
    [
        ("account.set_group", {"group": "real/vip"}, "group", "real/vip"),
        ("account.disable", {"comment": "breach"}, "enable", False),
        ("account.disable_trading", {"comment": "breach"}, "read_only", True),
        ("account.set_leverage", {"leverage": 50}, "leverage", 50),
    ],
)
@pytest.mark.parametrize("fault", [None, "apply_then_drop_answer", "drop_before_apply", "late_apply"])
async def test_a_desired_state_is_reached_through_any_fault(verb, params, field, value, fault):
    async with a_broker() as (simulator, backend):
        simulator.faults.late_apply_after = timedelta(milliseconds=20)
        if fault:
            getattr(simulator.faults, fault).next = 1

        (done,), told = await carried_out(backend, [an_intent("state", verb, **params)])

        assert done.state is State.APPLIED
        assert getattr(simulator.broker.account(1001), field) == value
        assert told[-1].after[field] == value


async def test_a_state_that_is_already_so_is_not_written():
    async with a_broker() as (simulator, backend):
        done = await backend.execute(an_intent("same", "account.enable", comment="x"))

        assert isinstance(done, Applied)
        assert not simulator.ledger.effects()


async def test_a_group_that_somebody_changed_meanwhile_is_left_alone():
    async with a_broker() as (simulator, backend):
        done = await backend.execute(
            an_intent("moved", "account.set_group", group="real/vip", expect_group="demo")
        )

        assert isinstance(done, Refused)
        assert "somebody moved it" in done.reason
        assert not simulator.ledger.effects()


async def test_looking_before_and_after_tells_the_difference():
    async with a_broker() as (_, backend):
        intent = an_intent("look")._replace(sent_at=CLOCK.now_us())

        before = await backend.look(intent)
        done = await backend.execute(intent)
        after = await backend.look(intent)

        assert before == NotFound()
        assert after == Found((done.ticket,))


async def test_while_the_gateway_is_away_nothing_is_sent_and_the_intent_waits():
    async with a_broker() as (simulator, backend):
        simulator.lose_upstream(timedelta(milliseconds=600))

        (done,), told = await carried_out(backend, [an_intent("patient")])

        assert (done.state, done.sends) == (State.APPLIED, 1)
        assert [outcome.state for outcome in told] == ["applied"]


async def test_signing_in_by_headers_works_as_well():
    async with a_broker(auth="headers") as (_, backend):
        assert isinstance(await backend.execute(an_intent("headers")), Applied)


async def test_an_unknown_login_is_a_definite_no():
    async with a_broker() as (_, backend):
        (done,), _ = await carried_out(backend, [an_intent("nobody", login=424242)])

        assert done.state is State.REJECTED


async def test_a_fresh_look_tells_how_the_account_stands_and_a_guard_is_asked_on_it():
    async with a_broker() as (simulator, backend):
        read = await backend.read("live-1:1001")
        assert read["balance"] == simulator.broker.account(1001).balance
        assert (read["open_positions"], read["enabled"]) == (0, True)
        assert "free_margin" not in read, "this gateway does not tell it, and nobody guesses"

        rich, poor = an_intent("rich"), an_intent("poor")
        for_rich = Checks(Check("account.balance >= 0", {}))
        for_poor = Checks(Check("account.balance < 0", {}))
        intents, told = await carried_out(
            backend,
            [
                rich._replace(params=with_checks(rich.params, for_rich)),
                poor._replace(params=with_checks(poor.params, for_poor)),
            ],
        )

        assert [intent.state for intent in intents] == [State.APPLIED, State.REJECTED]
        assert len(cash_effects(simulator, rich)) == 1
        assert cash_effects(simulator, poor) == []
        assert any("guard: account.balance < 0 is false" in outcome.reason for outcome in told)


async def test_an_account_nobody_knows_cannot_be_read():
    async with a_broker() as (_, backend):
        assert isinstance(await backend.read("live-1:999999"), Unreadable | Refused)
        assert isinstance(await backend.read("live-1:x"), Refused)
