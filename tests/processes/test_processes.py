"""The harness itself: what it says it does to programs and webhooks, it does."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import aiohttp
import orjson
import pytest
from processes.preloaded import HUB, Preloaded, nursery, start
from processes.program import Program, ProgramFailed
from processes.receiver import VerifyingReceiver
from standardwebhooks.webhooks import Webhook

from hub.dispatch.signing import generate_secret

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up 7'); time.sleep(60)"
OBEDIENT = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
print('up 8')
time.sleep(60)
"""


def python(code: str, folder: Path) -> Program:
    return Program([sys.executable, "-c", code], folder / "program.log")


async def test_a_started_program_tells_what_its_ready_line_says_and_stops_in_order(tmp_path: Path) -> None:
    program = python(OBEDIENT, tmp_path)

    ready = await program.start(r"^up (\d+)$")

    assert ready.group(1) == "8"
    assert await program.stop() == 3
    assert not program.running


async def test_a_program_that_ignores_sigterm_is_killed_and_told_of(tmp_path: Path) -> None:
    program = python(STUBBORN, tmp_path)
    await program.start(r"^up")

    with pytest.raises(ProgramFailed, match="did not stop within"):
        await program.stop(within=0.2)

    assert not program.running


async def test_a_program_that_ends_before_it_is_ready_is_told_of_with_its_last_words(tmp_path: Path) -> None:
    program = python("print('no disk'); raise SystemExit(2)", tmp_path)

    with pytest.raises(ProgramFailed, match=r"ended with 2 before it was ready(.|\n)*no disk"):
        await program.start(r"^up")


async def test_a_killed_program_comes_back_and_only_its_new_words_count(tmp_path: Path) -> None:
    program = python(OBEDIENT, tmp_path)
    await program.start(r"^up")
    await program.kill()

    await program.start(r"^up")

    assert program.output().split() == ["up", "8"]
    await program.kill()


def ended(
    process: "subprocess.Popen[bytes] | Preloaded", written: Sequence[IO[bytes]]
) -> tuple[int, list[bytes]]:
    code = process.wait(60)
    for file in written:
        file.seek(0)
    return code, [file.read() for file in written]


@pytest.mark.skipif(not nursery.can_fork, reason="hubs are forked on Linux alone")
@pytest.mark.parametrize(
    "words", [("--version",), ("run", "--config", "/nowhere/hub.yaml"), ("keys", "list")]
)
def test_a_hub_that_is_forked_says_and_ends_as_one_from_nothing(words: tuple[str, ...]) -> None:
    environment = {**os.environ, "HUB_URL": "http://127.0.0.1:1", "HUB_KEY": "hub_none"}
    told = []
    with nursery.opened(), tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        forked = start([HUB, *words], environment, out, errors)
        assert isinstance(forked, Preloaded)
        told.append(ended(forked, (out, errors)))
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        fresh = subprocess.Popen([HUB, *words], stdout=out, stderr=errors, env=environment)
        told.append(ended(fresh, (out, errors)))

    assert told[0] == told[1]
    assert told[0][1] != [b"", b""]


@pytest.mark.skipif(not nursery.can_fork, reason="hubs are forked on Linux alone")
async def test_a_hub_that_is_forked_is_a_process_of_its_own_that_can_be_killed(tmp_path: Path) -> None:
    quiet = [HUB, "sim", "--rate", "0", *(f"--{name}-port=0" for name in ("mt-remote", "mt5rest", "control"))]
    with nursery.opened():
        killed, stopped = (Program(quiet, tmp_path / name) for name in ("killed.log", "stopped.log"))
        await killed.start(r"^sim is ready")
        await stopped.start(r"^sim is ready")
    assert os.getsid(killed.pid) == killed.pid
    assert isinstance(killed._process, Preloaded)

    await killed.kill()

    assert killed._process.poll() == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(killed.pid, 0)
    assert stopped.running
    assert await stopped.stop() == 0


async def post(url: str, secret: str, name: str, body: bytes, *, forge: bool = False) -> int:
    moment = datetime.now(UTC)
    signature = Webhook(secret).sign(name, moment, body.decode())
    headers = {
        "webhook-id": name,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": "v1,AAAA" if forge else signature,
    }
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        return answer.status


async def test_the_receiver_counts_copies_by_webhook_id_and_refuses_forgeries() -> None:
    secret = generate_secret()
    body = orjson.dumps({"id": "evt_a", "type": "trade.closed"})
    async with VerifyingReceiver() as receiver:
        receiver.trust(secret)

        answers = [await post(receiver.url, secret, "evt_a", body) for _ in range(2)]
        answers.append(await post(receiver.url, secret, "evt_a", body, forge=True))
        answers.append(await post(receiver.url, secret, "evt_b", body))

    assert answers == [204, 204, 401, 204]
    assert receiver.verified == {"evt_a": 2, "evt_b": 1}
    assert receiver.duplicates == 1
    assert [complaint.split(" is ")[0] for complaint in receiver.complaints[:1]] == ["evt_a"]
    assert "webhook-id evt_b carries event evt_a" in receiver.complaints


async def test_a_misbehaving_receiver_refuses_or_holds_back_first_copies_only() -> None:
    secret = generate_secret()
    body = orjson.dumps({"id": "evt_a", "type": "trade.closed"})
    async with (
        VerifyingReceiver(refusing=1.0) as refusing,
        VerifyingReceiver(hanging=1.0, hang=30.0) as hanging,
    ):
        refusing.trust(secret)
        hanging.trust(secret)

        answers = [await post(refusing.url, secret, "evt_a", body) for _ in range(2)]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await post(hanging.url, secret, "evt_a", body)

    assert answers == [500, 204]
    assert refusing.verified["evt_a"] == 2
    assert refusing.accepted["evt_a"] == 1
    assert hanging.accepted["evt_a"] == 0
