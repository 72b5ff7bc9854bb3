"""MT Remote and the control surface over real sockets: what a connector may rely on, and each way they can fail."""

from datetime import timedelta
from decimal import Decimal

import pytest
from conformance.sim_clients import (
    CLOSED,
    NOON_AT_THE_SERVER,
    PATIENCE,
    TAG,
    Bridge,
    bridged,
    rest,
    running,
    terminal,
)

from hub.sim.faults import Odds

# --- MT Remote


async def test_a_reply_repeats_the_id_as_it_was_sent() -> None:
    async with running() as (sim, _, http), bridged(sim, http) as bridge:
        for ident in (7, "2f0c-uuid"):
            await bridge.socket.send_json({"id": ident, "name": "symbol.show", "data": {"symbol": "EURUSD"}})
            assert await bridge.frame() == {"id": ident, "status": "OK"}


async def test_errors_carry_a_message_and_no_code() -> None:
    async with running() as (sim, _, http), bridged(sim, http) as bridge:
        assert await bridge.refusal("config.group.get", group="test") == "Cannot find group 'test'"
        assert await bridge.refusal("users.del", logins=[1001]) == "Unknown function 'users.del'"
        assert (await bridge.refusal("order.balance", login="x")).startswith("Invalid parameters")
        assert "Dealing" in await bridge.refusal("subscribe", event="trade_request")


@pytest.mark.parametrize("frame", ["", "{", "[]", '{"id":1}', "[" * 5000, '{"id":1,"name":5}'])
async def test_a_malformed_frame_is_answered_and_the_session_lives(frame: str) -> None:
    async with running() as (sim, _, http), bridged(sim, http) as bridge:
        await bridge.socket.send_str(frame)

        assert await bridge.frame() == {"id": None, "status": "ERROR", "message": "Malformed request"}
        assert len(await bridge.result("users.get.all")) == 3


@pytest.mark.parametrize(
    "number", ["1e400", "-1e400", '"NaN"', '"Infinity"', "1e-400", "1" * 300, "0." + "1" * 300]
)
async def test_an_enormous_number_is_refused_and_the_session_lives(number: str) -> None:
    async with running() as (sim, _, http), bridged(sim, http) as bridge:
        order = '"login":1001,"symbol":"EURUSD","command":"buy","volume":0.01'
        for name, data in (
            ("order.balance", f'{{"login":1001,"command":"balance","amount":{number}}}'),
            ("order.open", f'{{{order},"price":{number}}}'),
            ("order.open", f'{{{order},"price":1.1,"sl":{number}}}'),
            ("tick.add", f'{{"symbol":"EURUSD","bid":{number},"ask":1}}'),
        ):
            await bridge.socket.send_str(f'{{"id":1,"name":"{name}","data":{data}}}')
            assert (await bridge.frame() or {})["status"] == "ERROR"
        assert len(sim.ledger) == 0


async def test_a_reader_too_far_behind_is_cut_off() -> None:
    async with running() as (sim, _, http), bridged(sim, http) as bridge:
        await bridge.result("subscribe", event="trade")
        for _ in range(10_001):
            sim.broker.deposit(1001, "0.01")

        while await bridge.frame() is not None:
            pass
        async with bridged(sim, http) as again:
            assert len(await again.result("users.get.all")) == 3


async def test_nothing_works_before_connect_and_wrong_credentials_are_refused() -> None:
    async with running() as (sim, _, http), http.ws_connect(sim.mt_remote_url) as socket:
        bridge = Bridge(socket)
        assert await bridge.refusal("users.get.all") == "Not connected to MT4 server"
        assert await bridge.refusal("connect", login=900, password="wrong") == "Invalid account"


