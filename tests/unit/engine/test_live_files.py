"""Workflow files of a running hub: a changed one is read again, a bad one takes nothing away."""

import asyncio
import os
import time
from datetime import timedelta

import pytest
from structlog.testing import capture_logs
from unit.engine.test_loop import Engine

from hub.engine.check_setup import Setup
from hub.engine.live_files import LiveFiles, Reloading
from hub.errors import ConfigError, StoreUnavailable
from hub.events.declared import Undeclared

RULE = """schema: 1
id: {id}
title: a rule
mode: live
when: [{{event: trade.closed, where: event.lots > {lots}}}]
steps: [{{do: event.publish, with: {{type: custom.x}}}}]
"""


@pytest.fixture
def folder(tmp_path):
    for name in ("one", "two", "three"):
        write(tmp_path, name)
    return tmp_path


def write(folder, name, lots=1, text=RULE):
    """Write a file as editors do; what stamps are made of moves on even within one tick of the clock."""
    path = folder / f"{name}.yaml"
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text.format(id=name, lots=lots))
    os.utime(path, ns=(before + 10**9, before + 10**9))


def ids(files):
    return [workflow.id for workflow in files.loaded.workflows]


def test_only_the_file_that_changed_is_read_again(folder):
    files = LiveFiles([folder])
    before = {each.id: each for each in files.loaded.workflows}

    write(folder, "two", lots=5)
    read = files.look()

    assert [report.workflow.id for report in read] == ["two"]
    after = {each.id: each for each in files.loaded.workflows}
    assert after["one"] is before["one"]
    assert after["two"].hash != before["two"].hash
    assert files.look() == ()


def test_files_come_and_go(folder):
    files = LiveFiles([folder])
    write(folder, "four")
    (folder / "one.yaml").unlink()

    files.look()

    assert ids(files) == ["four", "three", "two"]


def test_a_file_with_an_error_is_named_with_the_id_it_gives_itself(folder):
    files = LiveFiles([folder])
    write(folder, "two", text=RULE.replace("where", "wher"))
    (folder / "one.yaml").write_text("id: [")

    files.look()

    assert ids(files) == ["three"]
    assert set(files.loaded.unread) == {("two.yaml", "two"), ("one.yaml", None)}


def test_a_file_that_takes_another_ones_id_is_refused_and_both_are_named(folder):
    files = LiveFiles([folder])
    (folder / "copy.yaml").write_text(RULE.format(id="one", lots=3))

    files.look()

    assert ids(files) == ["three", "two"]
    assert set(files.loaded.unread) == {("copy.yaml", "one"), ("one.yaml", "one")}


def test_while_the_folder_is_away_nothing_is_gone(folder):
    files = LiveFiles([folder])
    folder.rename(folder.with_name("elsewhere"))

    assert files.look() == ()

    assert ids(files) == ["one", "three", "two"]
    assert list(files.away) == [folder]
    folder.with_name("elsewhere").rename(folder)
    assert files.look() == ()
    assert list(files.away) == []


@pytest.fixture
def unreadable(monkeypatch):
    """Have a folder refuse to be listed, until it may be again."""
    lists = os.scandir

    def refuses(folder):
        def scandir(path="."):
            if os.fspath(path) == str(folder):
                raise PermissionError(13, "Permission denied", str(folder))
            return lists(path)

        monkeypatch.setattr(os, "scandir", scandir)

    def again():
        monkeypatch.setattr(os, "scandir", lists)

    refuses.again = again
    return refuses


@pytest.mark.parametrize("inside", [False, True])
def test_while_a_folder_cannot_be_read_nothing_is_gone(folder, unreadable, inside):
    (folder / "more").mkdir()
    write(folder / "more", "four")
    files = LiveFiles([folder])
    unreadable(folder / "more" if inside else folder)

    with pytest.raises(ConfigError, match=r"cannot be read \(Permission denied\): let the user"):
        files.look()

    assert ids(files) == ["four", "one", "three", "two"]


class Running:
    """A hub's engine that hears of its files."""

    def __init__(self, folder):
        self.engine = Engine()
        self.files = LiveFiles([folder])
        self.refusals = 0
        self.service = Reloading(self.files, self.activate, self.engine.clock)

    async def activate(self, workflows, unread):
        if self.refusals:
            self.refusals -= 1
            raise StoreUnavailable("the disk is full")
        return await self.engine.loop.activate(workflows, unread)

    async def begin(self):
        await self.activate(self.files.loaded.workflows, self.files.loaded.unread)
        await self.engine.settle()

    async def look(self):
        """Let the service look until what it has seen is live, and decide what comes of it."""
        looks, wanted = (
            self.files.look,
            3,
        )  # the second begins when the first is over; one may have been refused
        done = 0

        def counted():
            nonlocal done
            done += 1
            return looks()

        self.files.look = counted
        stopping = asyncio.Event()
        deadline = time.monotonic() + 20
        async with asyncio.TaskGroup() as group:
            group.create_task(self.service.run(stopping))
            while done <= wanted:
                assert time.monotonic() < deadline
                await self.engine.clock.advance(timedelta(seconds=1))
                await asyncio.sleep(0)
            stopping.set()
        self.files.look = looks
        await self.engine.settle()

    async def fired(self, lots):
        before = len(self.engine.store.intents)
        await self.engine.trade(str(lots))
        await self.engine.settle()
        return sorted(each.workflow for each in list(self.engine.store.intents.values())[before:])


