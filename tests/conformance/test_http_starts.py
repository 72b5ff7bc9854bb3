"""Starting runs, halting actions and resetting breakers over HTTP: what is accepted, and what is wrong with the rest."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from conformance.api_bench import ApiBench, an_api
from unit.engine.desk import a_workflow

from hub.bus.log import InputKind
from hub.control.keys import Scope
from hub.engine.account_rows import AccountRow
from hub.engine.rows import Batch, StateRow
from hub.engine.starts import START
from hub.engine.values import Kind, encode_value
from hub.ids import partition_of
from hub.start_desk import StartDesk

REFUND = """
when:
  - id: refund
    manual: {inputs: {amount: {type: number, about: how much}, reason: {type: string, required: false}}}
  - {id: sensitive, manual: {permission: money.approve}}
steps: [{stop: x}]
"""


@pytest.fixture
async def together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two starts go the same way side by side: neither is in the log when the other looks."""
    real, both = StartDesk._see_that_it_is_known, asyncio.Barrier(2)

    async def side_by_side(desk: StartDesk, key: str, partition: int) -> None:
        await both.wait()
        await real(desk, key, partition)

    monkeypatch.setattr(StartDesk, "_see_that_it_is_known", side_by_side)


@pytest.fixture
async def api() -> AsyncIterator[ApiBench]:
    async with an_api() as bench:
        await bench.programs.activate([a_workflow(REFUND, id="refund")])
        account = AccountRow("live-1", 7001)
        row = StateRow(partition_of("live-1", 7001), "live-1:7001", Kind.ACCOUNT, "", encode_value(account))
        await bench.rows_kept.commit(Batch(states=[row]), ())
        yield bench


async def start(
    api: ApiBench, body: dict[str, Any], *, scope: Scope = Scope.WORKFLOWS_START, **headers: str
) -> Any:
    return await api.ask("POST", "/v1/workflows/refund/start", scope=scope, json=body, headers=headers)


def commands(api: ApiBench) -> list[Any]:
    return [row for row in api.rows() if row.kind == InputKind.COMMAND]


SOUND: dict[str, Any] = {"key": "live-1:7001", "trigger": "refund", "inputs": {"amount": 12.50}}


async def test_a_start_is_in_the_log_under_the_run_that_was_answered_with_who_asked(api: ApiBench) -> None:
    status, said, _ = await start(api, SOUND)

    assert status == 202
    (command,) = commands(api)
    told = msgspec.json.decode(command.body)
    assert (command.ref, command.key) == (START, "live-1:7001")
    assert said == {"run": f"refund/live-1:7001/refund/{told['name']}", "duplicate": False}
    assert told["inputs"] == {"amount": "12.5"}
    assert told["by"].endswith("(workflows-start)")


@pytest.mark.usefixtures("together")
async def test_of_two_starts_at_once_under_one_key_the_other_inputs_are_refused(api: ApiBench) -> None:
    async with asyncio.TaskGroup() as group:
        starts = [
            group.create_task(
                start(api, SOUND | {"inputs": {"amount": amount}}, **{"Idempotency-Key": "once"})
            )
            for amount in (5, 6)
        ]

    assert sorted(each.result()[0] for each in starts) == [202, 409]
    assert len(commands(api)) == 1


async def test_the_same_idempotency_key_is_one_run_wherever_it_stands(api: ApiBench) -> None:
    _, first, _ = await start(api, SOUND, **{"Idempotency-Key": "abc"})
    status, again, _ = await start(api, {**SOUND, "idempotency_key": "abc"})
    other_status, other, _ = await start(
        api, {**SOUND, "inputs": {"amount": 1}}, **{"Idempotency-Key": "abc"}
    )
    _, third, _ = await start(api, SOUND)

    assert (status, again) == (202, {**first, "duplicate": True})
    assert (other_status, other["type"]) == (409, "urn:hub:problem:idempotency-key-reused")
    assert third["run"] != first["run"]
    assert len(commands(api)) == 2


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"trigger": "refnd"}, "trigger", "did you mean refund?"),
        ({"trigger": None}, "trigger", "name one of refund, sensitive"),
        ({"key": "live-1:7002"}, "key", "nothing was ever heard of live-1:7002"),
        ({"key": "client=7"}, "key", "write it as server:login"),
        ({"key": "?"}, "key", "is no key"),
        ({"inputs": {}}, "inputs.amount", "it is missing (how much)"),
        ({"inputs": {"amount": "much"}}, "inputs.amount", "it is a plain number"),
        ({"inputs": {"amount": True}}, "inputs.amount", "it is a plain number"),
        ({"inputs": {"amount": 1, "raeson": "x"}}, "inputs.raeson", "did you mean reason?"),
        ({"inputs": {"amount": [1]}}, "inputs.amount", ""),
        ({"extra": 1}, "extra", "unknown field"),
        ({"idempotency_key": "with blank"}, "idempotency_key", ""),
    ],
)
async def test_what_is_wrong_is_said_with_its_place_and_nothing_is_in_the_log(
    api: ApiBench, change: dict[str, Any], field: str, said: str
) -> None:
    status, problem, _ = await start(api, {**SOUND, **change})

    assert status == 422
    (error,) = problem["errors"]
    assert error["field"] == field
    assert said in error["reason"] + " " + error.get("fix", "")
    assert commands(api) == []


