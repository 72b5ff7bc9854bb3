"""`hub backtest` and `hub diff` over the log of a hub that runs: beside it, writing nothing."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.clock import ManualClock, SystemClock
from hub.commands.backtest import Asked, run_backtest
from hub.commands.diff import run_diff
from hub.engine.live_files import LiveFiles
from hub.engine.load import LoadedSet
from hub.engine.load_text import load_text
from hub.engine.loop import EngineLoop
from hub.engine.program import Workflow
from hub.errors import ConfigError
from hub.store.sqlite.history import SqliteHistory
from hub.store.sqlite.store import SqliteStore, open_sqlite
from hub.testing import MORNING, a_trade_closed, an_account, an_event
from hub.views import WorkflowView

SECOND = timedelta(seconds=1)
RULE = """schema: 1
id: {id}
title: a rule
owner: tests
mode: {mode}
key: account
scope: account.type == "real"
aggregates:
  lots: {{from: trade.closed, sum: event.lots, window: {{calendar: month, tz: UTC}}}}
when: [{{id: volume, becomes: lots > {lots}}}]
limit: {{max: 1, every: 30d}}
steps: [{{id: pay, do: credit.grant, with: {{amount: = lots * 2}}}}]
"""


def a_rule(lots: int, *, name: str = "rule", mode: str = "live") -> Workflow:
    report = load_text(RULE.format(lots=lots, id=name, mode=mode), f"{name}.yaml")
    assert report.workflow is not None
    return report.workflow


class Running:
    """A hub's log and engine in a folder, open all the time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock(MORNING)

    async def live(self, store: SqliteStore, *workflows: Workflow) -> EngineLoop:
        lease = await store.leases.seize("hub", "tests", timedelta(days=1))
        loop = EngineLoop(
            store.engine,
            store.log,
            store.follow(await store.engine.positions("engine")),
            self.clock,
            lambda _partitions: [lease],
            lambda text, name: load_text(text, name).workflow or workflows[0],
        )
        await loop.activate(workflows)
        for number in range(12):
            account = an_account(login=7001 + number % 3)
            if number < 3:
                changed = {"type": {"after": "real"}, "currency": {"after": "USD"}}
                await store.log.append(
                    [an_event("account.updated", account, dedupe_key=f"u{number}", changed=changed)]
                )
            else:
                lots = "10" if number % 3 else "4"
                await store.log.append([a_trade_closed(account, lots=lots, timestamp=self.clock.now())])
            await self.clock.advance(SECOND)
        for _ in range(200):
            if sum(store.log.heads()) == sum(await store.engine.positions("engine")):
                return loop
            await loop.step()
        raise AssertionError("the engine does not come to an end")


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """Return the folder of a hub in which the rule is live and another runs in shadow."""
    folder = tmp_path / "data"

    async def fill() -> None:
        running = Running(folder)
        async with open_sqlite(folder, running.clock) as store:
            await running.live(store, a_rule(20), a_rule(15, name="rule-next", mode="shadow"))

    asyncio.run(fill())
    return folder


class NeverSampled:
    def last_seen(self, key: str) -> None:
        return None


class ForgettingMeanwhile:
    """Where samples are asked for, the engine has just lost its partitions."""

    def __init__(self, loop: EngineLoop) -> None:
        self._loop = loop

    def last_seen(self, key: str) -> None:
        self._loop.forget()


def a_view(
    store: SqliteStore, loop: EngineLoop, rule: Workflow, watcher: Any, clock: ManualClock
) -> WorkflowView:
    """`watcher`: nothing is asked of it but what it has seen last."""
    return WorkflowView(
        store.engine,
        store.browser,
        store.log,
        loop.programs,
        watcher,
        LiveFiles.fixed(LoadedSet((rule,), ())),
        clock,
        SqliteHistory(store.reader, SystemClock()),
    )


async def test_why_is_answered_while_the_engine_forgets(tmp_path: Path) -> None:
    running, rule = Running(tmp_path / "data"), a_rule(20)
    async with open_sqlite(running.folder, running.clock) as store:
        loop = await running.live(store, rule)
        view = a_view(store, loop, rule, ForgettingMeanwhile(loop), running.clock)
        for _ in range(2):
            found = await view.why("rule", "live-1:7001")
            assert found is not None
            assert [each.outcome for each in found.now] == ["no"]


async def test_a_plain_no_is_told_as_it_stood_with_an_event_and_at_a_time(tmp_path: Path) -> None:
    running, rule = Running(tmp_path / "data"), a_rule(20)
    async with open_sqlite(running.folder, running.clock) as store:
        loop = await running.live(store, rule)
        view = a_view(store, loop, rule, NeverSampled(), running.clock)
        rows = [row for row in await store.log.scan(0, 1_000) if row.key == "live-1:7001" and row.kind == 1]

        then = await view.why("rule", "live-1:7001", event=rows[2].ref)
        earlier = await view.why("rule", "live-1:7001", at=rows[1].at)
        fired = [row for row in await store.log.scan(0, 1_000) if row.key == "live-1:7002" and row.kind == 1][
            3
        ]
        did = await view.why("rule", "live-1:7002", event=fired.ref)
        stranger = await view.why("rule", "live-1:7001", event="evt_aaaaaaaaaaaaaaaaaaaaaaaaaa")

    assert then is not None
    assert [(each.outcome, each.text, each.remains) for each in then.then] == [
        ("no", "volume: lots > 20 is false (8 > 20)", ("lots: 8 of 20, more than 12 to go",))
    ]
    assert then.now == ()
    assert "from 3 inputs of the log" in then.note
    assert earlier is not None
    assert earlier.then[0].text == "volume: lots > 20 is false (4 > 20)"
    assert did is not None
    assert [each.outcome for each in did.decided] == ["fired"]
    assert did.then == ()  # what was decided is stored, and nothing is worked out again
    assert stranger is not None
    assert stranger.now[0].text == "no event evt_aaaaaaaaaaaaaaaaaaaaaaaaaa is in the log (any more)"


