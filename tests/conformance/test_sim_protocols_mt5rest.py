"""mt5rest over real sockets: what a connector may rely on, and each way it can fail."""

from datetime import timedelta
from decimal import Decimal

import aiohttp
import pytest
from conformance.sim_clients import START, TAG, Cut, cut_is_final, next_json, rest, running, terminal

from hub.sim.faults import Odds
from hub.sim.model import Command


async def test_a_session_opens_checks_and_closes() -> None:
    async with running() as (sim, _, http):
        token = await terminal(sim, http)
        assert await rest(sim, http, "CheckConnect", id=token) == "OK"
        assert await rest(sim, http, "Disconnect", id=token) == "OK"

        lost = await rest(sim, http, "AccountSummary", id=token)
        assert lost == {
            "message": f"Client with id {token} not found",
            "code": "INVALID_TOKEN",
            "stackTrace": "",
        }


async def test_a_wrong_password_is_an_error_body_with_a_success_status() -> None:
    async with running() as (sim, _, http):
        query = {"user": "5001", "password": "wrong", "host": "x", "port": "443"}
        async with http.get(f"{sim.mt5rest_url}/Connect", params=query) as response:
            assert response.status == 201
            assert (await response.json())["code"] == "INVALID_ACCOUNT"


async def test_losing_sessions_makes_every_token_unknown() -> None:
    async with running() as (sim, _, http):
        token = await terminal(sim, http)
        async with http.post(f"{sim.control_url}/sim/faults", json={"lose_sessions": True}):
            pass

        assert (await rest(sim, http, "OpenedOrders", id=token))["code"] == "INVALID_TOKEN"
        assert await rest(sim, http, "AccountSummary", id=await terminal(sim, http))


async def test_the_summary_adds_up_and_the_clock_has_no_zone() -> None:
    async with running() as (sim, _, http):
        token = await terminal(sim, http)
        sent = await rest(sim, http, "OrderSend", id=token, symbol="EURUSD", operation="Buy", volume="0.10")

        summary = await rest(sim, http, "accountsummary", ID=token)
        assert summary["equity"] == summary["balance"] + summary["credit"] + summary["profit"]
        assert (sent["orderType"], sent["lots"], sent["volume"]) == ("Buy", Decimal("0.10"), 10_000_000)
        assert (sent["openTime"], sent["closeTime"]) == ("2026-06-23T12:00:00", "0001-01-01T00:00:00")
        assert sent["openTimestampUTC"] == START.timestamp() * 1000
        zone = await rest(sim, http, "ServerTimezone", id=token)
        assert (zone["utcOffset"], zone["utcOffsetSeconds"]) == (3, 10_800)


async def test_bad_parameters_and_refused_trades_are_error_bodies() -> None:
    async with running() as (sim, _, http):
        token = await terminal(sim, http)
        order = {"id": token, "symbol": "EURUSD", "operation": "Buy", "volume": "0.10"}
        for change, code in (
            ({"volume": "abc"}, "INVALID_PARAMETERS"),
            ({"volume": "1e999999"}, "INVALID_PARAMETERS"),
            ({"volume": "0.001"}, "INVALID_VOLUME"),
            ({"volume": "100"}, "NO_MONEY"),
            ({"symbol": "NOPE"}, "INVALID_SYMBOL"),
            ({"operation": "Hold"}, "INVALID_PARAMETERS"),
            ({"stoploss": "9"}, "INVALID_STOPS"),
        ):
            assert (await rest(sim, http, "OrderSend", **(order | change)))["code"] == code, change
        investor = await terminal(sim, http, password=sim.broker.account(5001).password_investor)
        assert (await rest(sim, http, "OrderSend", **(order | {"id": investor})))["code"] == "TRADE_DISABLED"


async def test_updates_tell_open_partial_close_modify_close_and_balance_with_deal_tickets() -> None:
    async with running() as (sim, _, http):
        token = await terminal(sim, http)
        async with http.ws_connect(f"{sim.mt5rest_url}/OnOrderUpdate?id={token}") as stream:
            await rest(sim, http, "CheckConnect", id=token)  # once it answers, the stream is listening too
            sim.broker.deposit(5001, "50", "top up")
            trade = sim.broker.desk.open(
                sim.broker.account(5001), "EURUSD", Command.BUY, Decimal("0.3"), magic=9
            )
            sim.broker.modify(5001, trade.ticket, sl=Decimal("1.00000"))
            sim.broker.close(5001, trade.ticket, "0.1")
            sim.broker.close(5001, trade.ticket)
            frames = [await next_json(stream) for _ in range(5)]

        assert {frame["type"] for frame in frames} == {"OrderUpdate"}
        updates = [frame["data"]["update"] for frame in frames]
        assert [update["type"] for update in updates] == [
            *("Balance", "MarketOpen", "MarketModify", "PartialClose", "MarketClose"),
        ]
        cash, opened, _, partial, closed = (update["order"] for update in updates)
        assert (cash["orderType"], cash["profit"], cash["comment"]) == ("Balance", Decimal(50), "top up")
        assert opened["dealInternalIn"]["expertId"] == 9
        assert (partial["lots"], partial["closeLots"]) == (Decimal("0.2"), Decimal("0.1"))
        assert (partial["dealInternalOut"]["expertId"], partial["dealInternalOut"]["comment"]) == (0, "")
        tickets = [order["dealInternalOut"]["ticketNumber"] for order in (partial, closed)]
        assert len({*tickets, opened["dealInternalIn"]["ticketNumber"]}) == 3
        assert frames[0]["data"]["openedOrders"] == []


