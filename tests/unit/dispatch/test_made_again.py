"""A delivery that a replay makes again lives anew: nothing of its earlier life counts in its second."""

from datetime import timedelta

from unit.dispatch.answering import Answering
from unit.dispatch.test_dispatcher import LOST, an_endpoint, an_event

from hub.dispatch.account_order import learn_history
from hub.dispatch.outbox import DeliveryState
from hub.testing import a_delivery, settled


async def made_again(house: Answering) -> None:
    """Put the one delivery back among those that wait, as a replay does."""
    (row,) = house.deliveries.rows()
    now = house.clock.now_us()
    house.deliveries._put(row._replace(state=DeliveryState.WAITING, attempts=0, due=now, created_at=now))
    house.dispatcher.left_behind(row.endpoint, (now, row.partition, row.n))
    await house.settle()


async def test_giving_it_up_a_second_time_is_told_a_second_time():
    async with Answering(an_endpoint(schedule=(1.0, 1.0))).running() as house:
        house.receivers.answers["ep"] = LOST
        await house.tell(an_event(1))
        for _ in range(30):
            await house.clock.advance(timedelta(minutes=1))
        assert house.types().count("delivery.exhausted") == 1

        await made_again(house)
        for _ in range(30):
            await house.clock.advance(timedelta(minutes=1))

        assert [row.state for row in house.deliveries.rows()] == [DeliveryState.EXHAUSTED]
        assert house.types().count("delivery.exhausted") == 2


class Line:
    """What is learnt, and nothing of what follows from it."""

    def __init__(self):
        self.learnt = []

    def wants_history(self, row):
        return row.attempts > 0

    def learn_first_tried(self, row, at):
        self.learnt.append(at)


async def test_how_long_it_holds_up_others_is_counted_from_its_second_life():
    house = Answering(an_endpoint())
    first = a_delivery("ep", due=house.clock.now_us())
    later = first.due + 86_400_000_000
    await house.deliveries.fan_out({}, [first])
    await house.deliveries.settle([settled(first, DeliveryState.EXHAUSTED)])
    again = first._replace(created_at=later, due=later)
    house.deliveries._put(again)
    tried = settled(again, DeliveryState.WAITING, due=later + 5_000_000)
    await house.deliveries.settle([tried])
    line = Line()

    await learn_history(
        line, [tried.delivery, tried.delivery._replace(created_at=first.created_at)], house.deliveries
    )

    assert line.learnt == [later, first.due]
