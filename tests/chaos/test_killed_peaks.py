"""A hub that is killed comes back with the peak it had written, and with the limit that follows it."""

from pathlib import Path

import pytest
from chaos.peaks import RULE, live_through_a_kill
from processes.client import HubClient
from processes.harness import HubProcess


@pytest.mark.chaos
async def test_a_killed_hub_follows_a_peak_from_where_it_was(tmp_path: Path) -> None:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "trailing.yaml").write_text(RULE, encoding="utf-8")
    hub = HubProcess(tmp_path, workflows=[tmp_path / "workflows"])
    try:
        await hub.start()
        async with HubClient(hub) as client:
            await live_through_a_kill(hub, client)
    finally:
        await hub.stop()
