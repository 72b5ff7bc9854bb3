"""Accounts, clients, and what the platforms' configuration says about them."""

from hub.events.base import Changed, Data, Name, Scalar, Text


class AccountChanged(Data):
    changed: Changed = {}


class AccountFieldChanged(Data):
    before: Scalar = None
    after: Scalar = None


class ClientChanged(Data):
    client: Name
    changed: Changed = {}


class KycMoved(Data):
    client: Name
    level: Text | None = None
    reason: Text | None = None


class LeadSubmitted(Data):
    fields: dict[Name, Scalar] = {}


class NamedChanged(Data):
    """A group or a symbol changed."""

    name: Name
    changed: Changed = {}


class ChallengeMoved(Data):
    program: Name | None = None
    phase: Name | None = None
    rule: Name | None = None
    values: dict[Name, Scalar] = {}
