"""Takes a journal of the demo: what the hub's log held, the workflows it was decided by, and what the hub decided.

Run it as a program, from the root of the checkout, when the journal has to be taken anew: `python tests/journals/take.py`.
"""

import asyncio
import gzip
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from typing_extensions import override

from hub.app import Hub
from hub.commands.demo.main import _Demo, _intents
from hub.commands.demo.reckoning import Reckoning
from hub.sim.serve import Simulator

JOURNAL = Path(__file__).parent / "demo.ndjson.gz"
LENGTH = timedelta(seconds=20)


class Taken(_Demo):
    lines: list[dict[str, Any]]

    @override
    async def _drain(self, hub: Hub, sim: Simulator) -> Reckoning:
        reckoning = await super()._drain(hub, sim)
        manifest = await hub.store.engine.active()
        assert manifest is not None
        listed = json.loads(manifest)["workflows"]
        header = {
            "manifest": manifest,
            "versions": {each["hash"]: await hub.store.engine.version(each["hash"]) for each in listed},
            "intents": sorted(intent.key for intent in await _intents(hub)),
        }
        rows = await hub.store.log.scan(0, 1_000_000)
        positions = await hub.store.engine.positions("engine")
        decided = [row for row in rows if row.n <= positions[row.partition]]
        self.lines = [header, *(row._asdict() | {"body": row.body.decode()} for row in decided)]
        return reckoning


def main() -> None:
    demo = Taken(LENGTH, as_json=True, seed=1, rate=12)
    code = asyncio.run(demo.run())
    text = "\n".join(json.dumps(line, separators=(",", ":")) for line in demo.lines) + "\n"
    JOURNAL.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(
        f"{len(demo.lines) - 1} inputs, {len(demo.lines[0]['intents'])} intents, {JOURNAL.stat().st_size} bytes"
    )
    sys.exit(code)


if __name__ == "__main__":
    main()
