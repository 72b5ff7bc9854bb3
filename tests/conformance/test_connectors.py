"""Both connectors against the simulated broker, over sockets: nothing missed, nothing twice, nothing invented."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from connector_kit import RecordingLog, Samples, data_of, running, until
from pydantic import SecretStr

from hub.bus.log import Teller
from hub.clock import SystemClock
from hub.ingest.mt5rest import Mt5RestConnector
from hub.ingest.mt_remote import MtRemoteConnector
from hub.ingest.samples import Wanted, always
from hub.ingest.settings import Mt5RestSettings, MtRemoteSettings, TraderAccount
from hub.ingest.source import Settled, at_once
from hub.sim import Odds, Options, Simulator

ZONE = "Europe/Nicosia"
MT4, MT5 = 1001, 5001
FAST = {
    "zone": ZONE,
    "reconcile_open": timedelta(milliseconds=200),
    "reconcile_history": timedelta(milliseconds=400),
    "confirm_after": timedelta(milliseconds=80),
    "retry_first": timedelta(milliseconds=20),
    "retry_longest": timedelta(milliseconds=100),
}
LATE = "the facts of an outage say that they are told late"


@contextlib.asynccontextmanager
async def simulator(**options: Any) -> AsyncIterator[Simulator]:
    async with Simulator(
        Options(seed=7, traffic=False, liveliness=1.0, zone=ZONE)
        if not options
        else Options(seed=7, **options)
    ) as sim:
        yield sim


def mt4(
    sim: Simulator,
    log: Teller,
    *,
    sink: Samples | None = None,
    positions: Wanted = always,
    settled: Settled = at_once,
    **changes: Any,
) -> MtRemoteConnector:
    settings = MtRemoteSettings(
        **{
            **FAST,
            "name": "mt4-bridge",
            "server": "live-4",
            "url": sim.mt_remote_url,
            "login": sim.manager_login,
            "password": SecretStr(sim.manager_password),
            **changes,
        }
    )
    return MtRemoteConnector(settings, log, SystemClock(), sink=sink, positions=positions, settled=settled)


def mt5(
    sim: Simulator,
    log: Teller,
    *,
    logins: tuple[int, ...] = (MT5, MT5 + 1),
    sink: Samples | None = None,
    positions: Wanted = always,
    settled: Settled = at_once,
    **changes: Any,
) -> Mt5RestConnector:
    accounts = tuple(
        TraderAccount(login=login, password=SecretStr(sim.password(login)), group="real/std")
        for login in logins
    )
    settings = Mt5RestSettings(
        **{
            **FAST,
            "name": "mt5-bridge",
            "server": "live-5",
            "url": sim.mt5rest_url,
            "accounts": accounts,
            **changes,
        }
    )
    return Mt5RestConnector(settings, log, SystemClock(), sink=sink, positions=positions, settled=settled)


async def level4(connector: MtRemoteConnector) -> None:
    await until(lambda: connector.is_level, "the MT4 connector to be level")


async def level5(connector: Mt5RestConnector, count: int = 2) -> None:
    await until(lambda: len(connector.level) == count, "the MT5 connector to be level")


def opened(log: RecordingLog) -> Counter[tuple[int, int]]:
    return Counter((f.account.login, data_of(f)["position"]) for f in log.of(kind="trade.opened"))


# --- first sight


async def test_the_first_sight_of_an_mt4_account_tells_what_it_is_and_none_of_its_history():
    log = RecordingLog()
    async with simulator() as sim:
        sim.broker.open(MT4, "EURUSD", "buy", "0.20")
        gone = sim.broker.open(MT4, "EURUSD", "buy", "0.10")
        sim.broker.close(MT4, gone.ticket)
        connector = mt4(sim, log)

        async with running(connector):
            await level4(connector)

        account = sim.broker.account(MT4)
    assert set(log.types(MT4)) == {"account.updated"}
    (seen,) = log.data(MT4, "account.updated")
    after = {name: change["after"] for name, change in seen["changed"].items()}
    assert after["group"] == account.group
    assert after["currency"] == "USD"
    assert Decimal(after["balance"]) == account.balance
    assert after["open_positions"] == 1
    assert after["open_lots"] == "0.2"
    assert after["enabled"] is True
    assert after["trading_enabled"] is True
    assert after["email"] == "trader1001@example.com"
    assert after["registered_at"].endswith("Z")
    assert all(change["before"] is None for change in seen["changed"].values())


async def test_the_first_sight_of_an_mt5_account_tells_what_it_is_and_none_of_its_history():
    log = RecordingLog()
    async with simulator() as sim:
        sim.broker.open(MT5, "EURUSD", "buy", "0.20")
        gone = sim.broker.open(MT5, "EURUSD", "buy", "0.10")
        sim.broker.close(MT5, gone.ticket)
        connector = mt5(sim, log)

        async with running(connector):
            await level5(connector)
            await until(lambda: bool(log.of(MT5)), "the first sight")

        account = sim.broker.account(MT5)
    assert set(log.types(MT5)) == {"account.updated"}
    (seen,) = log.data(MT5, "account.updated")
    after = {name: change["after"] for name, change in seen["changed"].items()}
    assert Decimal(after["balance"]) == account.balance
    assert after["open_positions"] == 1
    assert after["leverage"] == account.leverage
    assert after["group"] == "real/std"


# --- the stream


async def test_an_mt4_day_is_told_as_it_happens():
    log = RecordingLog()
    async with simulator() as sim:
        connector = mt4(sim, log)
        async with running(connector):
            await level4(connector)
            whole = sim.broker.open(MT4, "EURUSD", "buy", "0.30")
            part = sim.broker.close(MT4, whole.ticket, "0.10")
            sim.broker.deposit(MT4, "250.50", "card")
            sim.broker.withdraw(MT4, "50", "bank")
            bid = sim.broker.market.quote("EURUSD").bid
            order = sim.broker.place(MT4, "EURUSD", "buy_limit", "0.10", bid - Decimal("0.01"))
            sim.broker.cancel(MT4, order.ticket)
            (rest,) = sim.broker.account(MT4).positions
            sim.broker.modify(MT4, rest, sl=bid - Decimal("0.02"))
            sim.broker.close(MT4, rest)
            await until(lambda: len(log.of(MT4, "trade.closed")) == 2, "both parts closed")
        account = sim.broker.account(MT4)

    counts = log.types(MT4)
    assert counts["trade.opened"] == 1
    assert counts["position.decreased"] == 1
    assert counts["position.modified"] == 1
    assert counts["order.placed"] == counts["order.cancelled"] == 1
    first, last = log.data(MT4, "trade.closed")
    assert (first["position"], first["lots"], first["remaining_lots"], first["partial"]) == (
        whole.ticket,
        "0.1",
        "0.2",
        True,
    )
    assert (last["position"], last["lots"], last["partial"]) == (rest, "0.2", False)
    assert Decimal(first["net_profit"]) == part.net
    (paid_in,) = log.data(MT4, "balance.deposited")
    assert (paid_in["amount"], paid_in["comment"]) == ("250.5", "card")
    (paid_out,) = log.data(MT4, "balance.withdrawn")
    assert paid_out["amount"] == "50"
    assert not any(f.flags.replayed for f in log.of(MT4))
    assert "connector.mismatch" not in log.types()
    assert account.positions == {}


async def test_an_mt5_day_is_told_as_it_happens_with_the_numbers_of_its_deals():
    log = RecordingLog()
    async with simulator() as sim:
        connector = mt5(sim, log)
        async with running(connector):
            await level5(connector)
            whole = sim.broker.open(MT5, "EURUSD", "sell", "0.30")
            part = sim.broker.close(MT5, whole.ticket, "0.10")
            sim.broker.deposit(MT5, "250.50", "card")
            bid = sim.broker.market.quote("EURUSD").bid
            order = sim.broker.place(MT5, "EURUSD", "buy_limit", "0.10", bid - Decimal("0.01"))
            sim.broker.cancel(MT5, order.ticket)
            sim.broker.modify(MT5, whole.ticket, sl=bid + Decimal("0.02"))
            last = sim.broker.close(MT5, whole.ticket)
            await until(lambda: len(log.of(MT5, "trade.closed")) == 2, "both parts closed")

    counts = log.types(MT5)
    assert counts["trade.opened"] == counts["position.decreased"] == counts["position.modified"] == 1
    assert counts["order.placed"] == counts["order.cancelled"] == 1
    (start,) = log.data(MT5, "trade.opened")
    assert whole.dealt_in is not None
    assert (start["deal"], start["lots"], start["side"]) == (whole.dealt_in.number, "0.3", "sell")
    told = log.data(MT5, "trade.closed")
    assert part.dealt_out is not None
    assert last.dealt_out is not None
    assert [one["deal"] for one in told] == [part.dealt_out.number, last.dealt_out.number]
    assert [one["remaining_lots"] for one in told] == ["0.2", "0"]
    (paid_in,) = log.data(MT5, "balance.deposited")
    assert paid_in["amount"] == "250.5"


async def test_what_changes_about_an_mt4_account_is_told_by_its_name():
    log = RecordingLog()
    async with simulator() as sim:
        connector = mt4(sim, log)
        async with running(connector):
            await level4(connector)
            account = sim.broker.account(MT4)
            account.group, account.leverage, account.enable, account.read_only = "real/vip", 333, False, True
            sim.broker.desk.user_changed(account)
            await until(lambda: bool(log.of(MT4, "account.trading_disabled")), "the change")

    (group,) = log.data(MT4, "account.group_changed")
    assert group["after"] == "real/vip"
    (leverage,) = log.data(MT4, "account.leverage_changed")
    assert leverage["after"] == 333
    assert log.types(MT4)["account.disabled"] == 1
    assert log.of(MT4, "account.group_changed")[0].account.group == "real/vip"


async def test_an_order_that_fills_is_one_order_filled_and_one_trade_opened_on_both_platforms():
    log = RecordingLog()
    async with simulator() as sim:
        four, five = mt4(sim, log), mt5(sim, log)
        async with running(four, five):
            await level4(four)
            await level5(five)
            bid = sim.broker.market.quote("EURUSD").bid
            for login in (MT4, MT5):
                sim.broker.place(login, "EURUSD", "buy_limit", "0.10", bid - Decimal("0.0010"))
            sim.broker.move_price("EURUSD", bid - Decimal("0.0020"))
            await until(lambda: len(log.of(kind="trade.opened")) == 2, "both fills")

    for login in (MT4, MT5):
        counts = log.types(login)
        assert (counts["order.placed"], counts["order.filled"], counts["trade.opened"]) == (1, 1, 1)
        assert counts["order.cancelled"] == 0


async def test_the_server_clock_is_not_utc_and_both_are_kept():
    log = RecordingLog()
    async with simulator() as sim:
        four, five = mt4(sim, log), mt5(sim, log, zone=None)
        async with running(four, five):
            await level4(four)
            await level5(five)
            for login in (MT4, MT5):
                sim.broker.open(login, "EURUSD", "buy", "0.10")
            await until(lambda: len(log.of(kind="trade.opened")) == 2, "both trades")
        offset = timedelta(seconds=sim.broker.zone.offset_seconds(sim.broker.now_us))
        now = SystemClock().now()

    for fact in log.of(kind="trade.opened"):
        shown = fact.server_time
        assert shown is not None
        assert abs(now - fact.timestamp) < timedelta(seconds=15)
        server = type(now).fromisoformat(shown + "+00:00")
        assert abs(server - fact.timestamp - offset) < timedelta(milliseconds=1)


# --- outages


async def test_nothing_is_missed_or_told_twice_when_mt4_connections_drop():
    log = RecordingLog()
    async with simulator() as sim:
        connector = mt4(sim, log)
        async with running(connector):
            await level4(connector)
            before = sim.broker.open(MT4, "EURUSD", "buy", "0.30")
            await until(lambda: bool(log.of(MT4, "trade.opened")), "the first trade")
            sim.drop_connections()
            sim.broker.close(MT4, before.ticket, "0.10")
            during = sim.broker.open(MT4, "GBPUSD", "sell", "0.20")
            sim.broker.close(MT4, during.ticket, "0.10")
            sim.broker.deposit(MT4, "100")
            kept = sim.broker.open(MT4, "USDJPY", "buy", "0.10")
            await until(lambda: bool(log.of(kind="connector.resynced")), "the reading after the outage")
            after = sim.broker.open(MT4, "USDJPY", "buy", "0.20")
            await until(lambda: opened(log)[MT4, after.ticket] == 1, "the trade after the outage")

    assert opened(log) == {(MT4, t.ticket): 1 for t in (before, during, kept, after)}
    closes = log.data(MT4, "trade.closed")
    assert sorted((c["position"], c["lots"], c["remaining_lots"]) for c in closes) == [
        (before.ticket, "0.1", "0.2"),
        (during.ticket, "0.1", "0.1"),
    ]
    assert log.types(MT4)["balance.deposited"] == 1
    lots = {d["position"]: d["lots"] for d in log.data(MT4, "trade.opened")}
    assert lots[during.ticket] == "0.2"
    late = {f.flags.replayed for f in (*log.of(MT4, "trade.closed"), *log.of(MT4, "balance."))}
    assert late == {True}, LATE
    assert [
        f.flags.replayed for f in log.of(MT4, "trade.opened") if data_of(f)["position"] == after.ticket
    ] == [False]
    for kind in ("connector.disconnected", "connector.gap", "connector.resynced"):
        assert log.types()[kind] == 1


async def test_nothing_is_missed_or_told_twice_when_mt5_sessions_are_lost():
    log = RecordingLog()
    async with simulator() as sim:
        connector = mt5(sim, log)
        async with running(connector):
            await level5(connector)
            before = sim.broker.open(MT5, "EURUSD", "buy", "0.30")
            await until(lambda: bool(log.of(MT5, "trade.opened")), "the first trade")
            sim.lose_sessions()
            sim.broker.close(MT5, before.ticket, "0.10")
            sim.broker.close(MT5, before.ticket, "0.05")
            during = sim.broker.open(MT5, "GBPUSD", "sell", "0.20")
            sim.broker.close(MT5, during.ticket, "0.10")
            sim.broker.close(MT5, during.ticket)
            sim.broker.deposit(MT5, "100")
            await until(lambda: log.types()["connector.resynced"] == 2, "the reading after the outage")
            sim.broker.close(MT5, before.ticket)
            await until(lambda: len(log.of(MT5, "trade.closed")) == 5, "the close after the outage")

    assert opened(log) == {(MT5, before.ticket): 1, (MT5, during.ticket): 1}
    rest = [(c["position"], c["lots"], c["remaining_lots"]) for c in log.data(MT5, "trade.closed")]
    assert rest == [
        (before.ticket, "0.1", "0.2"),
        (before.ticket, "0.05", "0.15"),
        (during.ticket, "0.1", "0.1"),
        (during.ticket, "0.1", "0"),
        (before.ticket, "0.15", "0"),
    ]
    assert log.types(MT5)["balance.deposited"] == 1
    assert all(f.flags.replayed for f in log.of(MT5, "balance.")), LATE
    assert "connector.mismatch" not in log.types()


@pytest.mark.parametrize("platform", ["mt4", "mt5"])
async def test_a_restarted_hub_goes_on_where_it_stood(platform: str):
    log = RecordingLog()
    login = MT4 if platform == "mt4" else MT5
    async with simulator() as sim:

        async def follow() -> Any:
            connector: Any = mt4(sim, log) if platform == "mt4" else mt5(sim, log, logins=(MT5,))
            return connector

        async def level(connector: Any) -> None:
            await (level4(connector) if platform == "mt4" else level5(connector, 1))

        first = await follow()
        async with running(first):
            await level(first)
            done = sim.broker.open(login, "GBPUSD", "buy", "0.30")
            sim.broker.close(login, done.ticket, "0.10")
            (rest,) = sim.broker.account(login).positions
            sim.broker.close(login, rest)
            trade = sim.broker.open(login, "EURUSD", "buy", "0.30")
            sim.broker.close(login, trade.ticket, "0.10")
            await until(lambda: len(log.of(login, "trade.closed")) == 3, "all that closed")
        sim.broker.deposit(login, "77")
        again = await follow()
        async with running(again):
            await level(again)
            await until(lambda: bool(log.of(login, "balance.deposited")), "the deposit while away")
        third = await follow()
        async with running(third):
            await level(third)

    counts = log.types(login)
    assert (counts["trade.opened"], counts["trade.closed"], counts["balance.deposited"]) == (2, 3, 1)
    assert counts["account.updated"] == 1
    assert counts["position.decreased"] == 2
    assert "connector.mismatch" not in log.types()


async def test_a_full_disk_loses_nothing():
    log = RecordingLog()
    async with simulator() as sim:
        four, five = mt4(sim, log), mt5(sim, log)
        async with running(four, five):
            await level4(four)
            await level5(five)
            log.broken = True
            for login in (MT4, MT5):
                sim.broker.deposit(login, "33")
                sim.broker.open(login, "EURUSD", "buy", "0.10")
            await until(lambda: not four.is_level and MT5 not in five.level, "both to notice")
            log.broken = False
            await until(
                lambda: len(log.of(kind="balance.deposited")) == 2 and len(log.of(kind="trade.opened")) == 2,
                "all of it",
            )

    assert log.types()["balance.deposited"] == 2


async def test_a_gateway_that_loses_the_trading_server_is_an_outage():
    log = RecordingLog()
    async with simulator() as sim:
        connector = mt4(sim, log)
        async with running(connector):
            await level4(connector)
            sim.lose_upstream(timedelta(milliseconds=200))
            sim.broker.deposit(MT4, "5")
            await until(lambda: bool(log.of(MT4, "balance.deposited")), "the deposit of the outage")

    assert log.of(MT4, "balance.deposited")[0].flags.replayed
    assert (
        "lost its connection to the trading server" in log.data(None, "connector.disconnected")[0]["reason"]
    )


async def test_a_new_mt4_account_is_told_with_all_it_did_from_the_start():
    log = RecordingLog()
    async with simulator() as sim:
        connector = mt4(sim, log)
        async with running(connector):
            await level4(connector)
            office = sim._mt_remote._office
            login = office.add_user(
                0, {"group": "real/std", "name": "007", "password": "Abcd1234!", "leverage": 100}
            ).login
            sim.broker.deposit(login, "500")
            await until(lambda: bool(log.of(login, "balance.deposited")), "its first deposit")
            sim.broker.open(login, "EURUSD", "buy", "0.10")
            await until(lambda: bool(log.of(login, "trade.opened")), "its first trade")

    assert log.of(login)[0].type == "account.created"
    created = log.data(login, "account.created")[0]["changed"]
    assert created["name"]["after"] == "007"
    assert Decimal(created["balance"]["after"]) == 0
    assert log.types(login)["balance.deposited"] == 1


async def test_a_stream_that_looks_alive_and_is_dead_is_found_out():
    log = RecordingLog()
    async with simulator() as sim:
        four, five = mt4(sim, log), mt5(sim, log)
        async with running(four, five):
            await level4(four)
            await level5(five)
            for session in sim._mt_remote._sessions:
                session.client.topics.clear()
            sim._mt5rest._streams.clear()
            for login in (MT4, MT5):
                trade = sim.broker.open(login, "EURUSD", "buy", "0.30")
                sim.broker.close(login, trade.ticket, "0.10")
                sim.broker.deposit(login, "12")
            await until(
                lambda: len(log.of(kind="trade.closed")) == 2 and len(log.of(kind="balance.deposited")) == 2,
                "what the streams kept silent about",
            )
            await until(lambda: log.types()["connector.resynced"] == 2, "both to say so")
            # The simulator forgets its streams when they end; give it back what it expects to find.
            sim._mt5rest._streams = _Forgiving()

    assert log.types()["connector.gap"] == 2
    assert all(f.flags.replayed for f in log.of(kind="trade.")), LATE


class _Forgiving(list[Any]):
    def remove(self, value: Any) -> None:
        pass


async def test_wrong_credentials_are_an_outage_that_names_no_secret():
    log = RecordingLog()
    async with simulator() as sim:
        four = mt4(sim, log, password=SecretStr("wrong-secret"))
        wrong = (TraderAccount(login=MT5, password=SecretStr("wrong-secret")),)
        five = mt5(sim, log, accounts=wrong)
        async with running(four, five):
            await until(lambda: log.types()["connector.disconnected"] == 2, "both to say so")

    reasons = [data["reason"] for data in log.data(None, "connector.disconnected")]
    assert all("Invalid account" in reason for reason in reasons)
    assert not any("wrong-secret" in reason for reason in reasons)


async def test_a_gateway_nobody_runs_is_told_once_and_tried_again():
    log = RecordingLog()
    async with simulator() as sim:
        four = mt4(sim, log, url="ws://127.0.0.1:9/")
        five = mt5(sim, log, url="http://127.0.0.1:9", logins=(MT5,))
        async with running(four, five):
            await until(lambda: log.types()["connector.disconnected"] == 2, "both to say so")
            await SystemClock().sleep(timedelta(milliseconds=300))

    assert log.types()["connector.disconnected"] == 2
    text = " ".join(data["reason"] for data in log.data(None, "connector."))
    assert sim.password(MT5) not in text


# --- quirks


@pytest.mark.parametrize("quirk", ["pascal_case", "wrap_history", "hollow_rows", "duplicate_history_rows"])
async def test_quirks_of_mt5rest_builds_change_nothing(quirk: str):
    log = RecordingLog()
    async with simulator() as sim:
        setattr(sim.faults, quirk, True)
        connector = mt5(sim, log)
        async with running(connector):
            await level5(connector)
            trade = sim.broker.open(MT5, "EURUSD", "buy", "0.30")
            await until(lambda: bool(log.of(MT5, "trade.opened")), "the opening")
            sim.lose_sessions()
            part = sim.broker.close(MT5, trade.ticket, "0.10")
            await until(lambda: bool(log.of(MT5, "trade.closed")), "the part closed")
            sim.broker.close(MT5, trade.ticket)
            await until(lambda: len(log.of(MT5, "trade.closed")) == 2, "the rest closed")

    first, last = log.data(MT5, "trade.closed")
    assert part.dealt_out is not None
    assert (first["deal"], first["lots"]) == (part.dealt_out.number, "0.1")
    assert Decimal(first["profit"]) == part.dealt_out.profit
    assert last["lots"] == "0.2"


async def test_history_that_lags_behind_is_waited_for():
    log = RecordingLog()
    async with simulator() as sim:
        connector = mt4(sim, log)
        async with running(connector):
            await level4(connector)
            trade = sim.broker.open(MT4, "EURUSD", "buy", "0.30")
            await until(lambda: bool(log.of(MT4, "trade.opened")), "the opening")
            sim.faults.history_lag = timedelta(milliseconds=500)
            sim.drop_connections()
            sim.broker.close(MT4, trade.ticket)
            await until(lambda: bool(log.of(MT4, "trade.closed")), "the close")

    assert log.types(MT4)["trade.closed"] == 1


async def test_two_connectors_on_one_account_give_each_deal_once():
    log = RecordingLog()
    async with simulator() as sim:
        one, two = mt5(sim, log), mt5(sim, log, name="mt5-spare", authoritative=False)
        async with running(one, two):
            await level5(one)
            await level5(two)
            trade = sim.broker.open(MT5, "EURUSD", "buy", "0.30")
            sim.broker.modify(MT5, trade.ticket, tp=trade.open_price + Decimal("0.5"))
            await until(lambda: bool(log.of(MT5, "position.modified")), "the target")
            sim.broker.close(MT5, trade.ticket, "0.10")
            sim.lose_sessions()
            sim.broker.close(MT5, trade.ticket)
            sim.broker.deposit(MT5, "9")
            await until(lambda: len(log.of(MT5, "trade.closed")) == 2, "both parts")
            await level5(one)
            await level5(two)

    counts = log.types(MT5)
    assert (counts["trade.opened"], counts["trade.closed"], counts["balance.deposited"]) == (1, 2, 1)
    assert (counts["account.updated"], counts["position.modified"]) == (1, 1)
    assert "connector.mismatch" not in log.types()


# --- samples


async def test_equity_samples_arrive_and_glitches_are_marked():
    log, sink = RecordingLog(), Samples()
    async with simulator() as sim:
        connector = mt5(sim, log, sink=sink, equity_every=timedelta(milliseconds=30))
        async with running(connector):
            await level5(connector)
            sim.broker.open(MT5, "EURUSD", "buy", "1.00") if sim.broker.standing(
                MT5
            ).free_margin > 3000 else sim.broker.open(MT5, "EURUSD", "buy", "0.10")
            bid = sim.broker.market.quote("EURUSD").bid
            sim.broker.move_price("EURUSD", bid - Decimal("0.0050"))
            stands = sim.broker.standing(MT5)
            await until(
                lambda: any(s.login == MT5 and s.equity == stands.equity for s in sink.taken), "the equity"
            )
            sim.faults.glitch_equity = Odds(next=1)
            sim.broker.move_price("EURUSD", bid - Decimal("0.0060"))
            await until(lambda: any(s.equity == 0 for s in sink.taken), "the glitch")

    good = next(s for s in sink.taken if s.login == MT5 and s.equity == stands.equity)
    assert (good.margin, good.floating, good.degraded) == (stands.margin, stands.floating, False)
    assert sum(each.profit or 0 for each in good.positions) == stands.floating
    assert [each.price for each in good.positions] == [None]
    assert good.margin_level is not None
    assert all(s.degraded for s in sink.taken if s.equity == 0)
    flat = [s for s in sink.taken if s.login == MT5 + 1 and not s.degraded]
    assert flat
    assert all(s.margin_level is None for s in flat if s.margin == 0)


async def test_mt4_prices_of_the_symbols_that_are_named_become_quotes():
    log, sink = RecordingLog(), Samples()
    async with simulator() as sim:
        connector = mt4(sim, log, sink=sink, quotes=("EURUSD", "NONE", "XAUUSD"))
        async with running(connector):
            await level4(connector)
            sim.broker.move_price("GBPUSD", Decimal("1.2"))
            moved = sim.broker.move_price("EURUSD", Decimal("1.08"), Decimal("1.0805"))
            sim.broker.move_price("XAUUSD", Decimal(2000))
            await until(lambda: len(sink.quoted) == 2, "the quotes")

    first, second = sink.quoted
    assert (first.server, first.symbol, first.bid, first.ask) == ("live-4", "EURUSD", moved.bid, moved.ask)
    assert (second.symbol, second.bid, second.degraded) == ("XAUUSD", Decimal(2000), False)
    assert log.of(kind="connector.disconnected") == []


async def test_mt4_equity_is_computed_when_asked_for():
    log, sink = RecordingLog(), Samples()
    async with simulator() as sim:
        connector = mt4(sim, log, sink=sink, equity=True, equity_every=timedelta(milliseconds=30))
        async with running(connector):
            await level4(connector)
            trade = sim.broker.open(MT4, "EURUSD", "buy", "0.10")
            sim.broker.move_price("EURUSD", sim.broker.market.quote("EURUSD").bid - Decimal("0.0050"))
            equity = sim.broker.standing(MT4).equity
            await until(lambda: any(s.login == MT4 and s.equity == equity for s in sink.taken), "the equity")
            bid = sim.broker.market.quote("EURUSD").bid

    seen = next(s for s in sink.taken if s.login == MT4 and s.equity == equity)
    (position,) = seen.positions
    assert (position.position, position.price) == (trade.ticket, bid)
    assert position.profit == (bid - trade.open_price) * 10_000  # without the commission equity has in it


async def test_positions_nobody_wants_are_not_told():
    log, sink = RecordingLog(), Samples()
    async with simulator() as sim:
        sim.broker.open(MT4, "EURUSD", "buy", "0.10")
        sim.broker.open(MT5, "EURUSD", "buy", "0.10")
        pace = {"sink": sink, "positions": lambda: False, "equity_every": timedelta(milliseconds=30)}
        async with running(mt4(sim, log, equity=True, **pace), mt5(sim, log, **pace)):
            await until(lambda: {s.login for s in sink.taken} >= {MT4, MT5}, "a sample of each")

    assert not any(s.positions for s in sink.taken)


# --- a whole day


async def test_a_busy_day_with_many_outages_is_told_completely_and_once():
    log = RecordingLog()
    async with simulator(
        traffic=True, events_per_second=80.0, liveliness=20.0, cadence=timedelta(milliseconds=20), zone=ZONE
    ) as sim:
        sim.stop_traffic()
        logins = tuple(a for a in sim.broker.accounts if a >= MT5)
        four, five = mt4(sim, log), mt5(sim, log, logins=logins)
        async with running(four, five):
            await level4(four)
            await level5(five, len(logins))
            sim.broker.counts.clear()
            sim.start_traffic()
            for fault in (sim.drop_connections, sim.lose_sessions, sim.drop_connections):
                count = len(log.told)
                await until(lambda count=count: len(log.told) > count + 60, "some traffic")
                fault()
            count = len(log.told)
            await until(lambda: len(log.told) > count + 40, "some traffic")
            sim.stop_traffic()
            broker = sim.broker

            def told() -> dict[str, int]:
                names = {
                    "opens": "trade.opened",
                    "closes": "trade.closed",
                    "deposits": "balance.deposited",
                    "withdrawals": "balance.withdrawn",
                }
                return {
                    f"{platform}.{name}": sum(
                        (f.account.login >= MT5) is (platform == "mt5") for f in log.of(kind=kind)
                    )
                    for platform in ("mt4", "mt5")
                    for name, kind in names.items()
                }

            def expected() -> dict[str, int]:
                return {name: broker.counts[name] for name in told()}

            try:
                await until(lambda: told() == expected(), "every fact", 15)
            finally:
                print(told(), expected(), log.types())
            # What tells no money, such as that a connector is back, may still be on its way: it comes to an end.
            clock, ended = SystemClock(), False
            for _ in range(25):
                wait = len(log.told)
                await clock.sleep(timedelta(milliseconds=600))
                ended = len(log.told) == wait
                if ended:
                    break
            balances = {login: broker.account(login).balance for login in broker.accounts}
            lots = {
                login: sum(trade.lots for trade in account.positions.values())
                for login, account in broker.accounts.items()
            }

    assert told() == expected()
    assert ended, "after the traffic nothing more is told"
    assert "connector.mismatch" not in log.types()
    assert {login: _balance(log, login) for login in balances} == balances
    assert {login: _open_lots(log, login) for login in lots} == lots
    assert "position.increased" not in log.types()


def _balance(log: RecordingLog, login: int) -> Decimal:
    """Add up what was told of an account, as whoever consumes the events does."""
    total = Decimal(0)
    for fact in log.of(login):
        data = data_of(fact)
        match fact.type:
            case "account.updated" | "account.created" if "balance" in data["changed"]:
                total = Decimal(data["changed"]["balance"]["after"])
            case "balance.deposited":
                total += Decimal(data["amount"])
            case "balance.withdrawn":
                total -= Decimal(data["amount"])
            case "trade.closed":
                total += Decimal(data["net_profit"])
            case "trade.opened":
                total += Decimal(data.get("commission", "0"))
            case _:
                pass
    return total


def _open_lots(log: RecordingLog, login: int) -> Decimal:
    opened = sum(Decimal(data["lots"]) for data in log.data(login, "trade.opened"))
    return opened - sum(Decimal(data["lots"]) for data in log.data(login, "trade.closed"))