async def test_a_workflow_nobody_knows_and_a_key_that_may_not_are_refused(api: ApiBench) -> None:
    assert (await api.ask("POST", "/v1/workflows/none/start", json=SOUND))[0] == 404
    assert (await start(api, SOUND, scope=Scope.READ))[0] == 403
    status, problem, _ = await start(api, {"key": "live-1:7001", "trigger": "sensitive"})
    assert (status, problem["type"]) == (403, "urn:hub:problem:permission-missing")
    assert (await start(api, {"key": "live-1:7001", "trigger": "sensitive"}, scope=Scope.ADMIN))[0] == 202
    secret, _ = await api.keys.create("boss", [Scope.WORKFLOWS_START], permissions=["money.approve"])
    status, _, _ = await api.ask(
        "POST",
        "/v1/workflows/refund/start",
        scope=None,
        json={"key": "live-1:7001", "trigger": "sensitive"},
        headers={"X-API-Key": secret},
    )
    assert status == 202


@pytest.mark.parametrize(
    "key",
    [
        "live-1:7001",
        "client=7",
        "group=live-1:real",
        "symbol=live-1:EURUSD",
        "position=live-1:7",
        "event.request=live-2:7",
        "account.country=live-2:7",
        "all=",
    ],
)
async def test_a_key_for_other_servers_starts_nothing_here(api: ApiBench, key: str) -> None:
    secret, _ = await api.keys.create("elsewhere", [Scope.WORKFLOWS_START], servers=["live-2"])

    status, problem, _ = await api.ask(
        "POST",
        "/v1/workflows/refund/start",
        scope=None,
        json={**SOUND, "key": key},
        headers={"X-API-Key": secret},
    )

    assert (status, problem["type"]) == (403, "urn:hub:problem:server-missing")


async def test_halting_and_resuming_says_who_when_and_why(api: ApiBench) -> None:
    assert (await api.ask("POST", "/v1/resume", json={"because": "x"}))[0] == 409
    status, said, _ = await api.ask("POST", "/v1/halt", scope=Scope.OPERATE, json={"because": "wrong prices"})
    _, ready, _ = await api.ask("GET", "/readyz")
    _, seen, _ = await api.ask("GET", "/v1/halt", scope=Scope.READ)

    assert status == 200
    assert said["halted"]["because"] == "wrong prices"
    assert said["halted"]["by"].endswith("(operate)")
    assert seen == said
    assert ready["halted"] is True
    status, said, _ = await api.ask("POST", "/v1/resume", json={"because": "mended"})
    assert (status, said["halted"], said["resumed"]["because"]) == (200, None, "mended")


@pytest.mark.parametrize("path", ["/v1/halt", "/v1/resume", "/v1/workflows/refund/reset"])
async def test_it_takes_the_scope_and_a_reason(api: ApiBench, path: str) -> None:
    assert (await api.ask("POST", path, scope=Scope.WORKFLOWS_START, json={"because": "x"}))[0] == 403
    assert (await api.ask("POST", path, scope=Scope.OPERATE, json={}))[0] == 422


async def test_what_has_not_tripped_is_not_reset(api: ApiBench) -> None:
    status, problem, _ = await api.ask("POST", "/v1/workflows/refund/reset", json={"because": "x"})

    assert (status, problem["type"]) == (409, "urn:hub:problem:not-tripped")
