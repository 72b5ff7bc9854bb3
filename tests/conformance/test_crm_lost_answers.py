"""What holds of either maker's CRM when an answer is lost on the way."""

from collections.abc import AsyncIterator

import pytest
from conformance.crm_bench import a_call, a_note, a_task, an_upsert
from conformance.crm_shops import HubSpotShop, SalesforceShop
from conformance.fake_hubspot import a_hubspot
from conformance.fake_salesforce import a_salesforce

from hub.dispatch.effects.notifier import Later, Sent, Unsure
from hub.intents.intent import Intent

Shop = HubSpotShop | SalesforceShop


@pytest.fixture(params=["HubSpot", "Salesforce"])
async def shop(request: pytest.FixtureRequest) -> AsyncIterator[Shop]:
    if request.param == "HubSpot":
        async with a_hubspot() as hubspot:
            yield HubSpotShop(hubspot)
    else:
        async with a_salesforce() as salesforce:
            yield SalesforceShop(salesforce)


@pytest.mark.parametrize("takes_first", [True, False])
async def test_a_record_whose_answer_was_lost_is_written_again_and_there_once(
    shop: Shop, takes_first: bool
) -> None:
    shop.crm.breaks_off, shop.crm.takes_first = True, takes_first
    lost = await shop.send(an_upsert())
    shop.crm.breaks_off = False

    again = await shop.send(an_upsert())

    assert isinstance(lost, Later)
    assert isinstance(again, Sent)
    assert len(shop.crm.records) == 1
    assert not shop.desk.sends_once("crm.upsert")


@pytest.mark.parametrize("intent", [a_note(), a_call(), a_task()], ids=lambda intent: intent.verb)
async def test_what_is_added_and_whose_answer_was_lost_is_not_known(shop: Shop, intent: Intent) -> None:
    await shop.send(an_upsert())
    shop.crm.breaks_off = shop.crm.takes_first = True

    assert isinstance(await shop.send(intent), Unsure)
    assert len(shop.crm.added) == 1
    assert shop.desk.sends_once(intent.verb)
