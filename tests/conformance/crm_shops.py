"""HubSpot and Salesforce, each with the hub's channels to it, and nothing of what is secret in what they are told of."""

from typing import Any

from conformance.crm_bench import Desk
from conformance.fake_hubspot import TOKEN, FakeHubSpot
from conformance.fake_salesforce import CLIENT_ID, SECRET, FakeSalesforce

from hub.clock import ManualClock
from hub.dispatch.effects.notifier import Told
from hub.intents.intent import Intent


def hubspot_settings(hubspot: FakeHubSpot, **more: Any) -> dict[str, Any]:
    client = {
        "type": "contacts",
        "id": "hub_client_id",
        "fields": {"first_name": "firstname", "deposited": {"name": "last_deposit", "type": "number"}},
    }
    firm = {"type": "companies", "id": "hub_client_id"}
    wallet = {"type": "p_wallets", "id": "hub_client_id"}
    objects = {"client": client, "firm": firm, "wallet": wallet}
    return {"kind": "hubspot", "token": TOKEN, "url": hubspot.url, "rate": 1000, "objects": objects} | more


class HubSpotShop:
    def __init__(self, hubspot: FakeHubSpot) -> None:
        self.crm = self.hubspot = hubspot
        self.desk = self.make()

    def make(self, clock: ManualClock | None = None, **more: Any) -> Desk:
        return Desk({"sales": hubspot_settings(self.hubspot, **more)}, clock)

    async def send(self, intent: Intent) -> Told:
        told = await self.desk.send(intent)
        assert TOKEN not in repr(told)
        assert "ann@" not in repr(told)
        return told


def salesforce_settings(salesforce: FakeSalesforce, **more: Any) -> dict[str, Any]:
    fields = {
        "email": "Email",
        "first_name": "FirstName",
        "deposited": {"name": "Deposited__c", "type": "number"},
        "vip": {"name": "VIP__c", "type": "bool"},
        "since": {"name": "Since__c", "type": "date"},
    }
    client = {"type": "Contact", "id": "Hub_Client_Id__c", "fields": fields}
    return {
        "kind": "salesforce",
        "login_url": salesforce.url,
        "client_id": CLIENT_ID,
        "client_secret": SECRET,
        "rate": 1000,
        "objects": {"client": client},
    } | more


class SalesforceShop:
    def __init__(self, salesforce: FakeSalesforce) -> None:
        self.crm = self.salesforce = salesforce
        self.desk = self.make()

    def make(self, **more: Any) -> Desk:
        return Desk({"office": salesforce_settings(self.salesforce, **more)})

    async def send(self, intent: Intent) -> Told:
        told = await self.desk.send(intent)
        assert not [word for word in (SECRET, "00Dxx", "ann@") if word in repr(told)]
        return told
