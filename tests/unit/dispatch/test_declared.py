"""Filters of endpoints on events somebody declared."""

import pytest
from structlog.testing import capture_logs
from unit.dispatch.test_filters import an_endpoint, an_input, sent

from hub.dispatch.endpoint_check import faults
from hub.dispatch.filters import Filter, FilterInvalid
from hub.dispatch.subscriptions import Subscriptions
from hub.events.declared import Declarations, Declared, DeclaredField
from hub.events.declared_types import FieldType

TYPES = ("custom.seen",)


def known(kind: FieldType = FieldType.DECIMAL) -> Declarations:
    fields = {
        "amount": DeclaredField("amount", kind),
        "at": DeclaredField("at", FieldType.MOMENT, required=False),
    }
    return Declarations({"custom.seen": Declared("custom.seen", 1, fields)})


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("data.amuont > 5", "unknown field data.amuont; did you mean data.amount?"),
        ('data.amount == "5"', "cannot be compared"),
        ("data.at > 5", "a time cannot be compared with a number"),
    ],
)
def test_a_filter_that_means_nothing_is_refused_with_what_may_be_meant(where: str, said: str) -> None:
    with pytest.raises(FilterInvalid, match=said.replace(".", r"\.").replace("?", r"\?")):
        Filter(where, TYPES, declared=known())
    (fault,) = faults(
        an_endpoint(events=TYPES, where=where), allow_loopback=True, topics=(), declared=known()
    )
    assert fault.field == "where"


def test_a_transform_names_fields_there_are() -> None:
    endpoint = an_endpoint(events=TYPES, format="raw", transform='{"a": {{ data.amuont }}}')

    (fault,) = faults(endpoint, allow_loopback=True, topics=(), declared=known())

    assert "data.amuont" in fault.reason


def test_beside_types_nobody_declared_any_field_may_be_there() -> None:
    for events in (("*",), ("custom.*",), ("custom.seen", "custom.other")):
        Filter("data.anything == 5", events, declared=known())


def test_a_field_of_several_types_is_what_they_have_in_common() -> None:
    Filter("data.amount == 5 and has(data.lots)", ("custom.seen", "trade.closed"), declared=known())
    with pytest.raises(FilterInvalid):
        Filter("data.nothing == 5", ("custom.seen", "trade.closed"), declared=known())


async def test_a_decimal_that_is_told_as_text_is_compared_as_a_number() -> None:
    subscriptions = Subscriptions([an_endpoint(events=TYPES, where="data.amount > 9")], known)
    inputs = [
        an_input({"amount": amount}, n, "custom.seen") for n, amount in ((1, "12.50"), (2, "8.5"), (3, "x"))
    ]

    assert await sent(subscriptions, *inputs) == [("ep", 1)]


async def test_a_filter_is_asked_as_its_type_is_declared_by_now() -> None:
    now = [Declarations()]
    subscriptions = Subscriptions([an_endpoint(events=TYPES, where="data.amount > 9")], lambda: now[0])
    told = an_input({"amount": "12.50"}, 1, "custom.seen")
    assert await sent(subscriptions, told) == []

    now[0] = known()

    assert await sent(subscriptions, told) == [("ep", 1)]


async def test_a_filter_that_was_taken_goes_on_though_a_later_declaration_would_refuse_it() -> None:
    with capture_logs() as logs:
        subscriptions = Subscriptions([an_endpoint(events=TYPES, where='data.tier == "gold"')], known)

    assert await sent(subscriptions, an_input({"tier": "gold"}, 1, "custom.seen")) == [("ep", 1)]
    assert [each["event"] for each in logs] == ["endpoint.filter_misfits_declaration"]
