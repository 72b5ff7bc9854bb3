"""A connector that was away: its accounts are doubted at once, each until it is seen again."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from hub.clock import ManualClock
from hub.engine.memory import MemoryLog
from hub.errors import StoreUnavailable
from hub.events.catalogue import BY_NAME
from hub.events.facts import Fact, make_fact
from hub.events.operations import ConnectorMoved
from hub.ingest.gaps import HeardTeller, VouchedSamples
from hub.ingest.samples import Quote, Sample, Sink
from hub.testing import MORNING


class Heard(Sink):
    """What was handed on; it can be told to refuse the next batch."""

    def __init__(self) -> None:
        self.batches: list[list[Sample]] = []
        self.quoted: list[Quote] = []
        self.refuses = False

    async def samples(self, batch: Sequence[Sample]) -> object:
        if self.refuses:
            self.refuses = False
            raise StoreUnavailable("the broker is away")
        self.batches.append(list(batch))
        return len(batch)

    async def quotes(self, batch: Sequence[Quote]) -> object:
        if self.refuses:
            self.refuses = False
            raise StoreUnavailable("the broker is away")
        self.quoted += batch
        return len(batch)

    def doubted(self) -> list[int]:
        return [sample.login for batch in self.batches for sample in batch if sample.gap]


def a_sample(login: int) -> Sample:
    nothing: dict[str, Any] = dict.fromkeys(
        ("balance", "credit", "margin", "free_margin", "margin_level", "floating")
    )
    return Sample("live-1", login, Decimal(1000), **nothing, at=0)


def moved(kind: str) -> Fact:
    data = ConnectorMoved(connector="eu1", reason="r")
    return make_fact(BY_NAME[kind], kind, data, timestamp=MORNING, received_us=0, source="eu1")


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def samples(heard: Heard) -> VouchedSamples:
    return VouchedSamples(heard, ManualClock(MORNING))


@pytest.fixture
def teller(samples: VouchedSamples) -> HeardTeller:
    return HeardTeller(MemoryLog(ManualClock(MORNING)), samples)


@pytest.mark.parametrize("kind", ["connector.disconnected", "connector.stale", "connector.gap"])
async def test_every_account_that_was_sampled_is_doubted(
    kind: str, heard: Heard, samples: VouchedSamples, teller: HeardTeller
) -> None:
    await samples.samples([a_sample(1), a_sample(2)])

    await teller.append([moved(kind)])

    assert heard.doubted() == [1, 2]
    assert all(sample.degraded for sample in heard.batches[-1])


async def test_a_connector_that_comes_back_doubts_nothing(
    heard: Heard, samples: VouchedSamples, teller: HeardTeller
) -> None:
    await samples.samples([a_sample(1)])

    await teller.append([moved("connector.connected")])

    assert heard.doubted() == []


async def test_a_doubt_that_could_not_be_told_comes_before_the_next_sample(
    heard: Heard, samples: VouchedSamples, teller: HeardTeller
) -> None:
    await samples.samples([a_sample(1)])
    heard.refuses = True

    answers = await teller.append([moved("connector.gap")])
    await samples.samples([a_sample(1)])

    assert len(answers) == 1
    assert [[sample.gap for sample in batch] for batch in heard.batches] == [[False], [True], [False]]


async def test_symbols_that_were_quoted_are_doubted_as_well(
    heard: Heard, samples: VouchedSamples, teller: HeardTeller
) -> None:
    quotes = [Quote("live-1", name, Decimal(1), Decimal(2), 0) for name in ("EURUSD", "XAUUSD", "EURUSD")]
    await samples.quotes(quotes)

    await teller.append([moved("connector.stale")])
    assert heard.batches == []
    assert [(each.symbol, each.degraded) for each in heard.quoted if each.gap] == [
        ("EURUSD", True),
        ("XAUUSD", True),
    ]
    heard.refuses = True
    await teller.append([moved("connector.gap")])
    await samples.quotes(quotes[:1])

    assert [each.gap for each in heard.quoted[3:]] == [True, True, True, True, False]
