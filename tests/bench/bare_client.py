"""The ceiling of a delivery: aiohttp on uvloop, 50 kept connections, Standard Webhooks signature, and nothing else.

``bare_client.py URL COUNT BODY_FILE`` prints the CPU seconds and the wall seconds of COUNT deliveries as JSON.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import resource
import sys
import time
from itertools import count
from pathlib import Path

import aiohttp
import uvloop
import yarl

CONNECTIONS = 50
_WARM_UP = 500


async def deliver(session: aiohttp.ClientSession, url: yarl.URL, body: bytes, deliveries: int) -> None:
    key = hmac.new(os.urandom(32), digestmod=hashlib.sha256)
    numbers = count()

    async def connection() -> None:
        while (number := next(numbers)) < deliveries:
            name, timestamp = f"msg_{number}", str(int(time.time()))
            mac = key.copy()
            mac.update(f"{name}.{timestamp}.".encode())
            mac.update(body)
            headers = {
                "Content-Type": "application/json",
                "webhook-id": name,
                "webhook-timestamp": timestamp,
                "webhook-signature": "v1," + base64.b64encode(mac.digest()).decode(),
            }
            async with session.post(url, data=body, headers=headers) as answer:
                await answer.read()
                assert answer.status == 204, answer.status

    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(connection())


def used() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def main(target: str, deliveries: int, body: bytes) -> None:
    url = yarl.URL(target)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session:
        await deliver(session, url, body, _WARM_UP)
        cpu, wall = used(), time.perf_counter()
        await deliver(session, url, body, deliveries)
        print(json.dumps({"cpu": used() - cpu, "wall": time.perf_counter() - wall}), flush=True)


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]).read_bytes()))
