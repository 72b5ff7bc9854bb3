"""The board of rates: a key of its own that is told the rates there are, and answers whoever books in another currency.

It answers by mail, so the rate a booking was made at is an input of the key that booked. Who had to be turned away is
remembered, and answered when there is a rate.
"""

from typing import Final

from hub.bus.log import InputKind, NewInput
from hub.engine.account_rows import AccountRow
from hub.engine.keys import RATES, partition_of
from hub.engine.program_steps import Computed, Do
from hub.engine.quotes import (
    KNOWN,
    NO_RATES,
    TOLD,
    WANTED,
    Board,
    Quote,
    Wanted,
    decode_board,
    decode_quote,
    decode_wanted,
    encode,
)
from hub.engine.scene import Scene
from hub.engine.values import Kind
from hub.intents.verbs import Risk

MOST_WAITING: Final = 10_000  # of keys and pairs; who comes after them asks again with his next event
_BOARD: Final = (Kind.RATES.value, "")

Pair = tuple[str, str]


def tell(board: Board) -> NewInput:
    """Return the input that tells the board what the rates are."""
    return NewInput(partition_of(RATES), InputKind.COMMAND, RATES, TOLD, encode(board))


def told(scene: Scene) -> None:
    """Take in the rates, and answer those who had to wait for one of them."""
    if scene.state.key != RATES:
        return
    board = decode_board(scene.item.body)
    scene.decision.puts[_BOARD] = board
    for name, waiting in scene.state.of_kind(Kind.RATE_WANTED):
        if not isinstance(waiting, Wanted):
            continue
        quote = board.quote(waiting.source, waiting.target, scene.item.at)
        if not quote.problem:
            scene.decision.puts[(Kind.RATE_WANTED.value, name)] = None
            _answer(scene, waiting.key, quote)


def wanted(scene: Scene) -> None:
    """Answer a key with the rate there is now, or why there is none."""
    if scene.state.key != RATES:
        return
    asked = decode_wanted(scene.item.body)
    board = scene.state.values.get(_BOARD)
    known = board if isinstance(board, Board) else NO_RATES
    quote = known.quote(asked.source, asked.target, scene.item.at)
    slot = (Kind.RATE_WANTED.value, f"{asked.key} {asked.source}/{asked.target}")
    if not quote.problem:
        if slot in scene.state.values:
            scene.decision.puts[slot] = None
    elif sum(kind == Kind.RATE_WANTED for kind, _ in scene.state.values) < MOST_WAITING:
        scene.decision.puts[slot] = asked
    _answer(scene, asked.key, quote)


def ask(scene: Scene, pair: Pair) -> None:
    """Ask the board for a rate, once for all that need it in the same decision."""
    body = encode(Wanted(scene.state.key, *pair))
    mail = scene.decision.writing().mail
    if not any(each.ref == WANTED and each.body == body for each in mail):
        mail.append(NewInput(partition_of(RATES), InputKind.COMMAND, RATES, WANTED, body))


def answer_to(scene: Scene) -> Quote | None:
    """Return what the board says, where that is the input."""
    item = scene.item
    is_answer = item.kind == InputKind.COMMAND and item.ref == KNOWN
    return decode_quote(item.body) if is_answer else None


def rate_for(scene: Scene, pair: Pair) -> Quote | None:
    """Return the rate there is for a pair in this very input; there is none in any other."""
    quote = answer_to(scene)
    return quote if quote is not None and quote.pair == pair and not quote.problem else None


def pair_of(do: Do, account: AccountRow) -> Pair | None:
    """Return from which currency to which a step's amount has to be converted; None where it need not be."""
    if do.verb.risk is not Risk.MONEY:
        return None
    amount = do.params.get("amount")
    source = amount.expression.type.currency if isinstance(amount, Computed) else None
    if source is None or source == account.currency:
        return None
    return source, account.currency or ""


def _answer(scene: Scene, key: str, quote: Quote) -> None:
    told_to = NewInput(partition_of(key), InputKind.COMMAND, key, KNOWN, encode(quote))
    scene.decision.writing().mail.append(told_to)
