"""`hub ingest`: a file of events, posted to a running hub."""

import json
from pathlib import Path

from hub.clock import SystemClock
from hub.commands.client import wait
from hub.commands.file_bar import file_bar
from hub.errors import ConfigError
from hub.ingest.files import FileClient, Progress


def ingest_file(file: Path, url: str, api_key: str, start: int, *, as_json: bool) -> int:
    if not file.is_file():
        raise ConfigError(f"there is no file {file}: name an NDJSON file, one event a line")
    if not api_key:
        raise ConfigError("an API key is needed: set HUB_KEY in the environment, or give --key")
    with file_bar(file, "posting", hidden=as_json) as show:

        def moved(posted: Progress) -> None:
            said = f"line {posted.line}: {posted.accepted} accepted, {posted.duplicates} known, {posted.rejected} refused"
            show(posted.bytes_done, said)

        posted = wait(FileClient(url, api_key, SystemClock()).post(file, first_line=start, on_progress=moved))
    _report(posted, as_json=as_json)
    return 1 if posted.rejected else 0


def _report(posted: Progress, *, as_json: bool) -> None:
    refused = [
        {
            "line": each.line,
            "errors": [{"field": error.field, "reason": error.reason} for error in each.result.errors or ()],
        }
        for each in posted.refusals
    ]
    counts = {"accepted": posted.accepted, "duplicates": posted.duplicates, "rejected": posted.rejected}
    if as_json:
        print(json.dumps({**counts, "lines": posted.line, "refusals": refused}))
        return
    print(f"{posted.accepted} accepted, {posted.duplicates} were known, {posted.rejected} refused")
    for each in posted.refusals:
        for error in each.result.errors or ():
            print(
                f"  line {each.line}: {error.field}: {error.reason}" + (f"; {error.fix}" if error.fix else "")
            )
