"""The process a running hub starts for one backtest: reads its order, tells how far it is, ends with the report.

It runs beside the hub, with bounds of its own: whatever the workflow does, deciding of the hub goes on. When the hub
ends, its end of the pipe closes, and this process ends as well.
"""

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from hub.backtest_job import Finished, Line, Order, Progress, Refused, decode_order, encode_line
from hub.clock import SystemClock
from hub.commands.backtest import Asked, compare, other_version
from hub.commands.backtest_html import page
from hub.commands.recorded import live_workflow, open_store
from hub.commands.rehearse import rehearse_log
from hub.engine.load_text import load_text
from hub.engine.program import Workflow
from hub.engine.record import Record
from hub.errors import ConfigError, HubError

Say = Callable[[Line], None]
TELL_EVERY_S: Final = 0.25
NICER: Final = 10


def main(orders: BinaryIO, lines: BinaryIO) -> int:
    order = decode_order(orders.readline())
    _bound(order)
    threading.Thread(target=_end_with, args=(orders,), daemon=True).start()

    def say(line: Line) -> None:
        lines.write(encode_line(line) + b"\n")
        lines.flush()

    try:
        say(asyncio.run(_work(order, say)))
    except HubError as problem:
        say(Refused(str(problem)))
    except MemoryError:
        say(Refused("it takes more memory than a backtest may: choose a shorter time"))
    return 0


async def _work(order: Order, say: Say) -> Line:
    asked = Asked(since=order.since, until=order.until, warm_up=order.warm_up, assume=order.assume)
    async with open_store(Path(order.data), order.address) as record:
        workflow = await _workflow(order, record)
        other = await other_version(workflow, "", record)
        workflows = [workflow] if other is None else [workflow, other]
        reports = await rehearse_log(
            record, workflows, asked.stretch(workflows), show=False, on_progress=_Watch(order, say)
        )
    compared = compare(reports[1], reports[0]) if other is not None else None
    most = order.most_told
    different = {"difference": compared.data(most) if compared is not None else None}
    result = json.dumps(reports[0].data(most) | different).encode()
    return Finished(msgspec.Raw(result), page(reports[0], compared))


async def _workflow(order: Order, record: Record) -> Workflow:
    if not order.text:
        return await live_workflow(record, order.workflow)  # never a file: the id came over the network
    report = load_text(order.text, "text")
    if report.workflow is None:
        said = "\n".join(str(problem) for problem in report.problems)
        raise ConfigError(said or "text: it is no workflow by itself, such as one that uses a blueprint")
    if report.workflow.id != order.workflow:
        raise ConfigError(
            f"the text is of {report.workflow.id}, not of {order.workflow}: ask for that one, or change its id"
        )
    return report.workflow


class _Watch:
    """Tells how far it is, now and then, and ends what tells more events than it may."""

    def __init__(self, order: Order, say: Say) -> None:
        self._order = order
        self._say = say
        self._clock = SystemClock()
        self._told = self._clock.monotonic()

    def __call__(self, share: float, events: int) -> None:
        if events > self._order.most_events:
            raise ConfigError(
                f"there are more than {self._order.most_events:,} events in that time and before it, as far back as the "
                "workflow looks: choose a shorter time or warm_up, or use `hub backtest`, which has no such bound"
            )
        now = self._clock.monotonic()
        if now - self._told >= TELL_EVERY_S:
            self._told = now
            self._say(Progress(round(min(share, 1.0), 4), events))


def _bound(order: Order) -> None:
    """Have the system end what takes too much, and let the hub go first."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 (there is none for Windows)

    with suppress(OSError):
        os.nice(NICER)
    for what, most in (
        (resource.RLIMIT_AS, order.most_memory),
        (resource.RLIMIT_CPU, order.most_seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(ValueError, OSError):
            resource.setrlimit(what, (most, most))


def _end_with(orders: BinaryIO) -> None:
    """End at once when the other end of the pipe closes."""
    with suppress(OSError, ValueError):
        while orders.read(4096):
            pass
    os._exit(3)


if __name__ == "__main__":
    sys.exit(main(sys.stdin.buffer, sys.stdout.buffer))