async def test_headers_sign_in_at_the_upgrade_and_wrong_ones_close_the_socket() -> None:
    async with running() as (sim, _, http):
        headers = {
            "MT-SERVER": "demo",
            "MT-LOGIN": "900",
            "MT-PASSWORD": sim.manager_password,
            "VERSION": "1.00",
        }
        async with http.ws_connect(sim.mt_remote_url, headers=headers) as socket:
            assert len(await Bridge(socket).result("users.get.all")) == 3
        async with http.ws_connect(sim.mt_remote_url, headers=headers | {"MT-PASSWORD": "wrong"}) as socket:
            assert (await socket.receive(PATIENCE)).type in CLOSED
            assert socket.close_code == 1008


async def test_event_ids_count_from_zero_in_every_session_and_nothing_is_replayed() -> None:
    async with running() as (sim, _, http):
        for _ in range(2):
            async with bridged(sim, http) as bridge:
                for topic in ("trade", "user"):
                    await bridge.result("subscribe", event=topic)
                sim.broker.deposit(1001, "5")
                sim.broker.deposit(1001, "6")
                events = [await bridge.frame() for _ in range(4)]

                assert [event["event_id"] for event in events if event] == [0, 1, 2, 3]
                assert [event["event"] for event in events if event] == ["trade", "user", "trade", "user"]
            sim.broker.deposit(1001, "7")


async def test_unsubscribing_ends_the_events() -> None:
    async with running() as (sim, _, http), bridged(sim, http) as bridge:
        await bridge.result("subscribe", event="trade")
        await bridge.result("unsubscribe", event="trade")
        sim.broker.deposit(1001, "5")
        await bridge.result("users.get", logins=[1001])

        assert bridge.events == []


async def test_a_balance_row_looks_like_a_trade_and_times_are_the_servers_clock() -> None:
    async with running() as (sim, _, http), bridged(sim, http) as bridge:
        await bridge.result("subscribe", event="trade")
        done = await bridge.result(
            "order.balance", login=1001, command="credit", amount=20.5, comment=TAG + "-and-more"
        )

        record = bridge.events[0]["data"]
        assert bridge.events[0].keys() == {"event", "event_id", "data"}
        assert record["order"] == done["order"]
        assert (record["cmd"], record["symbol"], record["volume"]) == ("credit", "", Decimal("0.01"))
        assert (record["profit"], record["comment"]) == (Decimal("20.5"), (TAG + "-and-more")[:31])
        assert record["open_time"] == record["close_time"] == NOON_AT_THE_SERVER
        assert sim.ledger.by_tag(TAG)[0].amount == Decimal("20.5")


async def test_taking_out_more_than_there_is_answers_an_error() -> None:
    async with running() as (sim, _, http), bridged(sim, http) as bridge:
        sim.broker.open(1001, "EURUSD", "buy", "0.01")
        balance = sim.broker.account(1001).balance

        for command in ("balance", "credit"):
            assert await bridge.refusal("order.balance", login=1001, command=command, amount=-float(balance))
        assert len(sim.ledger) == 0


async def test_user_set_changes_what_it_names_and_passes_over_read_only_fields() -> None:
    async with running() as (sim, _, http), bridged(sim, http) as bridge:
        await bridge.result("subscribe", event="user")
        await bridge.result(
            "user.set", login=1001, read_only=True, group="real/vip", balance=1, zipcode="1065"
        )

        (user,) = await bridge.result("users.get", logins=[1001])
        assert (user["read_only"], user["group"], user["zipcode"], user["enable"]) == (
            True,
            "real/vip",
            "1065",
            True,
        )
        assert user["balance"] != 1
        assert bridge.events[0]["data"] == user
        assert await bridge.refusal("user.set", login=1001, group="nowhere") == "Cannot find group 'nowhere'"
        assert (await bridge.refusal("user.set", login=1001, reed_only=True)).startswith("Invalid parameters")
        assert await bridge.refusal("user.set", login=5001, enable=False) == "Cannot find user '5001'"


