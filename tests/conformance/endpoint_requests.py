"""Endpoints made and changed over the interface, by who may manage them."""

import json
from typing import Any

from conformance.api_bench import ApiBench

from hub.control.keys import Scope

JSON = {"Content-Type": "application/json"}
NEW = {"url": "https://crm.example.com/hub", "events": ["trade.closed"]}


async def send(api: ApiBench, method: str, path: str, body: Any) -> tuple[int, Any]:
    status, told, _ = await api.ask(
        method, path, data=json.dumps(body), headers=JSON, scope=Scope.ENDPOINTS_MANAGE
    )
    return status, told


async def made(api: ApiBench, **fields: Any) -> Any:
    status, told = await send(api, "POST", "/v1/endpoints", NEW | fields)
    assert status == 201, told
    return told
