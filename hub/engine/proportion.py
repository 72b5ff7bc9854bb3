"""What a withdrawal leaves of a bonus that is taken back in proportion: pure.

Brokers' terms (Ultima Markets', as our vectors quote them) tell two cases apart. In profit, what lies above the
deposit may leave freely, and only what the withdrawal takes of the deposit counts:
    deducted = (deposit - (balance - withdrawn)) / deposit x credit.
In loss the whole balance is deposit:
    deducted = withdrawn / balance x credit.
Both are one: of min(deposit, balance) so much is left as the balance still covers, and so much of the bonus.
"""

from decimal import Context, Decimal

NOTHING, ALL = Decimal(0), Decimal(1)
# More digits than any amount has: a share is a quotient, rounded only when money is made of it.
_PRECISE = Context(prec=40)


def share_left(deposit: Decimal, balance: Decimal, withdrawn: Decimal) -> Decimal:
    """Return which part of the bonus stays, 0 to 1, when `withdrawn` leaves a `balance` that began as a `deposit`.

    The balance is the one before the withdrawal, without the bonus itself.
    """
    if withdrawn <= 0:
        return ALL
    covered = min(deposit, balance)
    if covered <= 0:
        return NOTHING
    left = _PRECISE.divide(_PRECISE.subtract(balance, withdrawn), covered)
    return min(ALL, max(NOTHING, left))


def of_share(amount: Decimal, share: Decimal) -> Decimal:
    return amount if share == ALL else _PRECISE.multiply(amount, share)


def both(share: Decimal, other: Decimal) -> Decimal:
    """Return what two withdrawals after each other leave."""
    return other if share == ALL else _PRECISE.multiply(share, other)
