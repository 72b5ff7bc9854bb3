"""Who would have been asked in a rehearsal: questions to people, the money that hung on them, and what became of them."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple, final
from urllib.parse import unquote

import msgspec

from hub.clock import from_us, iso
from hub.engine.rehearsed import People
from hub.engine.rows import ApprovalMove, ApprovalRow
from hub.intents.verbs import VERBS, Risk

MOST_QUESTIONS: Final = 250_000  # kept one by one; what comes after is only counted
ASKED: Final = "approve"
OPEN: Final = "open"
_UNKNOWN_CURRENCY: Final = "?"
_NOTES: Final[Mapping[People | None, str]] = {
    None: "nobody is assumed to answer, so what is asked stays open until its time is over: "
    "--assume approve and --assume deny say what would follow",
    "approve": "whoever is asked is assumed to approve at once, as many as it takes",
    "decline": "whoever is asked is assumed to decline at once",
}
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


class Question(NamedTuple):
    """One question. `name` is its identity without the workflow's id; `amount` what all it asks for would move."""

    id: str
    name: str
    at: int
    due: int
    account: str
    step: str
    permission: str
    quorum: int
    verbs: Sequence[str]
    amount: Decimal | None
    currency: str

    @property
    def who(self) -> str:
        return self.account or unquote(self.name.partition("/")[0])

    @property
    def trigger(self) -> str:
        parts = self.name.split("/")
        return unquote(parts[1]) if len(parts) > 1 else ""


@final
class Questions:
    """Counts while it listens; what it keeps is bounded, its counts are exact."""

    def __init__(self) -> None:
        self.kept: list[Question] = []
        self.count = 0
        self.who: set[str] = set()
        self.by_step: Counter[tuple[str, str]] = Counter()  # by step and permission
        self.by_day: Counter[str] = Counter()
        self.money: defaultdict[str, Decimal] = defaultdict(Decimal)  # by verb and currency
        self._open: set[str] = set()
        self._closed: Counter[str] = Counter()
        self._became: dict[str, str] = {}  # of those that are kept

    def __len__(self) -> int:
        return self.count

    @property
    def states(self) -> dict[str, int]:
        """Return how many were approved, declined, expired or withdrawn, and how many are open at the end."""
        found = dict(sorted(self._closed.items()))
        return found | ({OPEN: len(self._open)} if self._open else {})

    @property
    def left_out(self) -> int:
        return self.count - len(self.kept)

    def state_of(self, question: Question) -> str:
        return self._became.get(question.id, OPEN)

    def asked(self, row: ApprovalRow, currency: str) -> None:
        shown = _decode(row.shown)
        money = list(_money(shown.get("actions", ())))
        question = Question(
            row.id,
            f"{row.run.partition('/')[2]}/{row.step}",
            row.at,
            row.due,
            row.account,
            row.step,
            row.permission,
            int(shown.get("quorum", 1)),
            [str(action["verb"]) for action in shown.get("actions", ())],
            sum((amount for _, amount in money), Decimal()) if money else None,
            currency,
        )
        self.count += 1
        self.who.add(question.who)
        self.by_step[(row.step, row.permission)] += 1
        self.by_day[from_us(row.at).date().isoformat()] += 1
        for verb, amount in money:
            # Every direction counts for itself, and one question may ask for several.
            self.money[f"{verb} {currency or _UNKNOWN_CURRENCY}"] += amount
        self._open.add(row.id)
        if len(self.kept) < MOST_QUESTIONS:
            self.kept.append(question)

    def moved(self, move: ApprovalMove) -> None:
        """Hear what became of a question; of one that was asked before it listened, nothing."""
        if move.state == OPEN or move.id not in self._open:
            return
        self._open.discard(move.id)
        self._closed[move.state] += 1
        if len(self._became) < MOST_QUESTIONS:
            self._became[move.id] = move.state

    def data(self, most: int) -> dict[str, object]:
        """Return what was asked as JSON's values, so many of them one by one."""
        return {
            "count": self.count,
            "accounts": len(self.who),
            "became": self.states,
            "money": {name: format(amount, "f") for name, amount in sorted(self.money.items())},
            "by_step": [
                {"step": step, "permission": permission, "count": count}
                for (step, permission), count in sorted(self.by_step.items())
            ],
            "by_day": dict(sorted(self.by_day.items())),
            "questions": [self._one(question) for question in self.kept[:most]],
            "questions_left_out": max(self.count - most, self.left_out),
        }

    def _one(self, question: Question) -> dict[str, object]:
        return {
            "at": iso(question.at),
            "who": question.who,
            "trigger": question.trigger,
            "step": question.step,
            "permission": question.permission,
            "quorum": question.quorum,
            "actions": list(question.verbs),
            "amount": format(question.amount, "f") if question.amount is not None else None,
            "currency": question.currency or None,
            "due": iso(question.due),
            "became": self.state_of(question),
        }


def note_on(people: People | None) -> str:
    """Return what was assumed of those who were asked, in a sentence."""
    return _NOTES[people]


def _money(actions: Sequence[Mapping[str, Any]]) -> list[tuple[str, Decimal]]:
    """Return the amounts of money a question asks for, as far as they are known when it is asked."""
    found = []
    for action in actions:
        verb = VERBS.get(str(action["verb"]))
        if verb is None or verb.risk is not Risk.MONEY:
            continue
        try:
            amount = Decimal(str(action["params"]["amount"]))
        except (InvalidOperation, KeyError, TypeError):
            continue
        if amount.is_finite():
            found.append((verb.name, amount))
    return found
