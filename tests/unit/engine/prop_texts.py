"""The shipped prop rules in plain English, as `hub explain` says them."""

HEAD = """\
  Shadow: it decides and records, and sends nothing. Owner: risk. Its actions go before all others.
  For every account, where the account's program is challenge and the account's status is active \
and the account's initial balance is greater than 0.
"""
ONCE = """\
    What is so already when the hub first looks does not count.
  At most once ever for each account; what that holds back is not made up for later.
  Then, if it were live:
"""
AGAIN = """\
       If the broker refuses it, it is asked for again, 10 times at most, for the first time after 200 milliseconds, \
each pause 2 times the one before, none longer than 10 seconds."""
STEPS = f"""\
{AGAIN} If it does not come about, the run goes on.
    2. Cancels the account's pending orders.
{AGAIN} If it does not come about, the run goes on.
    3. Closes the account's positions.
       If the broker refuses it, it is asked for again, 15 times at most, for the first time after 500 milliseconds, \
each pause 2 times the one before, none longer than 15 seconds. If it does not come about, the run goes on.
    4. Disables the account.
{AGAIN} If it is refused for good, the run fails here.
    5. Publishes the event challenge.failed to your systems, with program = the account's program, rule = """
TOLD = """, \
values = {equity = the value that passed the limit, limit = the limit that was passed, \
flat = whether step flat succeeded}.
  When a run fails:
    1. Publishes the event challenge.failed to your systems, with program = the account's program, rule = """
FAILED = """, \
values = {equity = the value that passed the limit, limit = the limit that was passed, \
flat = whether step flat succeeded (false if not known), error = why it failed}.
"""


def breach(title: str, middle: str, comment: str, rule: str, *, at_once: bool = False) -> str:
    """Return the text of a rule; `at_once`: of what is below when it is first seen as well."""
    once = ONCE.replace("does not count", "counts as well") if at_once else ONCE
    lock = f"    1. Stops the account from trading, with comment = “{comment}”.\n"
    return f"{title}\n{HEAD}{middle}{once}{lock}{STEPS}{rule}{TOLD}{rule}{FAILED}"


PROP = {
    "prop-daily-loss": breach(
        "Breach a challenge that loses more than 5 % of its initial balance since midnight in Prague (prop-daily-loss, shadow)",
        """\
  With these values:
    params.loss = 5 % (Percent of the initial balance)
  Remembers, for each account:
    day_start: the account's balance, whenever it is 00:00 by the clock of Europe/Prague; until the first time, the account's initial balance.
  Starts each time the account's equity falls below day_start - the account's initial balance * 5 / 100 (params.loss = 5 %); again only after it came back to the limit.
""",
        "Daily loss limit",
        "daily_loss",
    ),
    "prop-max-loss": breach(
        "Breach a challenge that falls below 90 % of its initial balance, ever (prop-max-loss, shadow)",
        """\
  With these values:
    params.loss = 10 % (Percent of the initial balance)
  Remembers, for each account:
    funded: the largest value ever of the account's balance.
    start: the account's initial balance, when it is first known, and then for good.
  Starts each time the account's equity falls below (start * (1 - 10 / 100) (params.loss = 10 %) if funded (1 if not known) is greater than 0, otherwise 0); again only after it came back to the limit.
""",
        "Maximum loss limit",
        "max_loss",
        at_once=True,
    ),
    "prop-eod-trailing": breach(
        "Breach a challenge 10 % of the initial balance below the highest balance any day ended with (prop-eod-trailing, shadow)",
        """\
  With these values:
    params.loss = 10 % (Percent of the initial balance)
  Remembers, for each account:
    funded: the largest value ever of the account's balance.
    day_end: the account's balance, whenever it is 00:00 by the clock of Europe/Prague; until the first time, the account's initial balance.
    high: the largest value ever of day_end, beginning with the account's initial balance.
  Starts each time the account's equity falls below (high - the account's initial balance * 10 / 100 (params.loss = 10 %) if funded (1 if not known) is greater than 0, otherwise 0); again only after it came back to the limit.
""",
        "Trailing loss limit",
        "eod_trailing",
        at_once=True,
    ),
    "prop-intraday-trailing": breach(
        "Breach a challenge 2000 below its highest equity, until that is where it began (prop-intraday-trailing, shadow)",
        """\
  With these values:
    params.drawdown = 2000 (Amount in the currency of the account)
  Remembers, for each account:
    funded: the largest value ever of the account's balance.
    peak: the largest value ever of the account's equity, between the events as well, beginning with the account's initial balance.
  Starts each time the account's equity falls below the smallest of (peak - 2000 (params.drawdown = 2000)), (the account's initial balance if funded (1 if not known) is greater than 0, otherwise 0); again only after it came back to the limit.
""",
        "Trailing loss limit",
        "intraday_trailing",
        at_once=True,
    ),
}
