"""A CRM's endpoint from the terminal: added with a filter, looked at before sending, mended while events wait for it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from processes.client import HubClient
from processes.harness import HubProcess
from processes.receiver import VerifyingReceiver
from processes.terminal import ran, typed

WITHIN = 30.0


def terminal(hub: HubProcess, *arguments: str) -> tuple[int, str, str]:
    return typed(hub, "endpoints", *arguments)


def sealing(*arguments: str) -> None:
    code, _, errors = ran("sealing", *arguments)
    assert code == 0, errors


def told(hub: HubProcess, *arguments: str) -> Any:
    code, out, error = terminal(hub, *arguments, "--json")
    assert code == 0, error
    return json.loads(out)


def a_trade(number: int, lots: str) -> dict[str, Any]:
    return {
        "type": "trade.opened",
        "timestamp": datetime.now(UTC).isoformat(),
        "account": {"server": "live-1", "login": 7001, "currency": "USD"},
        "data": {"symbol": "EURUSD", "side": "buy", "lots": lots, "price": "1.1", "position": number},
        "dedupe_key": f"n{number}",
    }


async def until(found: Any, what: str) -> None:
    deadline = time.monotonic() + WITHIN
    while not await found():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.05)


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[HubProcess]:
    (tmp_path / "none").mkdir()
    hub = HubProcess(tmp_path / "hub", workflows=[tmp_path / "none"])
    await hub.start()
    yield hub
    await hub.stop()


@pytest.mark.scenario
async def test_an_endpoint_gets_what_its_filter_lets_through_and_the_rest_is_counted(hub: HubProcess) -> None:
    async with VerifyingReceiver() as receiver, HubClient(hub) as client:
        made = told(hub, "add", receiver.url, "-e", "trade.*", "--where", "data.lots >= 1", "--owner", "desk")
        receiver.trust(made["secret"])

        await client.post_until_acknowledged([a_trade(1, "0.5"), a_trade(2, "1.5"), a_trade(3, "2.5")])

        async def arrived() -> bool:
            return len(receiver.accepted) >= 2

        await until(arrived, "two events arrive")
        code, out, _ = terminal(hub, "preview", made["id"], "--where", "data.lots > 2.5")
        assert (code, "would not be sent" in out) == (1, True)
        code, out, _ = terminal(hub, "preview", made["id"])
        assert (code, "webhook-id: evt_" in out) == (0, True)
        sent = told(hub, "test", made["id"])["event"]

        async def tested() -> bool:
            return sent in receiver.accepted

        await until(tested, "the test event arrives")
        metrics = await client.text("/metrics")

    assert receiver.complaints == []
    assert sorted(receiver.types.values()) == ["custom.endpoint_test", "trade.opened", "trade.opened"]
    assert f'hub_deliveries_skipped_total{{endpoint="{made["id"]}",reason="filtered"}} 1.0' in metrics


@pytest.mark.scenario
async def test_a_template_mended_in_time_loses_nothing(hub: HubProcess) -> None:
    async with VerifyingReceiver() as receiver, HubClient(hub) as client:
        made = told(
            hub,
            *("add", receiver.url, "--event", "trade.*", "--schedule", ",".join(["0.5"] * 20)),
            *("--transform", '{"note": "{{ data.comment }}"}'),
        )
        receiver.trust(made["secret"])
        await client.post_until_acknowledged([a_trade(1, "0.5")])

        async def failed() -> bool:
            deliveries = (await client.get(f"/v1/endpoints/{made['id']}/deliveries"))["items"]
            if not deliveries:
                return False
            found = (await client.get(f"/v1/deliveries/{deliveries[0]['id']}/attempts"))["items"]
            assert all("data.comment is missing" in attempt["response"] for attempt in found)
            assert all(attempt["error"] == "transform" for attempt in found)
            return len(found) >= 2

        await until(failed, "attempts fail for want of a comment")
        changed = told(
            hub, "set", made["id"], "--transform", '{"note": "{{ data.comment|default(\'none\') }}"}'
        )
        assert changed["schedule"] == [0.5] * 20

        async def arrived() -> bool:
            return len(receiver.accepted) == 1

        await until(arrived, "the event arrives in the new form")

    assert receiver.complaints == []
    (body,) = receiver.bodies.values()
    assert json.loads(body)["data"] == {"note": "none"}


@pytest.mark.scenario
async def test_what_is_asked_for_wrongly_is_answered_in_a_sentence(hub: HubProcess, tmp_path: Path) -> None:
    wrong = [
        (("add", "http://127.0.0.1:9/", "--where", "data.lots >"), "where"),
        (("add", "kafka:trades"), "delivering.kafka.topics"),
        (("add", "http://127.0.0.1:9/", "--header", "secret-without-colon"), "'Name: value'"),
        (("add", "http://127.0.0.1:9/", "--transform", f"@{tmp_path / 'none'}"), "cannot read"),
        (("set", "ep_none", "--rate", "5"), "there is no endpoint"),
        (("set", "ep_none"), "nothing to change"),
        (("show", "../keys"), "there is no"),
    ]
    for arguments, said in wrong:
        code, out, error = terminal(hub, *arguments)
        assert (code, out) == (2, ""), arguments
        assert said in error, (arguments, error)
        assert "Traceback" not in error
        assert "secret-without-colon" not in error
    assert told(hub, "list") == []


REAL = "https://crm.example.com/hub"


@pytest.mark.scenario
async def test_secrets_of_real_endpoints_lie_sealed_and_the_sealing_key_can_be_changed(
    tmp_path: Path,
) -> None:
    (tmp_path / "none").mkdir()
    key = tmp_path / "sealing.key"
    hub = HubProcess(tmp_path / "hub", workflows=[tmp_path / "none"])
    await hub.start()
    code, _, error = terminal(hub, "add", REAL)
    assert (code, "hub sealing new" in error) == (2, True)
    here = told(hub, "add", "http://127.0.0.1:9/", "--disabled")
    await hub.stop()

    sealing("new", "--file", str(key))
    config = {"sealing": {"key_file": str(key)}}
    sealed = HubProcess(tmp_path / "hub", config=config, workflows=[tmp_path / "none"])
    sealed.key = hub.key
    await sealed.start()
    token = "Authorization: Bearer of-the-crm"
    made = told(sealed, "add", REAL, "--disabled", "--secret-header", token)
    turned = told(sealed, "rotate", made["id"], "--grace", "7d")
    assert [each["until"] is None for each in turned["keys"]] == [True, False]
    await sealed.stop()

    stored = b"".join(path.read_bytes() for path in sorted((tmp_path / "hub" / "data").glob("hub.db*")))
    for secret in (made["secret"], turned["secret"], "of-the-crm"):
        assert secret.encode() not in stored
    sealing("rotate", "--config", str(tmp_path / "hub" / "hub.yaml"))
    await sealed.start()
    await sealed.stop()
    newest = key.read_text().splitlines()[0]
    key.write_text(newest + "\n")
    await sealed.start()
    shown = {each["id"]: each for each in told(sealed, "list")}
    assert [each["id"] for each in shown[made["id"]]["keys"]] == [each["id"] for each in turned["keys"]]
    assert shown[here["id"]]["keys"][0]["id"] == here["keys"][0]["id"]
    await sealed.stop()

    bare = HubProcess(tmp_path / "hub", workflows=[tmp_path / "none"])
    with pytest.raises(AssertionError, match="hub sealing new"):
        await bare.start()


@pytest.mark.scenario
async def test_a_receiver_changes_its_secret_while_events_arrive(hub: HubProcess, tmp_path: Path) -> None:
    async with VerifyingReceiver() as receiver, HubClient(hub) as client:
        made = told(hub, "add", receiver.url, "-e", "trade.*")
        receiver.trust(made["secret"])
        turned = told(hub, "rotate", made["id"], "--grace", "1h")

        async def arrived(count: int) -> bool:
            return len(receiver.accepted) == count

        await client.post_until_acknowledged([a_trade(1, "1")])
        await until(lambda: arrived(1), "one event verifies with the old secret")
        receiver.trust(turned["secret"])
        await client.post_until_acknowledged([a_trade(2, "1")])
        await until(lambda: arrived(2), "the next verifies with the new one")
        last = told(hub, "rotate", made["id"], "--grace", "0")
        receiver.trust(last["secret"])
        await client.post_until_acknowledged([a_trade(3, "1")])
        await until(lambda: arrived(3), "the last verifies with the last one alone")

    assert receiver.complaints == []
    assert len(last["keys"]) == 1