async def test_profit_frames_are_throttled_and_skip_when_nothing_moved() -> None:
    async with running() as (sim, clock, http):
        token = await terminal(sim, http)
        sim.broker.open(5001, "EURUSD", "buy", "0.10")
        assert await rest(sim, http, "SubscribeOrderProfit", id=token, interval="1000") == "OK"
        async with http.ws_connect(f"{sim.mt5rest_url}/OnOrderProfit?id={token}") as stream:
            first = (await next_json(stream))["data"]
            for step in range(5):
                sim.broker.move_price("EURUSD", Decimal("1.09") + step * Decimal("0.001"))
            await clock.advance(timedelta(seconds=1))
            second = (await next_json(stream))["data"]
            await clock.advance(timedelta(seconds=5))
            sim.faults.glitch_equity = Odds(next=1)
            await clock.advance(timedelta(seconds=1))
            glitch = (await next_json(stream))["data"]

        assert first["user"] == 5001
        assert first["orders"][0].keys() == {
            *("ticket", "symbol", "lots", "openPrice", "stopLoss", "profit", "commission", "swap", "comment"),
        }
        assert second["equity"] == second["balance"] + second["credit"] + second["profit"]
        assert second["profit"] == second["orders"][0]["profit"] > first["profit"]
        assert (glitch["equity"], glitch["balance"]) == (0, second["balance"])


async def test_history_by_server_time_has_a_row_for_each_out_deal_and_cash_deal() -> None:
    async with running() as (sim, clock, http):
        token = await terminal(sim, http)
        await clock.advance(timedelta(hours=1))
        sim.broker.move_to(clock.now_us())
        trade = sim.broker.open(5001, "EURUSD", "buy", "0.30")
        sim.broker.close(5001, trade.ticket, "0.10")
        sim.broker.close(5001, trade.ticket)
        sim.broker.deposit(5001, "5")
        window = {"id": token, "from": "2026-06-23T13:00:00", "to": "2026-06-23T13:00:00"}

        rows = await rest(sim, http, "OrderHistory", **window)
        assert [(row["orderType"], row["lots"]) for row in rows] == [
            ("Buy", Decimal("0.1")),
            ("Buy", Decimal("0.2")),
            ("Balance", 0),
        ]
        (whole,) = await rest(sim, http, "HistoryPositions", **window)
        assert (whole["ticket"], whole["lots"]) == (trade.ticket, Decimal("0.3"))
        assert (
            await rest(
                sim,
                http,
                "OrderHistory",
                **(window | {"from": "2026-06-23T13:00:01", "to": "2026-06-24T00:00:00"}),
            )
            == []
        )
        sim.faults.wrap_history = sim.faults.hollow_rows = True
        hollow = (await rest(sim, http, "OrderHistory", **window))["orders"][0]
        assert (hollow["lots"], hollow["dealInternalOut"]["lots"]) == (0, Decimal("0.1"))


async def test_pascal_case_renames_every_field() -> None:
    async with running() as (sim, _, http):
        token = await terminal(sim, http)
        sim.faults.pascal_case = True

        summary = await rest(sim, http, "AccountSummary", id=token)
        assert "FreeMargin" in summary
        assert not [name for name in summary if name[0].islower()]


@pytest.mark.parametrize(("fault", "effects"), [("drop_before_apply", 0), ("apply_then_drop_answer", 1)])
async def test_an_order_whose_connection_drops_is_on_the_books_or_not(fault: str, effects: int) -> None:
    async with running() as (sim, _, http), aiohttp.ClientSession(middlewares=[cut_is_final]) as careful:
        token = await terminal(sim, http)
        setattr(sim.faults, fault, Odds(next=1))

        with pytest.raises(Cut):
            await rest(
                sim,
                careful,
                "OrderSend",
                id=token,
                symbol="EURUSD",
                operation="0",
                volume="0.10",
                comment=TAG,
            )

        assert len(sim.ledger.by_tag(TAG)) == effects


async def test_the_ledger_shows_a_client_that_sends_a_get_again_by_itself() -> None:
    async with running() as (sim, _, http):
        token = await terminal(sim, http)
        sim.faults.apply_then_drop_answer = Odds(next=1)

        await rest(
            sim, http, "OrderSend", id=token, symbol="EURUSD", operation="0", volume="0.10", comment=TAG
        )

        assert [len(effects) for effects in sim.ledger.duplicates().values()] == [2]


async def test_a_late_order_is_applied_after_its_connection_is_gone() -> None:
    async with running() as (sim, clock, http), aiohttp.ClientSession(middlewares=[cut_is_final]) as careful:
        token = await terminal(sim, http)
        sim.faults.late_apply = Odds(next=1)

        with pytest.raises(Cut):
            await rest(
                sim,
                careful,
                "OrderSend",
                id=token,
                symbol="EURUSD",
                operation="0",
                volume="0.10",
                comment=TAG,
            )
        assert len(sim.ledger) == 0
        await clock.advance(timedelta(seconds=1))

        assert [effect.late for effect in sim.ledger.by_tag(TAG)] == [True]


async def test_a_withheld_answer_never_comes_although_the_order_stands() -> None:
    async with running() as (sim, _, http):
        token = await terminal(sim, http)
        sim.faults.apply_then_withhold_answer = Odds(next=1)
        impatient = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=0.3), middlewares=[cut_is_final]
        )

        async with impatient:
            with pytest.raises(TimeoutError):
                await rest(
                    sim,
                    impatient,
                    "OrderSend",
                    id=token,
                    symbol="EURUSD",
                    operation="Buy",
                    volume="0.10",
                    comment=TAG,
                )

        assert len(sim.ledger.by_tag(TAG)) == 1
