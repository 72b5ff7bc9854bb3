"""A process that has imported the whole hub and forks: its children are hubs that begin where the imports end.

What a hub does first, importing itself, takes a second and a half of CPU, and tests start hundreds. A child is a
process of its own in everything else: its session, environment, folder, descriptors, signals, and how it ends.
Between the two stands a keeper, who does nothing but wait for the hub and tell how it ended.
"""

import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import sys
from collections.abc import Callable

from hub import cli, commands

# What is asked for in one message. The descriptors beside it: standard output, standard error, and who is told.
MOST_BYTES = 128 * 1024


def become(asked: dict[str, object]) -> None:
    """Be the command that was asked for, as if it had just been started."""
    assert isinstance(asked["environment"], dict)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(str(asked["folder"]))
    assert isinstance(asked["command"], list)
    sys.argv[:] = asked["command"]
    sys.stdout.reconfigure(write_through=bool(os.environ.get("PYTHONUNBUFFERED")))  # type: ignore[union-attr]
    cli.main()


def serve(door: socket.socket) -> Callable[[], None]:
    """Fork whenever somebody asks; return, in a child, what it is to do. Ends when nobody is left to ask."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for keepers
    while True:
        message, descriptors, _, _ = socket.recv_fds(door, MOST_BYTES, 3)
        if not message:
            raise SystemExit
        if os.fork() == 0:
            door.close()
            return keep(json.loads(message), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def keep(asked: dict[str, object], output: int, errors: int, told: int) -> Callable[[], None]:
    """Fork once more and tell, of that child, its number and how it ended; return in the child what it is to do."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # Where the tests run in the background of a shell it is ignored, and a hub that is interrupted would not hear of it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    number = os.fork()
    if number == 0:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for standard, descriptor in enumerate((nothing, output, errors)):
            os.dup2(descriptor, standard)
        for descriptor in (nothing, output, errors, told):
            os.close(descriptor)
        return lambda: become(asked)
    os.close(output)
    os.close(errors)
    os.write(told, b"%d\n" % number)
    _, status = os.waitpid(number, 0)
    os.write(told, b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def main() -> None:
    for module in pkgutil.iter_modules(commands.__path__):
        importlib.import_module(f"hub.commands.{module.name}")
    gc.collect()
    gc.freeze()  # what is shared stays shared: no collection of a child writes to it
    door = socket.socket(fileno=int(sys.argv[1]))
    serve(door)()


if __name__ == "__main__":
    main()
