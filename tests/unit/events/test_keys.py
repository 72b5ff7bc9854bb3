"""What makes two tellings one fact."""

from datetime import timedelta
from typing import Any

import pytest

from hub.events.catalogue import event_type
from hub.events.facts import Entity, Fact, make_fact, with_entity_version
from hub.ids import unpack
from hub.testing import MORNING, a_trade_closed, an_account, an_event

RECEIVED = 1_782_205_200_000_000
TRADE: dict[str, Any] = {"symbol": "EURUSD", "side": "buy", "lots": "1", "profit": "3"}


def told(name: str, source: str = "mt5-a", received_us: int = RECEIVED, **options: Any) -> Fact:
    kind = event_type(name)
    assert kind is not None
    data = kind.model.model_validate(options.pop("data"))
    account = options.pop("account", an_account())
    timestamp = options.pop("timestamp", MORNING)
    return make_fact(
        kind,
        name,
        data,
        timestamp=timestamp,
        received_us=received_us,
        source=source,
        account=account,
        **options,
    )


def test_two_connectors_telling_the_same_deal_tell_one_fact() -> None:
    first = told("trade.closed", "mt5rest-eu", data={**TRADE, "deal": 88123})
    second = told("trade.closed", "mt5rest-us", RECEIVED + 5_000_000, data={**TRADE, "deal": 88123})

    assert first.key == second.key
    assert first.envelope.id == second.envelope.id
    assert first.content == second.content
    assert first.envelope.dedupe_key == "live-1:deal:88123:trade.closed"


def test_a_dedupe_key_does_not_hide_a_deal() -> None:
    posted = told("trade.closed", "api:crm", data={**TRADE, "deal": 88123}, dedupe_key="crm-1")

    assert posted.key == told("trade.closed", data={**TRADE, "deal": 88123}).key


def test_the_key_of_a_deal_says_which_deal_of_which_type_it_is() -> None:
    fact = told("trade.closed", data={**TRADE, "deal": 88123})

    fields = unpack(fact.key)

    assert fields is not None
    assert (fields.number, fields.type_code) == (88123, 2)


@pytest.mark.parametrize(
    "other",
    [
        told("trade.closed", data={**TRADE, "deal": 88124}),
        told(
            "trade.opened", data={"symbol": "EURUSD", "side": "buy", "lots": "1", "price": "1", "deal": 88123}
        ),
        told("trade.closed", data={**TRADE, "deal": 88123}, account=an_account("live-2")),
        told("trade.closed", data={**TRADE, "position": 88123}),
    ],
    ids=["another deal", "another type", "another server", "a ticket of that number"],
)
def test_another_fact_has_another_key(other: Fact) -> None:
    assert told("trade.closed", data={**TRADE, "deal": 88123}).key != other.key


def test_an_mt4_ticket_opens_and_closes_under_one_number() -> None:
    opened = told(
        "trade.opened", data={"symbol": "EURUSD", "side": "buy", "lots": "1", "price": "1", "position": 5}
    )
    closed = told("trade.closed", data={**TRADE, "position": 5})

    assert opened.key != closed.key
    assert opened.envelope.dedupe_key == "live-1:ticket:5:trade.opened"


def test_without_a_number_the_senders_key_names_the_event() -> None:
    first = told("kyc.confirmed", "api:crm", data={"client": "c1"}, dedupe_key="7", timestamp=MORNING)
    again = told(
        "kyc.confirmed", "api:crm", data={"client": "c1"}, dedupe_key="7", timestamp=MORNING + timedelta(1)
    )
    foreign = told("kyc.confirmed", "api:psp", data={"client": "c1"}, dedupe_key="7")

    assert first.key == again.key
    assert first.key != foreign.key


def test_without_any_key_the_content_is_the_identity() -> None:
    first = told("custom.ping", data={"n": 1})

    assert first.key == told("custom.ping", received_us=RECEIVED + 1, data={"n": 1}).key
    assert first.key != told("custom.ping", data={"n": 2}).key
    assert first.key != told("custom.ping", data={"n": 1}, account=an_account(login=7002)).key


def test_a_state_change_counts_the_changes_before_it() -> None:
    fact = told("account.updated", data={"changed": {}}, entity=Entity("live-1:7001", "state-a"))

    first, second = with_entity_version(fact, 0), with_entity_version(fact, 1)

    assert fact.key == b""
    assert first.key != second.key
    assert first.envelope.id.startswith("evt_")
    assert first.key == with_entity_version(fact, 0).key


def test_an_account_is_always_in_the_same_partition() -> None:
    facts = [a_trade_closed(), an_event("account.enabled", an_account())]

    assert len({fact.partition for fact in facts}) == 1
    assert {fact.account for fact in facts} == {"live-1:7001"}


def test_a_senders_key_tells_the_partial_closes_of_one_position_apart() -> None:
    first = told("trade.closed", data={**TRADE, "position": 77}, dedupe_key="part-1")
    second = told("trade.closed", data={**TRADE, "position": 77}, dedupe_key="part-2")

    assert first.key != second.key
