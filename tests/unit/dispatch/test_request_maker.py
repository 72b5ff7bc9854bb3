import asyncio
import json
import threading
from datetime import UTC, datetime

import msgspec
import pytest

from hub.clock import SystemClock, to_us
from hub.dispatch.formats import NotShaped
from hub.dispatch.options import EndpointOptions
from hub.dispatch.outbox import Delivery, DeliveryState, Endpoint
from hub.dispatch.request_maker import FormedRequests, request_maker
from hub.dispatch.signing import parse_secret, verify
from hub.dispatch.workshop import Workshop

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = datetime(2026, 6, 23, 9, 0, tzinfo=UTC)
BODY = msgspec.json.encode(
    {
        "id": "evt_1",
        "type": "custom.note",
        "timestamp": "2026-06-23T08:00:00Z",
        "account": {"server": "live-1", "login": 7001},
        "sequence": 3,
        "data": {"text": "hello"},
    }
)
DELIVERY = Delivery("ep", 0, 1, "evt_1", DeliveryState.WAITING, 0, 0, 0)


@pytest.fixture
def workshop():
    workshop = Workshop(SystemClock())
    yield workshop
    workshop.close()


def a_maker(workshop, **options):
    asks = EndpointOptions(**options)
    endpoint = Endpoint("ep", "https://a.example/", ("custom.*",), SECRET, "enabled", "", 0, options=asks)
    return request_maker(endpoint, workshop)


async def test_what_is_usual_is_sent_as_it_is_told_and_signed_now(workshop):
    headers, body = await a_maker(workshop).prepare(DELIVERY, BODY, to_us(NOW))

    assert body is BODY
    verify(parse_secret(SECRET), headers, body, NOW)
    assert headers["Content-Type"] == "application/json"


async def test_another_form_is_signed_as_it_is_sent(workshop):
    maker = a_maker(workshop, format="cloudevents", headers=(("X-Desk", "7"),))

    headers, body = await maker.prepare(DELIVERY, BODY, to_us(NOW))

    verify(parse_secret(SECRET), headers, body, NOW)
    assert json.loads(body)["specversion"] == "1.0"
    assert headers["Content-Type"].startswith("application/cloudevents+json")
    assert headers["X-Desk"] == "7"


async def test_a_header_asked_for_never_takes_the_place_of_one_of_the_hub(workshop):
    # The interface refuses these; what stands in the store may be older than its list.
    maker = a_maker(workshop, headers=(("Content-Type", "text/html"), ("webhook-id", "forged")))

    headers, _ = await maker.prepare(DELIVERY, BODY, to_us(NOW))

    assert (headers["Content-Type"], headers["webhook-id"]) == ("application/json", "evt_1")


async def test_templates_are_filled_in_away_from_the_loop(workshop, monkeypatch):
    where = []
    real = Workshop.form

    async def form(self, endpoint, former, body):
        inner = former.form
        former.form = lambda told: where.append(threading.current_thread().name) or inner(told)
        return await real(self, endpoint, former, body)

    monkeypatch.setattr(Workshop, "form", form)
    await a_maker(workshop, transform='{"a": "{{ data.text }}"}').prepare(DELIVERY, BODY, to_us(NOW))

    assert where != []
    assert all(name.startswith("transforms") for name in where)


async def test_a_transform_that_cannot_be_filled_in_makes_no_request(workshop):
    with pytest.raises(NotShaped, match=r"data\.other is missing"):
        await a_maker(workshop, transform='{"a": "{{ data.other }}"}').prepare(DELIVERY, BODY, to_us(NOW))


async def test_a_transform_of_another_version_fails_when_it_is_needed_and_not_before(workshop):
    maker = a_maker(workshop, transform="{% new words %}")

    with pytest.raises(NotShaped):
        await maker.prepare(DELIVERY, BODY, to_us(NOW))


async def test_a_record_of_a_topic_has_its_account_for_a_key(workshop):
    headers, _ = await a_maker(workshop, kind="kafka", topic="t").prepare(DELIVERY, BODY, to_us(NOW))

    assert headers["hub-account"] == "live-1:7001"


async def test_many_bodies_of_one_endpoint_wait_for_each_other_and_not_another_for_them(workshop):
    made = []

    class Noting:
        content_type = "application/json"

        def __init__(self, name):
            self.name = name

        def form(self, body):
            made.append(self.name)
            return body

    plain = a_maker(workshop)
    many, one = (FormedRequests(name, plain, Noting(name), workshop) for name in ("many", "one"))

    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(many.prepare(DELIVERY, BODY, to_us(NOW)))
        group.create_task(one.prepare(DELIVERY, BODY, to_us(NOW)))

    assert (made.index("one"), len(made)) == (1, 11)
