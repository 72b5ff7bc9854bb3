"""A desk beside a board of rates: what a key asks of the board is answered at once, as by mail."""

import msgspec
from unit.engine.desk import Desk

from hub.bus.log import Input, InputKind
from hub.engine.decide import advance
from hub.engine.index import Program
from hub.engine.keys import RATES, partition_of
from hub.engine.quotes import Board
from hub.engine.rate_board import tell
from hub.engine.state import KeyState

WEEK = 7 * 86_400_000_000


class RatedDesk(Desk):
    def __init__(self, *workflows, base="USD", **named):
        super().__init__(*workflows, **named)
        self.board = KeyState(partition_of(RATES), RATES)
        self.base = base
        self.known = {}
        self.at_the_board = []
        self.answers = True
        self._mail = []

    def rates(self, *, fixed=False, at=None, **rates):
        """Tell what currencies are worth in the base currency; return the intents it leads to."""
        when = -1 if fixed else self.now if at is None else at
        self.known |= {name: (when, str(rate)) for name, rate in rates.items()}
        item = tell(Board(self.base, WEEK, dict(self.known)))
        self._post(item)
        return self._answered()

    def take(self, item):
        return [*super().take(item), *self._answered()]

    def _keep(self, decision):
        super()._keep(decision)
        self._mail += decision.mail

    def _answered(self):
        found = []
        while self._mail and self.answers:
            told = self._mail.pop(0)
            if told.key == RATES:
                self._post(told)
            else:
                assert told.key == self.state.key
                self.now += 1
                found += super().take(self._input(told.kind, told.ref, told.body))
                found += self._answered()
        return found

    def _post(self, told):
        number = len(self.at_the_board) + 1
        item = Input(
            self.board.partition, number, self.now, int(InputKind.COMMAND), RATES, told.ref, None, told.body
        )
        self.at_the_board.append(item)
        for decision in advance(Program(()), self.board, item):
            self._mail += decision.mail


def booked(intents):
    """Return what is booked, by the last part of its key."""
    return [(i.verb, params(i)["amount"], i.key.rpartition("/")[2]) for i in intents]


def params(intent):
    return msgspec.json.decode(intent.params)