def a_file(folder: Path, lots: int) -> str:
    path = folder.parent / f"rule-{lots}.yaml"
    path.write_text(RULE.format(lots=lots, id="rule", mode="live"), encoding="utf-8")
    return str(path)


def backtest(
    capsys: pytest.CaptureFixture[str], name: str, asked: Asked, **named: object
) -> dict[str, object]:
    options: dict[str, object] = {"against": "", "html": None, "as_json": True} | named
    assert run_backtest(name, asked, **options) == 0  # type: ignore[arg-type]  # named as they are
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_a_live_workflow_told_the_log_again_does_what_it_did(
    hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = backtest(capsys, "rule", Asked(data=hub))

    assert told["actions"] == {"credit.grant": 2}
    assert told["money"] == {"credit.grant USD": "120.00"}
    assert told["events"] == 12
    assert told["difference"] is None
    assert [touch["who"] for touch in told["touches"]] == ["live-1:7002", "live-1:7003"]  # type: ignore[attr-defined]
    assert told["nearest"] == [
        {
            "who": "live-1:7001",
            "trigger": "volume",
            "remains": "lots: 12 of 20, more than 8 to go",
            "share": 0.6,
        }
    ]


def test_another_version_is_compared_with_the_live_one(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = backtest(capsys, a_file(hub, 10), Asked(data=hub))

    found = told["difference"]
    assert isinstance(found, dict)
    # 7001 reaches 12 lots; the others are paid one deal earlier, 20 lots instead of 30.
    assert (found["only_new"], found["only_old"], found["changed"], found["same"]) == (1, 0, 2, 0)
    assert found["money"] == {"credit.grant USD": "-16.00"}


def test_it_reads_beside_the_running_hub(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def both() -> None:
        async with open_sqlite(hub, ManualClock(MORNING + timedelta(hours=1))) as store:
            told = await asyncio.to_thread(lambda: backtest(capsys, "rule", Asked(data=hub)))
            await store.log.append([a_trade_closed()])
            assert told["events"] == 12

    asyncio.run(both())


def test_only_what_was_asked_for_is_reported_and_what_came_before_is_remembered(
    hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    late = (MORNING + 11 * SECOND).isoformat()

    warm = backtest(capsys, "rule", Asked(data=hub, since=late))
    cold = backtest(capsys, "rule", Asked(data=hub, since=late, warm_up="none"))

    assert warm["actions"] == {"credit.grant": 1}
    assert cold["actions"] == {}
    assert cold["nearest"][0]["remains"] == "lots: 10 of 20, more than 10 to go"  # type: ignore[index]
    assert any("taken as they are now" in note for note in cold["notes"])  # type: ignore[attr-defined]


def test_the_page_is_written(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = hub.parent / "report.html"

    backtest(capsys, a_file(hub, 10), Asked(data=hub), html=page)

    assert "<svg" in page.read_text(encoding="utf-8")
    assert "live-1:7001" in page.read_text(encoding="utf-8")


def test_what_shadow_recorded_is_compared_with_what_live_did(
    hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_diff("rule", "rule-next", Asked(data=hub), recorded=True, as_json=True) == 1

    found = json.loads(capsys.readouterr().out)["difference"]
    assert (found["changed"], found["only_new"], found["only_old"]) == (2, 0, 0)
    assert (
        run_diff("rule", "rule", Asked(data=hub), recorded=True, as_json=True) == 1
    )  # live did, shadow did not


def test_versions_are_told_apart_in_words_and_over_the_log(
    hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = Asked(data=hub, since=MORNING.isoformat())

    assert run_diff("rule", a_file(hub, 10), asked, recorded=False, as_json=True) == 1
    told = json.loads(capsys.readouterr().out)
    assert {word["sign"] for word in told["words"]} == {"-", "+"}
    assert told["difference"]["only_new"] == 1

    assert run_diff("rule", "rule", asked, recorded=False, as_json=True) == 0


@pytest.mark.parametrize(
    ("name", "named", "said"),
    [
        ("rul", {}, "rul is neither a file nor a live workflow"),
        ("nothing.yaml", {}, "there is no file nothing.yaml"),
        ("rule", {"since": "2031-01-01"}, "nothing of the time asked for"),
        ("rule", {"since": "soon"}, "--from 'soon' is no time"),
        ("rule", {"warm_up": "long"}, "--warm-up 'long'"),
    ],
)
def test_misuse_is_said_in_one_sentence(hub: Path, name: str, named: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace("(", r"\(")):
        run_backtest(name, Asked(data=hub, **named), against="", html=None, as_json=True)


def test_a_folder_without_a_hub_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no hub in"):
        run_backtest("rule", Asked(data=tmp_path), against="", html=None, as_json=True)
    with pytest.raises(ConfigError, match=r"there is no file rule\.yaml: name a workflow's file"):
        run_backtest("rule.yaml", Asked(data=tmp_path), against="", html=None, as_json=True)


async def test_a_name_that_is_no_file_says_that_a_live_workflow_was_meant(tmp_path):
    with pytest.raises(
        ConfigError,
        match=r"nope\.yml and x: no such file, so a live workflow was meant, and there is no hub in",
    ):
        await asyncio.to_thread(run_diff, "nope.yml", "x", Asked(data=tmp_path), recorded=False, as_json=True)
    with pytest.raises(ConfigError, match="--to 2026-01-01 is not after --from 2026-02-01"):
        Asked(since="2026-02-01", until="2026-01-01")
