import json

import msgspec
import pytest

from hub.dispatch.formats import (
    Formed,
    NotShaped,
    TransformInvalid,
    check_content_type,
    content_type_of,
    forms,
)
from hub.dispatch.options import NO_OPTIONS, EndpointOptions

CLOSED = ("trade.closed",)
DATA = {
    "deal": 88123,
    "symbol": "EURUSD",
    "symbol_class": "fx",
    "side": "buy",
    "lots": "1.50",
    "partial": False,
    "net_profit": "-42.10",
}
TOLD = {
    "id": "evt_w5vqcaaaaaaaaakyhmbaaaaaaa",
    "type": "trade.closed",
    "timestamp": "2025-01-15T09:30:00Z",
    "account": {"server": "live-1", "login": 7001},
    "sequence": 1044,
    "data": DATA,
}
BODY = msgspec.json.encode(TOLD)


def formed(body=BODY, events=CLOSED, **options):
    return Formed(EndpointOptions(**options), events).form(body)


def test_most_endpoints_ask_for_no_other_form():
    assert not forms(NO_OPTIONS)
    assert content_type_of(NO_OPTIONS) == "application/json"


def test_a_cloud_event_has_what_the_specification_wants():
    told = json.loads(formed(format="cloudevents"))

    assert told == {
        "specversion": "1.0",
        "id": TOLD["id"],
        "source": "urn:hub:live-1",
        "type": "trade.closed",
        "subject": "live-1:7001",
        "time": "2025-01-15T09:30:00Z",
        "datacontenttype": "application/json",
        "sequence": "1044",
        "data": DATA,
    }
    assert all(name.islower() and name.isalnum() for name in told)


def test_a_cloud_event_of_no_account_names_none():
    body = msgspec.json.encode(TOLD | {"account": None, "sequence": None})

    told = json.loads(formed(body, format="cloudevents"))

    assert (told["source"], "subject" in told, "sequence" in told) == ("urn:hub", False, False)


def test_a_transform_makes_the_data_and_leaves_the_rest():
    told = json.loads(formed(transform='{"profit": {{ data.net_profit }}, "of": "{{ account.login }}"}'))

    assert told == TOLD | {"data": {"profit": -42.10, "of": "7001"}}


def test_a_raw_body_is_the_transform_and_nothing_else():
    body = formed(
        format="raw", transform="{{ data.symbol }} {{ sequence }} {{ type }}", content_type="text/plain"
    )

    assert body == b"EURUSD 1044 trade.closed"


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", rb'{"a":"\"><b>"}'),
        ("application/xml", b'{"a":"&#34;&gt;&lt;b&gt;"}'),
        ("text/html; charset=utf-8", b'{"a":"&#34;&gt;&lt;b&gt;"}'),
        ("text/plain", b'{"a":""><b>"}'),
    ],
)
def test_values_are_escaped_for_what_the_body_is(content_type, expected):
    body = msgspec.json.encode(TOLD | {"data": DATA | {"comment": '"><b>'}})

    made = formed(body, format="raw", transform='{"a":"{{ data.comment }}"}', content_type=content_type)

    assert made == expected


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"transform": "{{ data.comment|json }}"}, "comment"),
        ({"transform": '{"a": {{ data.symbol }}}'}, "no valid JSON"),
        ({"transform": "[1]"}, "no valid JSON"),
        ({"format": "raw", "transform": "{"}, "no valid JSON"),
        ({"transform": '{"a": "{{ data.comment }}"}'}, "data.comment is missing"),
    ],
)
def test_what_gives_no_body_says_why(options, said):
    with pytest.raises(NotShaped) as refused:
        formed(**options)

    assert said in str(refused.value)


def test_a_body_has_a_largest_size():
    body = msgspec.json.encode(TOLD | {"type": "custom.many", "data": {"long": "x" * 60_000}})
    write = "{{ data.long }}" * 5

    with pytest.raises(NotShaped):
        formed(body, ("custom.*",), format="raw", content_type="text/plain", transform=write)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"transform": "{{ data.lotts }}"}, "did you mean data.lots?"),
        ({"transform": "\n{{ event.lots }}"}, "line 2: unknown name event"),
        ({"transform": "{% for x in data %}{% endfor %}"}, "no loops"),
        ({"transform": "{{ data"}, ""),
    ],
)
def test_a_transform_that_can_never_be_filled_in_is_refused_when_it_is_made(options, said):
    with pytest.raises(TransformInvalid) as refused:
        Formed(EndpointOptions(**options), CLOSED)

    assert said in str(refused.value)


@pytest.mark.parametrize(
    "text", ["application/x-www-form-urlencoded", "text/plain; charset=latin-1", "json", ""]
)
def test_a_content_type_nothing_is_escaped_for_is_refused(text):
    with pytest.raises(TransformInvalid):
        check_content_type(text)


def test_the_names_of_a_transform_are_those_of_a_filter():
    every = (
        '{"a": "{{ id }}{{ type }}{{ timestamp }}{{ account.server }}{{ sequence }}", "b": {{ data|json }}}'
    )

    assert json.loads(formed(transform=every))["data"]["b"] == DATA
