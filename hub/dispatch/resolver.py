"""Name lookups in threads of their own, so that slow names of one endpoint cannot hold up everybody else's."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import final

from aiohttp.abc import AbstractResolver, ResolveResult
from typing_extensions import override

_THREADS = 16
_LOOKUP_SECONDS = 5
_MAX_ADDRESSES = 8


@final
class PooledResolver(AbstractResolver):
    """The system's resolver; what it finds is checked again when a socket is made for it."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="lookup")

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_LOOKUP_SECONDS):
            found = await loop.run_in_executor(
                self._pool, lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
            )
        results: list[ResolveResult] = []
        for kind, _, proto, _, address in found[:_MAX_ADDRESSES]:
            if kind not in {socket.AF_INET, socket.AF_INET6}:
                continue
            results.append(
                ResolveResult(
                    hostname=host,
                    host=str(address[0]),
                    port=int(address[1]),
                    family=kind,
                    proto=proto,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
            )
        if not results:
            raise OSError(f"{host} has no address")
        return results

    @override
    async def close(self) -> None:
        # A lookup that hangs must not hold up the end of the process.
        self._pool.shutdown(wait=False, cancel_futures=True)
