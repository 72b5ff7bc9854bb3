"""What the hub says about itself: connectors, manager actions, deliveries; and what workflows publish."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field, JsonValue

from hub.events.base import Data, Moment, Name, Number, Text

Words = Annotated[str, Field(max_length=2048)]


class ConnectorMoved(Data):
    connector: Name
    reason: Words | None = None
    missed: Number | None = None
    since: Moment | None = None


class ActionMoved(Data):
    """`params` are redacted; `before` and `after` are the fields the action touched; `ticket` is the platform's."""

    action: Name
    verb: Name
    params: dict[str, JsonValue] = {}
    before: dict[str, JsonValue] | None = None
    after: dict[str, JsonValue] | None = None
    retcode: Words | None = None
    ticket: Number | None = None
    actor: Text | None = None
    reason: Words | None = None


class DeliveryMoved(Data):
    endpoint: Name
    delivery: Name | None = None
    reason: Words | None = None
    since: Moment | None = None


class ActionsSwitched(Data):
    """Who halted all manager actions, or let them go again, and why."""

    by: Text
    because: Words


class WorkflowSwitched(Data):
    """Which workflow was stopped by its breaker, or reset by a person, and why."""

    workflow: Name
    by: Text
    because: Words


class TokenInvalidated(Data):
    """`token` is the id of the device as the registry gave it, never the token itself."""

    endpoint: Name | None = None
    token: Name
    client: Name | None = None
    reason: Words | None = None


class ChannelRefused(Data):
    """A channel takes nothing from us until a person has put something right; `sender` is who we are there: a project, an account."""

    channel: Name
    sender: Text
    reason: Words | None = None


class AddressClosed(Data):
    """Nothing is sent to an address on a channel any more; `category`: nothing of that kind. `message` is what it followed on."""

    message: Name
    channel: Name
    address: Text
    category: Name | None = None
    client: Name | None = None
    reason: Words | None = None


class Custom(Data):
    """Whatever a workflow or an integrator declares under ``custom.*``."""

    model_config = ConfigDict(frozen=True, extra="allow")

    __pydantic_extra__: dict[str, Any]
