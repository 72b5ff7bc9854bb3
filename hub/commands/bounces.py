"""Hands a mail that came back to a running hub, the way mail servers expect of a program they pipe into."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Final

from hub.commands.remote import RemoteHub
from hub.errors import ConfigError, SourceUnavailable

LARGEST: Final = 1 << 20
TRY_AGAIN: Final = 75  # EX_TEMPFAIL


def hand_on(file: Path | None, url: str, api_key: str, *, as_json: bool) -> int:
    mail = _read(file)
    try:
        said = asyncio.run(
            RemoteHub(url, api_key).ask("POST", "/v1/mail/bounces", raw=("message/rfc822", mail))
        )
    except SourceUnavailable as problem:
        print(problem, file=sys.stderr)
        return TRY_AGAIN
    if as_json:
        print(json.dumps(said))
    elif not said["taken"]:
        print(f"not taken in: {said['reason']}")
    else:
        closed = "nothing is sent to its address any more" if said["closed"] else "its address stays open"
        print(f"{said['message']} {said['reason']}: {closed}")
    return 0


def _read(file: Path | None) -> bytes:
    try:
        if file is None:
            mail = sys.stdin.buffer.read(LARGEST + 1)
        else:
            with file.open("rb") as opened:
                mail = opened.read(LARGEST + 1)
    except OSError as problem:
        raise ConfigError(
            f"{file} cannot be read ({problem.strerror}): name the file of a mail, or pipe it in"
        ) from problem
    if len(mail) > LARGEST:
        raise ConfigError(f"the mail is larger than {LARGEST} bytes, which no report of a mail of the hub is")
    return mail
