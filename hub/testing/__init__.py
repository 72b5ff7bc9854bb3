"""The test kit: builders with defaults, and a store in a folder, for our tests and for those of our users."""

from hub.testing.facts import (
    MORNING,
    a_deposit,
    a_trade_closed,
    a_trade_opened,
    an_account,
    an_account_state,
    an_event,
    next_number,
)
from hub.testing.rows import a_delivery, an_attempt, an_endpoint, an_input, an_intent, settled
from hub.testing.store import awaited, open_store

__all__ = [
    "MORNING",
    "a_delivery",
    "a_deposit",
    "a_trade_closed",
    "a_trade_opened",
    "an_account",
    "an_account_state",
    "an_attempt",
    "an_endpoint",
    "an_event",
    "an_input",
    "an_intent",
    "awaited",
    "next_number",
    "open_store",
    "settled",
]
