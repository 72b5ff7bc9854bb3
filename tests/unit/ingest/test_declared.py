"""Posted events of types somebody declared."""

from typing import Any

import pytest
from unit.ingest.test_receive import NOW, Desk

from hub.clock import iso
from hub.events.declared import Declarations, Declared, DeclaredField, Undeclared
from hub.events.declared_types import FieldType
from hub.ingest.receive import Receiver

SEEN = Declared(
    "custom.seen",
    3,
    {
        "amount": DeclaredField("amount", FieldType.DECIMAL),
        "tier": DeclaredField("tier", FieldType.STRING, required=False, one_of=("gold", "silver")),
    },
)


class DeclaringDesk(Desk):
    def __init__(self) -> None:
        super().__init__()
        self.known = Declarations({SEEN.name: SEEN}, Undeclared.ACCEPT)
        self.receiver = Receiver(self.log, self.clock, declared=lambda: self.known)


@pytest.fixture
def desk() -> DeclaringDesk:
    return DeclaringDesk()


def posted(kind: str = "custom.seen", **data: Any) -> dict[str, Any]:
    return {"type": kind, "timestamp": iso(NOW), "data": data}


async def test_what_fits_is_stored_as_it_is_declared(desk: DeclaringDesk) -> None:
    result = await desk.one(posted(amount=1.5, tier="gold"))

    envelope, data = await desk.stored(result)

    assert result.status == "accepted"
    assert (envelope.schema, bytes(envelope.data)) == (3, b'{"amount":"1.5","tier":"gold"}')
    assert data.amount == "1.5"


async def test_each_row_has_its_own_verdict(desk: DeclaringDesk) -> None:
    receipt = await desk.post(
        posted(amount="1"),
        posted(amuont="1"),
        posted(amount="x", tier="gould"),
        posted("custom.other", any=[1]),
    )

    assert [result.status for result in receipt.results] == ["accepted", "rejected", "rejected", "accepted"]
    assert [(each.field, each.reason, each.fix) for each in receipt.results[1].errors] == [
        ("data.amuont", "unknown field of custom.seen", "did you mean amount?"),
        ("data.amount", "missing", "custom.seen always has it"),
    ]
    assert [each.field for each in receipt.results[2].errors] == ["data.amount", "data.tier"]
    assert desk.rows() == 2


async def test_a_hostile_name_of_a_field_is_shown_short_and_on_one_line(desk: DeclaringDesk) -> None:
    (error, _) = (await desk.one(posted(**{"x\n\x1b[31m" * 100: 1}))).errors

    assert error.field.isprintable()
    assert len(error.field) < 100


async def test_a_hub_that_takes_declared_events_only_refuses_the_others(desk: DeclaringDesk) -> None:
    desk.known = Declarations(desk.known.types, Undeclared.REFUSE)

    assert (await desk.one(posted(amount="1"))).status == "accepted"
    refused = await desk.one(posted("custom.sean", amount="1"))

    assert refused.status == "rejected"
    assert "is declared nowhere" in refused.errors[0].reason
    assert refused.errors[0].fix == "did you mean custom.seen?"


async def test_what_is_declared_by_now_is_asked_with_every_request(desk: DeclaringDesk) -> None:
    desk.known = Declarations({})
    assert (await desk.one(posted(anything=True))).status == "accepted"

    desk.known = Declarations({SEEN.name: SEEN})

    assert (await desk.one(posted(anything=False))).status == "rejected"