async def test_a_partial_close_is_two_trade_events_without_an_action() -> None:
    async with running() as (sim, _, http), bridged(sim, http) as bridge:
        await bridge.result("symbol.show", symbol="EURUSD")
        (tick,) = await bridge.result("ticks.get", symbol="EURUSD")
        opened = await bridge.result(
            "order.open", login=1001, symbol="EURUSD", command="buy", volume=0.03, price=float(tick["ask"])
        )
        await bridge.result("subscribe", event="trade")
        await bridge.result("order.close", order=opened["order"], volume=0.01, price=float(tick["bid"]))

        closed, rest_of_it = (event["data"] for event in bridge.events)
        assert (closed["order"], closed["comment"]) == (opened["order"], f"to #{rest_of_it['order']}")
        assert (rest_of_it["close_time"], rest_of_it["volume"]) == (0, Decimal("0.02"))
        (still,) = await bridge.result("trades.get.by_login", login=1001, group="real/std")
        assert still == rest_of_it == await bridge.result("trade.get", order=rest_of_it["order"])


async def test_ticks_come_for_shown_symbols_only() -> None:
    async with running() as (sim, _, http), bridged(sim, http) as bridge:
        await bridge.result("subscribe", event="tick")
        assert await bridge.result("ticks.get", symbol="EURUSD") == []
        await bridge.result("symbol.show", symbol="EURUSD")
        await bridge.result("tick.add", symbol="GBPUSD", bid=1.25, ask=1.2502)
        await bridge.result("tick.add", symbol="EURUSD", bid=1.1, ask=1.1002)

        assert [event["data"]["symbol"] for event in bridge.events] == ["EURUSD"]
        assert (await bridge.result("ticks.get", symbol="EURUSD"))[-1]["bid"] == Decimal("1.10000")


async def test_history_after_a_gap_holds_what_was_missed() -> None:
    async with running() as (sim, clock, http):
        async with bridged(sim, http):
            pass
        await clock.advance(timedelta(hours=1))
        sim.broker.move_to(clock.now_us())
        trade = sim.broker.open(1001, "EURUSD", "buy", "0.01")
        sim.broker.close(1001, trade.ticket)
        sim.broker.deposit(1001, "5")

        async with bridged(sim, http) as bridge:
            hour = NOON_AT_THE_SERVER + 3600
            rows = await bridge.result("trades.history", login=1001, **{"from": hour, "to": hour})
            assert [row["cmd"] for row in rows] == ["buy", "balance"]
            assert await bridge.result("trades.history", login=1001, **{"from": hour + 1}) == []


async def test_a_lost_mt4_link_tells_its_subscribers_and_comes_back_by_the_delay() -> None:
    async with running() as (sim, clock, http), bridged(sim, http, reconnect_delay=1000) as bridge:
        await bridge.result("subscribe", event="connection")
        sim.lose_upstream(timedelta(seconds=3))

        assert await bridge.frame() == {"event": "connection", "event_id": 0, "data": False}
        assert await bridge.refusal("users.get.all") == "No connection to MT4 server"
        await clock.advance(timedelta(seconds=4))
        assert await bridge.frame() == {"event": "connection", "event_id": 1, "data": True}
        assert await bridge.result("users.get.all")


async def test_dropped_before_applying_leaves_no_effect() -> None:
    async with running() as (sim, _, http), bridged(sim, http) as bridge:
        sim.faults.drop_before_apply = Odds(next=1)

        assert await bridge.ask("order.balance", login=1001, command="credit", amount=5, comment=TAG) is None
        assert len(sim.ledger) == 0


async def test_applied_and_then_dropped_leaves_one_effect_and_no_answer() -> None:
    async with running() as (sim, _, http), bridged(sim, http) as bridge:
        sim.faults.apply_then_drop_answer = Odds(next=1)

        assert await bridge.ask("order.balance", login=1001, command="credit", amount=5, comment=TAG) is None
        assert len(sim.ledger.by_tag(TAG)) == 1


