"""The process that sends messages to teams: one order a line, one result a line, and what is between them stays in here.

It ends when the hub does, because its end of the pipe closes then, or is killed by the hub where a message takes too
long. Nothing it says repeats an address, and the library's own log is off: it knows more than may be written down.
"""

import logging
import os
import resource
import sys
from contextlib import suppress
from typing import BinaryIO, Final

import apprise

from hub.dispatch.addresses import in_house
from hub.dispatch.channels.chat_guard import CONNECT_SECONDS, Guard
from hub.dispatch.channels.chat_wire import (
    LONGEST_LINE,
    Begun,
    Done,
    Line,
    Order,
    Trouble,
    decode_order,
    encode_line,
)

NICER: Final = 5
MOST_MEMORY: Final = 1024**3


def main(orders: BinaryIO, lines: BinaryIO) -> int:
    logging.disable()
    _bound()

    def say(line: Line) -> None:
        lines.write(encode_line(line) + b"\n")
        lines.flush()

    guard = Guard(begun=lambda: say(Begun()))
    guard.install()
    asset = apprise.AppriseAsset(
        app_id="hub",
        storage_mode=apprise.PersistentStoreMode.MEMORY,
        http_redirects=False,
        async_mode=False,
        allow_templates=False,
        default_service_retry=0,
        pgp_autogen=False,
        pem_autogen=False,
    )
    while order := orders.readline(LONGEST_LINE):
        say(_send(decode_order(order), guard, asset))
    return 0


def _bound() -> None:
    """Give way to the hub, and take no more memory than a message can be worth."""
    with suppress(OSError, ValueError):
        os.nice(NICER)
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


def _send(order: Order, guard: Guard, asset: apprise.AppriseAsset) -> Done:
    guard.begin(
        order.seconds,
        allow_loopback=order.allow_loopback,
        networks=[in_house(network) for network in order.networks],
    )
    taken = False
    try:
        service = apprise.Apprise.instantiate(order.url, asset=asset)
        if service is None:
            return Done(taken=False, troubles=(Trouble.NO_ADDRESS,))
        # What the address may ask for and the hub decides: it is the hub that repeats, and redirects lead elsewhere.
        service.retry, service.redirects = 0, False
        service.socket_connect_timeout, service.socket_read_timeout = CONNECT_SECONDS, order.seconds
        kind = apprise.NotifyType.FAILURE if order.urgent else apprise.NotifyType.INFO
        taken = bool(
            service.notify(
                body=order.text, title=order.title, notify_type=kind, body_format=apprise.NotifyFormat.TEXT
            )
        )
    except Exception:  # noqa: S110 - of a service's own: what was asked and answered until then tells the rest
        pass
    return Done(taken=taken, answers=tuple(guard.answers), troubles=tuple(guard.troubles))


def _alone() -> BinaryIO:
    """Return where the hub hears this process; whatever a service prints goes elsewhere."""
    lines = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return lines


if __name__ == "__main__":
    sys.exit(main(sys.stdin.buffer, _alone()))
