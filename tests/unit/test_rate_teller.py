"""The engine is told what currencies are worth: at the start, and when that has changed."""

from datetime import timedelta
from decimal import Decimal

from hub.clock import ManualClock, from_us, to_us
from hub.engine.quotes import decode_board
from hub.errors import StoreUnavailable
from hub.ingest.rates import DatedRate, Quote, Rates
from hub.rate_teller import RateTeller
from hub.testing import MORNING

DAY = timedelta(days=1)


class Inputs:
    def __init__(self):
        self.told, self.away = [], False

    async def append(self, _facts, *, inputs=()):
        if self.away:
            raise StoreUnavailable("away")
        self.told += [decode_board(each.body) for each in inputs]
        return []


async def test_rates_are_told_once_and_again_when_they_have_changed():
    inputs, clock = Inputs(), ManualClock(MORNING)
    rates = Rates({"EUR": DatedRate(rate=Decimal("1.08"))}, longest=DAY)
    teller = RateTeller("USD", rates, DAY, inputs, clock)

    await teller.look()
    await teller.look()
    rates.load([Quote("EUR", Decimal("1.10"), MORNING + DAY), Quote("EUR", Decimal("1.09"), MORNING)])
    await teller.look()
    await clock.advance(DAY)
    await teller.look()

    assert [board.rates["EUR"][1] for board in inputs.told] == ["1.08", "1.09", "1.10"]
    assert from_us(inputs.told[2].rates["EUR"][0]) == MORNING + DAY
    assert inputs.told[0].rates["EUR"][0] == -1
    assert to_us(MORNING) == inputs.told[1].rates["EUR"][0]
