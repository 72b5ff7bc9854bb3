"""What the hub adds to a fact is no part of its identity: told again at another rate it is the same, and the first stands."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from hub.bus import told
from hub.clock import to_us
from hub.events.base import AccountRef
from hub.events.cash import BalanceMoved
from hub.events.catalogue import BY_NAME
from hub.events.facts import Fact, make_fact
from hub.events.records import decode_data, decode_envelope
from hub.ingest.base_currency import BaseCurrency
from hub.ingest.rates import DatedRate, Rates
from hub.testing import MORNING


def a_deposit(rate: str, amount: str = "100") -> Fact:
    fact = make_fact(
        BY_NAME["balance.deposited"],
        "balance.deposited",
        BalanceMoved(ticket=1, amount=Decimal(amount)),
        timestamp=MORNING,
        received_us=to_us(MORNING),
        source="mt5-live",
        account=AccountRef(server="live-1", login=7001, currency="EUR"),
    )
    return BaseCurrency(
        "USD", Rates({"EUR": DatedRate(rate=Decimal(rate))}, longest=timedelta(days=1))
    ).converted(fact)


def by_another_process(fact: Fact) -> Fact:
    return told.decode(told.encode(fact), fact.partition)


@pytest.mark.parametrize("way", [lambda fact: fact, by_another_process], ids=["here", "told by another"])
async def test_the_first_rate_stands_and_another_is_no_mismatch(hub: Any, way: Any) -> None:
    first, again, other = (
        way(fact) for fact in (a_deposit("1.1"), a_deposit("1.2"), a_deposit("1.1", "200"))
    )

    at_once = await hub.log.append([first, again])
    later = await hub.log.append([again])
    different = await hub.log.append([other])

    answers = [(answer.duplicate, answer.mismatch) for answer in (*at_once, *later, *different)]
    assert answers == [(False, False), (True, False), (True, False), (True, True)]
    stored = decode_data(decode_envelope((await hub.log.find(first.key)).body))
    assert (stored.amount_base, stored.rate) == (Decimal(110), Decimal("1.1"))
