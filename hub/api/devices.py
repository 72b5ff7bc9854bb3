"""The devices clients take push messages on: an app's back end tells of each token it gets."""

from typing import Annotated, Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from hub.api.bodies import answer, read_model
from hub.api.clients import client_id
from hub.api.problems import not_found
from hub.api.routing import DEPS, Route
from hub.clock import iso
from hub.control.keys import Scope
from hub.dispatch.devices import MOST_DEVICES, Device, Platform, device_id


class NewDevice(BaseModel):
    """The token its app was given by Firebase. Tell of it at every start of the app: tokens change, and old ones go first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: Annotated[str, Field(min_length=16, max_length=512, pattern=r"^[A-Za-z0-9_:.\-]+$")]
    platform: Platform


def device_json(device: Device) -> dict[str, Any]:
    """Return what may be seen of a device: never its token, with which messages could be sent to it."""
    return {
        "id": device.id,
        "platform": device.platform,
        "added_at": iso(device.added_at),
        "seen_at": iso(device.seen_at),
    }


async def put_device(request: web.Request) -> web.Response:
    app, client = request.app[DEPS], client_id(request)
    wanted = await read_model(request, NewDevice)
    now = app.clock.now_us()
    device = Device(device_id(wanted.token), client, wanted.token, wanted.platform, now, now)
    is_new = await app.devices.put(device)
    kept = next((each for each in await app.devices.of_client(client) if each.id == device.id), device)
    return answer(device_json(kept), 201 if is_new else 200)


async def list_devices(request: web.Request) -> web.Response:
    found = await request.app[DEPS].devices.of_client(client_id(request))
    return answer({"items": [device_json(device) for device in found]})


async def remove_device(request: web.Request) -> web.Response:
    if not await request.app[DEPS].devices.remove(client_id(request), request.match_info["device"][:64]):
        raise not_found("device of that id with this client")
    return web.Response(status=204)


ROUTES = (
    Route(
        "PUT",
        "/v1/clients/{id}/devices",
        put_device,
        Scope.CLIENTS_WRITE,
        f"Tell of a device; of more than {MOST_DEVICES}, the one told of longest ago goes",
        "clients",
        body=NewDevice,
        answers={
            200: "It was there; its platform and the moment are new.",
            201: "The device, new to this client: whoever had its token before has it no more.",
            422: "Some fields are not right.",
        },
    ),
    Route(
        "GET",
        "/v1/clients/{id}/devices",
        list_devices,
        Scope.READ,
        "List the devices a client takes push messages on",
        "clients",
    ),
    Route(
        "DELETE",
        "/v1/clients/{id}/devices/{device}",
        remove_device,
        Scope.CLIENTS_WRITE,
        "Send nothing to a device any more",
        "clients",
        answers={204: "Gone.", 404: "The client has none of that id."},
    ),
)
