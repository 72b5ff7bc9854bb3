"""What a hub recorded of two workflows, or of one in shadow and live: who was meant by only one of them."""

from collections.abc import Callable, Sequence

from hub.engine.backtest import Difference, Touch, difference, touch_of
from hub.engine.record import Record, steady
from hub.engine.rehearsed import amount_of
from hub.intents.intent import Intent, State

MOST = 100_000  # intents of one side
PAGE = 500


async def compare_recorded(record: Record, old: str, new: str, since: int, until: int) -> Difference:
    """Compare what the hub recorded for two workflows, in shadow or live; of one workflow, what it did live with its shadow."""
    left = await _intents(record, old, since, until)
    right = left if old == new else await _intents(record, new, since, until)
    if old == new:
        left = [intent for intent in left if intent.state is not State.SHADOW]
        right = [intent for intent in right if intent.state is State.SHADOW]
    currencies = await _currencies(record, {intent.account for intent in (*left, *right) if intent.account})
    complete = len(left) < MOST and len(right) < MOST
    return difference(_touches(left, currencies), _touches(right, currencies), complete=complete)


async def _intents(record: Record, workflow: str, since: int, until: int) -> list[Intent]:
    """Return the intents of a stretch of time, the oldest first."""
    found: list[Intent] = []
    after = ""
    while len(found) < MOST:
        page = await record.actions(after=after, limit=PAGE, workflow=workflow)
        found += [intent for intent in page.items if since <= intent.at < until]
        if page.next is None or (page.items and page.items[-1].at < since):
            break
        after = page.next
    return found[::-1]


async def _currencies(record: Record, accounts: set[str]) -> Callable[[str], str]:
    wanted = sorted(accounts)
    found: dict[str, str] = {}
    for start in range(0, len(wanted), PAGE):
        rows = await record.known(wanted[start : start + PAGE])
        for key, values in rows.items():
            account, _ = steady(key, values)
            if account is not None and account.currency:
                found[key] = account.currency
    return lambda account: found.get(account, "")


def _touches(intents: Sequence[Intent], currency: Callable[[str], str]) -> list[Touch]:
    return [touch_of(intent, currency(intent.account), amount_of(intent)) for intent in intents]
