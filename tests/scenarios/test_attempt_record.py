"""A receiver's owner asks why a webhook did not arrive, and somebody looks it up at a terminal."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from processes.client import HubClient
from processes.harness import HubProcess
from processes.program import eventually
from processes.terminal import typed

_ANSWERS = [
    b"HTTP/1.1 503 Busy\r\nServer: nginx\r\nSet-Cookie: sid=s3cret\r\nContent-Length: 9\r\n\r\ntry later",
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 0\r\n\r\n",
]


def terminal(hub: HubProcess, *arguments: str) -> tuple[int, str, str]:
    return typed(hub, "deliveries", *arguments)


def listed(hub: HubProcess, *arguments: str) -> list[dict[str, Any]]:
    status, out, told = terminal(hub, "list", "--json", *arguments)
    assert status == 0, told
    return list(json.loads(out))


@pytest.mark.scenario
async def test_what_was_tried_for_a_webhook_is_found_in_every_detail(tmp_path: Path) -> None:
    answers = iter(_ANSWERS)
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                asked.append(head)
                writer.write(next(answers))
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    hub = HubProcess(tmp_path / "hub", config={"delivering": {"schedule": [0.2, 0.2]}})
    await hub.start()
    try:
        async with server, HubClient(hub) as client:
            endpoint, secret = await client.create_endpoint(
                f"http://127.0.0.1:{port}/token-4711?pin=1", ["custom.*"]
            )
            await asyncio.to_thread(_test_send, hub, endpoint)
            await eventually(lambda: len(asked) == 2, within=30, what="two attempts")
            await eventually(lambda: bool(listed(hub, "--state", "delivered")), within=30, what="delivered")

            (delivery,) = listed(hub, "--endpoint", endpoint, "--since", "5m")
            name = delivery["id"]
            shown, in_full = terminal(hub, "show", name), terminal(hub, "attempts", name)
            first, second = json.loads(terminal(hub, "attempts", name, "--json")[1])
            unknown = terminal(hub, "attempts", "ep_none.1.1")
            wrong = terminal(hub, "list", "--since", "yesterday")
            state = terminal(hub, "list", "--state", "waitin")
    finally:
        await hub.kill()

    assert (delivery["state"], delivery["attempts"], listed_ids(shown)) == ("delivered", 2, name)
    sent = dict(line.split(": ", 1) for line in asked[0].decode().split("\r\n")[1:] if line)
    said = dict(first["request"]["headers"])
    assert said.keys() == sent.keys()
    assert {header: said[header] for header in said if header != "webhook-signature"} == {
        header: sent[header] for header in sent if header != "webhook-signature"
    }
    assert said["webhook-signature"] == f"(signed with {first['signed_by'][0]})"
    assert (first["status"], first["error"], first["response"]) == (503, "status", "try later")
    assert first["next_attempt_at"] is not None
    assert first["response_headers"] == [
        ["Server", "nginx"],
        ["Set-Cookie", "(hidden)"],
        ["Content-Length", "9"],
    ]
    assert (first["connection"], second["connection"]) == ("new", "kept")
    assert first["remote_address"] == "127.0.0.1"
    assert first["timings_us"]["connect"] > 0
    assert (second["timings_us"]["connect"], second["next_attempt_at"]) == (None, None)
    for part in ("503", "try later", "first byte", "webhook-id", "a new connection", "again"):
        assert part in in_full[1]
    for hidden in ("s3cret", "token-4711", "pin=1", secret, sent["webhook-signature"]):
        assert hidden not in in_full[1] + json.dumps([first, second])
    assert all(status != 0 for status, _, _ in (unknown, wrong, state))
    assert "no delivery of that id" in unknown[2]
    assert "--since 'yesterday' is no time" in wrong[2]
    assert "must be one of waiting" in state[2]


def listed_ids(shown: tuple[int, str, str]) -> str:
    return shown[1].split()[0]


def _test_send(hub: HubProcess, endpoint: str) -> None:
    from urllib.request import Request, urlopen

    path = f"{hub.url}/v1/endpoints/{endpoint}/test"
    with urlopen(Request(path, method="POST", headers=hub.headers), timeout=10) as answer:
        assert answer.status == 202