async def test_a_withheld_answer_never_comes_but_the_session_works_on() -> None:
    async with running() as (sim, _, http), bridged(sim, http) as bridge:
        sim.faults.apply_then_withhold_answer = Odds(next=1)
        number = await bridge.send("order.balance", login=1001, command="credit", amount=5, comment=TAG)

        assert len(await bridge.result("users.get", logins=[1001])) == 1
        assert number not in [event.get("id") for event in bridge.events]
        assert len(sim.ledger.by_tag(TAG)) == 1


async def test_a_late_write_is_applied_although_its_connection_is_gone() -> None:
    async with running() as (sim, clock, http), bridged(sim, http) as bridge:
        sim.faults.late_apply, sim.faults.late_apply_after = Odds(next=1), timedelta(seconds=20)

        assert await bridge.ask("order.balance", login=1001, command="credit", amount=5, comment=TAG) is None
        await clock.advance(timedelta(seconds=19))
        assert len(sim.ledger) == 0
        await clock.advance(timedelta(seconds=2))
        (effect,) = sim.ledger.by_tag(TAG)
        assert effect.late
        assert sim.broker.account(1001).credit == 5


async def test_a_delayed_answer_lets_later_ones_pass() -> None:
    async with running() as (sim, clock, http), bridged(sim, http) as bridge:
        sim.faults.answer_delay = timedelta(seconds=2)
        slow = await bridge.send("users.get", logins=[1001])
        await bridge.socket.send_str("{")  # answered at once, so the slow one has been taken in
        assert (await bridge.frame() or {})["message"] == "Malformed request"
        sim.faults.answer_delay = timedelta(0)
        quick = await bridge.send("users.get", logins=[1002])
        assert (await bridge.frame() or {})["id"] == quick

        await clock.advance(timedelta(seconds=3))
        assert (await bridge.frame() or {})["id"] == slow


async def test_dropping_all_connections_cuts_both_gateways() -> None:
    async with running() as (sim, _, http), bridged(sim, http) as bridge:
        token = await terminal(sim, http)
        async with http.ws_connect(f"{sim.mt5rest_url}/OnOrderUpdate?id={token}") as stream:
            async with http.post(
                f"{sim.control_url}/sim/faults", json={"drop_connections": True}
            ) as response:
                assert response.status == 200

            assert await bridge.frame() is None
            assert (await stream.receive(PATIENCE)).type in CLOSED
        assert await rest(sim, http, "CheckConnect", id=token) == "OK"


# --- control


async def test_the_control_surface_conducts_the_books_and_shows_them() -> None:
    async with running() as (sim, _, http):
        act = f"{sim.control_url}/sim/do"
        async with http.post(act, json={"act": "deposit", "login": 1001, "amount": "12.50"}) as response:
            assert (await response.json())["profit"] == "12.50"
        async with http.post(act, json={"act": "withdraw", "login": 1001, "amount": "1000000"}) as response:
            assert (response.status, await response.json()) == (400, {"error": "Not enough money"})
        async with http.post(act, json={"act": "explode"}) as response:
            assert response.status == 400
        async with http.get(f"{sim.control_url}/sim/state") as response:
            state = await response.json()
        async with bridged(sim, http) as bridge:
            await bridge.result("order.balance", login=1001, command="credit", amount=5, comment=TAG)
            await bridge.result("order.balance", login=1001, command="credit", amount=5, comment=TAG)
        async with http.get(f"{sim.control_url}/sim/ledger", params={"tag": TAG}) as response:
            ledger = await response.json()

    assert state["counts"] == {"mt4.deposits": 1}
    assert [account["login"] for account in state["accounts"]] == [1001, 1002, 1003, 5001, 5002]
    assert len(ledger["effects"]) == 2
    assert list(ledger["duplicates"]) == [TAG[:19]]


async def test_the_description_says_all_that_is_needed_to_connect() -> None:
    async with running() as (sim, _, _http):
        text = sim.describe()

        for fact in (
            sim.mt_remote_url,
            sim.mt5rest_url,
            sim.control_url,
            sim.manager_password,
            sim.password(5002),
        ):
            assert fact in text
