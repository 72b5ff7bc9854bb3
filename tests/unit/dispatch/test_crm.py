"""What goes into a CRM, without one: values, gaps, batches, the newest word, and settings that cannot work."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yarl
from conformance.put_right import PutRight
from pydantic import ValidationError

from hub.clock import Clock, ManualClock
from hub.config import load
from hub.dispatch.channels.crm.answers import Made, Maybe, No, NotNow
from hub.dispatch.channels.crm.batch import Batch, Result
from hub.dispatch.channels.crm.build import crm_channels
from hub.dispatch.channels.crm.generic import filled, path_with
from hub.dispatch.channels.crm.generic_settings import CallSettings
from hub.dispatch.channels.crm.line import Line, encoded
from hub.dispatch.channels.crm.newest import Newest
from hub.dispatch.channels.crm.object_settings import ObjectSettings
from hub.dispatch.channels.crm.wanted import Misfit, named
from hub.dispatch.channels.http_way_out import WayOut
from hub.errors import ConfigError
from hub.intents.verbs import OpenTask, WriteRecord

START = datetime(2026, 6, 23, 9, 0, tzinfo=UTC)


def an_object(**fields: Any) -> ObjectSettings:
    return ObjectSettings.model_validate({"fields": fields})


def test_fields_are_written_under_their_names_and_as_what_the_crm_keeps() -> None:
    of = an_object(
        a="A",
        n={"name": "N", "type": "number"},
        b={"name": "B", "type": "bool"},
        d={"name": "D", "type": "date"},
        t={"name": "T", "type": "time"},
    )
    record = {
        "a": "x",
        "n": "1250.10",
        "b": "true",
        "d": "2026-06-23T22:30:00-05:00",
        "t": "2026-06-23T09:00:00+02:00",
        "other": ["one", "two"],
        "gone": None,
    }

    assert named(of, record) == {
        "A": "x",
        "N": Decimal("1250.10"),
        "B": True,
        "D": "2026-06-23",
        "T": "2026-06-23T07:00:00.000Z",
        "other": "one;two",
        "gone": None,
    }


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("number", "much"),
        ("number", "NaN"),
        ("number", True),
        ("bool", "perhaps"),
        ("bool", 1),
        ("date", "soon"),
        ("time", "2026-06-23T09:00:00"),
    ],
)
def test_a_value_that_does_not_fit_is_named_and_not_repeated(kind: str, value: Any) -> None:
    with pytest.raises(Misfit) as refused:
        named(an_object(x={"name": "X", "type": kind}), {"x": value})

    assert str(refused.value).startswith("x ")
    assert str(value) not in str(refused.value)


def test_numbers_keep_their_digits() -> None:
    assert (
        encoded({"n": Decimal("0.10"), "l": [Decimal(7), None, True, 'a"']})
        == b'{"n":0.10,"l":[7,null,true,"a\\""]}'
    )


@pytest.mark.parametrize("own", ["c-1", 7001, Decimal("7001.00"), "a/b c"])
def test_a_records_id_is_a_text_or_a_whole_number(own: Any) -> None:
    assert isinstance(WriteRecord(id=own, record={}).id, str)


@pytest.mark.parametrize("own", ["", "a\nb", "x" * 129, ".", "..", 7.5, Decimal("7.5"), True, None, ["a"]])
def test_what_is_no_id_is_refused(own: Any) -> None:
    with pytest.raises(ValidationError):
        WriteRecord(id=own, record={})


@pytest.mark.parametrize(
    "record",
    [
        {"a": {"b": 1}},
        {"a": [1]},
        {"a": ["x;y"]},
        {"a": "x" * 32_769},
        {"a b": 1},
        {f"f{n}": 1 for n in range(201)},
    ],
)
def test_what_no_crm_keeps_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        WriteRecord(id="c-1", record=record)


def test_a_task_is_due_at_a_time_or_after_a_while() -> None:
    assert OpenTask(id="c", title="t", due="1d").due == "1d"
    assert OpenTask(id="c", title="t", due="2026-06-25T12:00:00Z").due is not None
    with pytest.raises(ValidationError):
        OpenTask(id="c", title="t", due="soon")


# --- a profile's requests

GAPS = {
    "id": "a/b",
    "record": {"x": Decimal(1)},
    "text": None,
    "title": "T",
    "object": "clients",
    "minutes": 5,
}


def test_a_gap_that_stands_alone_is_the_value_itself_and_what_is_not_known_is_left_out() -> None:
    body = {
        "r": "{record}",
        "n": "{minutes}",
        "t": "{text}",
        "say": "{title}: {text}",
        "l": ["{text}", "{id}"],
        "z": None,
    }

    assert filled(body, GAPS) == {"r": {"x": Decimal(1)}, "n": 5, "say": "T: ", "l": ["a/b"], "z": None}
    assert path_with("/{object}/{id}?n={minutes}", GAPS) == "/clients/a%2Fb?n=5"


@pytest.mark.parametrize(
    "call",
    [
        {"path": "x"},
        {"path": "/a/../b"},
        {"path": "/a//evil.example"},
        {"path": "/{record}"},
        {"path": "/{nothing}"},
        {"path": "/a b"},
        {"path": "/a#b"},
        {"path": "/{id"},
        {"path": "/a", "body": {"x": "all of {record}"}},
        {"path": "/a", "body": {"x": "{secret}"}},
        {"path": "/a", "body": {"x": [[[[[[[["deep"]]]]]]]]}},
        {"path": "/a", "body": ["x"] * 501},
        {"path": "/a", "ok": [200], "retry": [200]},
        {"path": "/a", "made": "a..b"},
        {"path": "/a", "method": "DELETE"},
    ],
)
def test_a_request_that_cannot_be_meant_is_refused(call: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CallSettings.model_validate({"method": "POST"} | call)


# --- together, and the newest word


def a_line(clock: Clock, rate: float = 1.0) -> Line:
    return Line("sales", WayOut(), clock, rate=rate, timeout_s=1.0)


async def test_the_first_goes_at_once_and_those_that_wait_go_together() -> None:
    clock, went = ManualClock(START), list[list[str]]()

    async def write(of: str, records: list[tuple[str, dict[str, str]]]) -> list[Result | None]:
        went.append([own for own, _ in records])
        return [Made(own) for own, _ in records]

    batch = Batch[str](a_line(clock), write, 3)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(batch.put("contacts", f"c{n}", {})) for n in range(8)]
        await clock.advance(timedelta(seconds=10))

    assert [task.result() for task in tasks] == [Made(f"c{n}") for n in range(8)]
    assert went == [["c0"], ["c1", "c2", "c3"], ["c4", "c5", "c6"], ["c7"]]


async def test_one_of_which_nothing_is_known_goes_again_by_itself() -> None:
    clock, went = ManualClock(START), list[list[str]]()

    async def write(of: str, records: list[tuple[str, dict[str, str]]]) -> list[Result | None]:
        went.append([own for own, _ in records])
        if len(records) > 1:
            return [None if own == "b" else Made(own) for own, _ in records]
        return [No("bad") if own == "b" else None for own, _ in records]

    line = a_line(clock)
    batch = Batch[str](line, write, 100)
    await line.turn()
    async with asyncio.TaskGroup() as group:
        several = [group.create_task(batch.put("contacts", own, {})) for own in "abc"]
        await clock.advance(timedelta(seconds=10))
    async with asyncio.TaskGroup() as group:
        silent = group.create_task(batch.put("contacts", "d", {}))
        await clock.advance(timedelta(seconds=10))

    assert [task.result() for task in several] == [Made("a"), No("bad"), Made("c")]
    assert isinstance(silent.result(), Maybe)
    assert went == [["a", "b", "c"], ["b"], ["d"], ["d"]]


async def test_whoever_waits_for_one_that_was_cancelled_does_not_wait_for_ever() -> None:
    clock = ManualClock(START)

    async def write(of: str, records: list[tuple[str, dict[str, str]]]) -> list[Result | None]:
        raise AssertionError

    line = a_line(clock)
    batch = Batch[str](line, write, 100)
    await line.turn()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(batch.put("contacts", "a", {}))
        second = group.create_task(batch.put("contacts", "b", {}))
        await clock.advance(timedelta())
        first.cancel()
        await clock.advance(timedelta())

    assert first.cancelled()
    assert isinstance(second.result(), Maybe)


async def test_requests_are_evenly_spaced() -> None:
    clock, times = ManualClock(START), list[float]()
    line = a_line(clock, rate=4.0)

    async def ask() -> None:
        await line.turn()
        times.append(clock.monotonic())

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(ask())
        await clock.advance(timedelta(seconds=1))

    assert times == [0, 0.25, 0.5, 0.75]


async def test_what_waited_for_its_turn_while_the_crm_asked_for_rest_is_not_sent() -> None:
    clock = ManualClock(START)
    line = a_line(clock)
    await line.turn()

    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(line.ask("GET", yarl.URL("http://127.0.0.1:1/"), {}))
        await clock.advance(timedelta(milliseconds=500))
        line.heard(NotNow("answered 429", 10_000_000, all=True))
        await clock.advance(timedelta(milliseconds=500))

    assert waiting.result() == NotNow("sales takes nothing for now: answered 429", 9_500_000)


async def test_a_clock_that_was_set_back_holds_nothing_up() -> None:
    clock = ManualClock(START)
    line = a_line(clock)
    await line.turn()
    clock._now_us -= 3_600_000_000

    await line.turn()  # which would wait for an hour


async def test_a_rest_is_no_longer_for_a_clock_that_was_put_right() -> None:
    clock = PutRight(ManualClock(START), timedelta(days=365))
    line = a_line(clock)
    line.heard(NotNow("answered 429", 10_000_000, all=True))
    clock.ahead = timedelta()

    resting = line.resting()
    assert (resting.after_us if resting is not None else None) == 10_000_000
    await clock.advance(timedelta(seconds=10))
    assert line.resting() is None


async def test_of_one_record_one_is_written_at_a_time_and_older_words_are_left_out() -> None:
    newest, order = Newest(most=2), list[str]()

    async def write(name: str, release: asyncio.Event) -> None:
        async with newest.alone("r"):
            order.append(f"{name} begins")
            await release.wait()
            order.append(f"{name} ends")

    first, second = asyncio.Event(), asyncio.Event()
    second.set()
    async with asyncio.TaskGroup() as group:
        group.create_task(write("a", first))
        group.create_task(write("b", second))
        await asyncio.sleep(0)
        first.set()
    newest.wrote("r", ["x"], 10)

    assert order == ["a begins", "a ends", "b begins", "b ends"]
    assert newest.left_of("r", {"x": 1, "y": 2}, 9) == {"y": 2}
    assert newest.left_of("r", {"x": 1}, 10) == {"x": 1}
    newest.wrote("s", ["x"], 10)
    newest.wrote("t", ["x"], 10)
    assert newest.left_of("r", {"x": 1}, 9) == {"x": 1}  # it remembers so many
    assert not newest._locks


# --- settings

OBJECTS = "objects: {client: {type: contacts, id: hub_id}}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{{kind: hubspot, {OBJECTS}}}", "crm.sales: give either token_file or token"),
        ("{kind: hubspot, token: x, objects: {}}", "crm.sales.objects"),
        ("{kind: hubspot, token: x, objects: {client: {type: a/b, id: a}}}", "crm.sales.objects.client.type"),
        ("{kind: pipedrive}", "crm.sales"),
        (
            "{kind: salesforce, login_url: https://a, client_id: a, objects: {client: {type: C, id: I}}}",
            "give one of",
        ),
        (
            "{kind: salesforce, login_url: https://a, client_id: a, client_secret: x, user: u, objects: {client: {type: C, id: I}}}",
            "`user` belongs to a private key",
        ),
        ("{kind: generic, url: https://a, objects: {client: {type: a}}}", "say at least one of upsert"),
        (
            "{kind: generic, url: https://a, token: x, headers: {Authorization: y}, objects: {a: {type: a}}, note: {method: POST, path: /}}",
            "say the same",
        ),
    ],
)
def test_a_crm_that_cannot_work_is_refused_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "hub.yaml"
    file.write_text(f"crm:\n  sales: {text}\n", encoding="utf-8")

    with pytest.raises(ConfigError) as refused:
        load(file)

    assert says in str(refused.value)
    assert f"{file}:2:" in str(refused.value)


def test_a_token_comes_from_the_environment_and_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "hub.yaml"
    file.write_text(f"crm: {{sales: {{kind: hubspot, {OBJECTS}}}}}\n", encoding="utf-8")
    monkeypatch.setenv("HUB_CRM__SALES__TOKEN", "pat-from-the-environment")

    settings = load(file)

    assert len(crm_channels(settings.crm, ManualClock(START))) == 4
    assert "pat-from" not in repr(settings)


@pytest.mark.parametrize(
    "url", ["http://api.hubapi.com", "https://127.0.0.1", "https://10.1.2.3", "https://crm.local"]
)
def test_an_address_the_hub_does_not_call_is_refused_at_the_start(url: str) -> None:
    settings = load(
        None,
        {
            "crm": {
                "sales": {
                    "kind": "hubspot",
                    "token": "x",
                    "url": url,
                    "objects": {"c": {"type": "a", "id": "b"}},
                }
            }
        },
    )

    with pytest.raises(ConfigError, match=r"crm\.sales\.url"):
        crm_channels(settings.crm, ManualClock(START))


def test_a_crm_of_ones_own_is_reached_in_a_network_that_was_opened() -> None:
    own = {
        "kind": "generic",
        "url": "https://10.20.0.5/api",
        "objects": {"client": {"type": "a"}},
        "upsert": {"method": "PUT", "path": "/{id}"},
    }
    opened = load(None, {"crm": {"own": own}, "delivering": {"allow_networks": ["10.20.0.0/16"]}})

    assert crm_channels(opened.crm, ManualClock(START), networks=opened.delivering.allow_networks)
    with pytest.raises(ConfigError, match=r"crm\.own\.url"):
        crm_channels(opened.crm, ManualClock(START))
