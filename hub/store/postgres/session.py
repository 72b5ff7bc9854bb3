"""A session with PostgreSQL that either side may lose: for how long each believes in the other, and what ends the rest.

Four things can hold a lock after whoever held it has stopped or is out of reach. The server ends three by itself: a
transaction in which nothing is asked, a wait for another lock, and a connection that the network has lost. The fourth
it waits for without any limit: a client that is there as far as the network goes, and neither asks the second half of
a question nor reads the answer to one. Such sessions are ended by whoever runs into their locks.
"""

import socket
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    _Base = asyncpg.Connection[asyncpg.Record]
    _Any = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
else:
    _Base = asyncpg.Connection

STATEMENT_SECONDS = 20
PAUSE_SECONDS = 5  # a process that stopped in the middle holds its locks so long and no longer
LOCK_SECONDS = (
    6  # longer than a pause: who waits in vain for so long may wait for a session that has to be ended
)
SILENT_SECONDS = 5  # until either side gives up a network in which nothing is even said to have arrived

# What the server's side of any connection watches over it with.
ALIVE = {
    "tcp_user_timeout": f"{SILENT_SECONDS}s",
    "tcp_keepalives_idle": f"{SILENT_SECONDS}",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "3",
}
LIMITS = {
    **ALIVE,
    "idle_in_transaction_session_timeout": f"{PAUSE_SECONDS}s",
    "lock_timeout": f"{LOCK_SECONDS}s",
    "statement_timeout": f"{STATEMENT_SECONDS}s",
}

# A client that is gone while its statement runs or waits; a server on Windows cannot notice, and refuses to be asked to.
_NOTICE_A_LOST_CLIENT = (
    "SELECT set_config('client_connection_check_interval', '1s', false) "
    "WHERE version() !~* 'windows|mingw|visual c'"
)
_END_STUCK = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE datname = current_database() AND usename = current_user AND application_name = $1 "
    "AND pid <> pg_backend_pid() AND state = 'active' AND wait_event IN ('ClientRead', 'ClientWrite') "
    "AND query_start < clock_timestamp() - make_interval(secs => $2)"
)
NAME = "hub"


class Session(_Base):
    """A connection whose end here, too, gives up a network that answers nothing."""

    def __init__(self, protocol: Any, transport: Any, *more: Any) -> None:
        super().__init__(protocol, transport, *more)
        _stay_alive(transport.get_extra_info("socket"))


def _stay_alive(sock: socket.socket) -> None:
    if sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    wanted = {
        "TCP_KEEPIDLE": SILENT_SECONDS,
        "TCP_KEEPALIVE": SILENT_SECONDS,  # the same under its name on macOS
        "TCP_KEEPINTVL": 1,
        "TCP_KEEPCNT": 3,
        "TCP_USER_TIMEOUT": SILENT_SECONDS * 1000,
    }
    for name, value in wanted.items():
        if (option := getattr(socket, name, None)) is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


async def begun(connection: "_Any") -> None:
    """Ask of a new session what cannot be asked of every server."""
    await connection.execute(_NOTICE_A_LOST_CLIENT)


async def end_stuck(connection: "_Any") -> int:
    """End the sessions of hubs here that have been waiting for their client in the middle of a statement; return how many."""
    return int(await connection.fetchval(_END_STUCK, NAME, float(PAUSE_SECONDS)) or 0)
