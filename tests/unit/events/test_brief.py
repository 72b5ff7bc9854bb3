"""What is known of a stored event before it is decoded."""

import msgspec
import pytest

from hub.events.brief import NEAR_TYPE, OF_ITSELF, named_type, tells_type
from hub.events.catalogue import BY_NAME
from hub.events.facts import stored
from hub.testing import a_trade_closed

EVENT = a_trade_closed().envelope


@pytest.mark.parametrize("name", BY_NAME)
def test_what_stands_near_it_names_every_type_of_the_catalogue(name):
    body = stored(msgspec.structs.replace(EVENT, type=name))

    assert tells_type(body[NEAR_TYPE])
    assert body[NEAR_TYPE].split(b'"')[4].decode() == named_type(body) == name


@pytest.mark.parametrize("part", [{"type": "custom." + "x" * 40}, {"id": ""}, {"id": "evt_1"}])
def test_a_longer_name_or_another_id_does_not_tell(part):
    body = stored(msgspec.structs.replace(EVENT, **part))

    assert not tells_type(body[NEAR_TYPE])


def test_an_event_no_workflow_led_to_ends_in_the_same_way():
    caused = msgspec.structs.replace(EVENT, caused_by="bonus/live-1:7/x/1")

    assert stored(EVENT).endswith(OF_ITSELF)
    assert not stored(caused).endswith(OF_ITSELF)