async def test_what_a_file_says_is_live_a_moment_later(folder):
    hub = Running(folder)
    await hub.begin()
    assert await hub.fired(3) == ["one", "three", "two"]

    write(folder, "two", lots=5)
    await hub.look()

    assert await hub.fired(3) == ["one", "three"]


async def test_a_typing_error_leaves_the_version_live_that_was(folder):
    hub = Running(folder)
    await hub.begin()

    write(folder, "two", text="schema: 1\nid: two\nwhen: [")
    write(folder, "three", lots=9)
    await hub.look()

    assert await hub.fired(3) == ["one", "two"]


async def test_a_hub_that_starts_over_a_typing_error_keeps_what_was_live(folder):
    hub = Running(folder)
    await hub.begin()
    write(folder, "two", text="schema: 1\nid: two\nwhen: [")

    again = LiveFiles([folder])
    await hub.engine.restart()
    await hub.engine.loop.activate(again.loaded.workflows, again.loaded.unread)
    await hub.engine.settle()

    assert await hub.fired(3) == ["one", "three", "two"]


async def test_a_store_that_is_away_is_asked_again(folder):
    hub = Running(folder)
    await hub.begin()
    write(folder, "two", lots=5)
    hub.refusals = 1

    await hub.look()

    assert hub.refusals == 0
    assert await hub.fired(3) == ["one", "three"]


async def test_a_folder_that_is_away_is_told_once_and_that_it_is_back(folder):
    running = Running(folder)
    away = folder.with_name("elsewhere")

    with capture_logs() as said:
        folder.rename(away)
        await running.look()
        away.rename(folder)
        await running.look()

    assert [each["event"] for each in said if each["event"].startswith("workflows.")] == [
        "workflows.away",
        "workflows.back",
    ]


async def test_a_folder_that_cannot_be_read_for_a_while_takes_no_limit_away(folder, unreadable):
    hub = Running(folder)
    await hub.begin()
    unreadable(folder)
    await hub.look()
    assert await hub.fired(3) == ["one", "three", "two"]

    unreadable.again()
    write(folder, "two", lots=5)
    await hub.look()

    assert await hub.fired(3) == ["one", "three"]


ASKS = """schema: 1
id: {name}
title: asks a CRM
when: [{{event: trade.closed}}]
steps:
  - do: http.request
    with: {{method: GET, url: {{base: = secrets.crm_url}}, auth: {{bearer: = secrets.{token}}}}}
"""


def asks(folder, name, token="crm_token"):
    (folder / f"{name}.yaml").write_text(ASKS.format(name=name, token=token))


def told_missing(files):
    return [problem.message for problem in files.loaded.problems if "the secret" in problem.message]


def test_a_secret_nobody_has_set_is_warned_of_at_the_start_and_whenever_a_file_changes(folder):
    asks(folder, "four")
    files = LiveFiles([folder], Setup(frozenset({"crm_url", "crm_token"})))
    assert told_missing(files) == []

    asks(folder, "four", "other_token")
    asks(folder, "five", "third_token")
    reports = files.look()

    assert len(told_missing(files)) == 2
    assert all("the secret" in str(report.problems[0]) for report in reports)
    assert {workflow.id for workflow in files.loaded.workflows} >= {
        "four",
        "five",
    }  # and it is live all the same

    asks(folder, "five")
    files.look()
    assert len(told_missing(files)) == 1  # that of the file that was not touched
    assert LiveFiles([folder], undeclared=Undeclared.UNASKED).loaded.problems == ()  # nobody can say


async def test_a_reload_says_in_the_log_which_secret_is_missing(folder):
    hub = Running(folder)
    hub.files._setup = Setup(frozenset({"crm_url"}))
    await hub.begin()
    asks(folder, "four")

    with capture_logs() as said:
        await hub.look()

    (warned,) = [line for line in said if line["event"] == "workflow.warned"]
    assert warned["workflow"] == "four"
    assert "the secret crm_token is not set" in warned["reason"]
