"""What `hub explain` says of the shipped workflows that are kept by client or position, or confirm and note."""

BREAK_EVEN_STOP = """\
Move the stop loss of a position in profit to its open price, if it is worse (break-even-stop, shadow)
  Shadow: it decides and records, and sends nothing. Owner: dealing. Its actions go before all others.
  For every position, where the position's open price is known and (the position's stop loss is not known or (the position's side is buy and the position's stop loss is less than the position's open price) or (the position's side is sell and the position's stop loss is greater than the position's open price)).
  With these values:
    params.profit = 100 (Profit of the position in the account's currency)
  Starts each time the position's profit reaches 100 (params.profit) or rises above it; again only after it came back to the limit.
    What is so already when the hub first looks counts as well.
  At most once ever for each position; what that holds back is not made up for later.
  Then, if it were live:
    1. Sets the stop loss of the position to the position's open price.
       If the broker refuses it, the run fails here.
    2. Publishes the event custom.stop_moved to your systems, with login = the account's login, position = the position's id, sl = the position's open price.
"""
CLIENT_EXPOSURE = """\
Tell the dealing desk when one client holds more than 50 lots over all his accounts (client-exposure, live)
  Live: what it decides is done. Owner: dealing. Its actions go before all others.
  For every client, over all accounts of the client.
  With these values:
    params.lots = 50 (Lots of currencies and metals, bought and sold together)
  Counts, for each client:
    exposure: the sum of volume in lots, over all open positions where the account's type is real and symbol class is one of fx, metals, as they stand now.
    positions_open: the number of open positions where the account's type is real, as they stand now.
    accounts_real: the number of accounts where type is real, as they stand now.
  Starts each time exposure becomes greater than 50 (params.lots).
    What is so already when the hub first looks does not count. Events the hub learns of afterwards, such as after an outage, do not start it.
  At most 4 times in 1 day for each client; what that holds back is not made up for later.
  Then:
    1. Publishes the event custom.client_exposed to your systems, with client = the client's id, lots = exposure, limit = 50 (params.lots), positions = positions_open, accounts = accounts_real.
"""
INACTIVITY = """\
Write to clients who have not traded on any of their accounts for 60 days (inactivity, live)
  Live: what it decides is done. Owner: retention. Its actions go after all others.
  For every client, over all accounts of the client, where the client agreed to marketing and the client's email is known.
  With these values:
    params.page = https://example.com/trade (Where the mail leads to)
  Starts when no event of the kind trade.* came for 60 days; again only after one came.
  At most twice in 365 days for each client; what that holds back is not made up for later.
  Not between 21:00 and 08:00, by the clock of the client's time zone (UTC if not known); what would begin then waits until 08:00.
  Then:
    1. Sends a mail to the client's email with the subject “We have not seen you for a while”:
       | Dear [the client's first name, or “client”],
       |
       | you have not traded for 60 days. Your accounts are open as before: [https://example.com/trade (params.page)]
       | If you would like to talk to somebody, answer this message.
"""
TRADE_CONFIRMATION = """\
Confirm every closed trade of a real account by mail (trade-confirmation, live)
  Live: what it decides is done. Owner: operations. Its actions go after all others.
  For every account, where the account's type is real and the client's email is known.
  Starts with every trade.closed.
    Events the hub learns of afterwards, such as after an outage, do not start it.
  Then:
    1. Sends a mail to the client's email with the subject “Account [the account's login]: [the event's symbol] closed”:
       | Dear [the client's first name, or “client”],
       |
       | account [the account's login], position [the event's position]: [the event's volume in lots] lots of [the event's symbol], [the event's side]
       | opened at [the event's open price, or “an unknown price”], closed at [the event's close price, or “an unknown price”]
       | result after commission, swap and fees: [the event's net profit, or “not told”] [the account's currency]
       |
       | If you did not expect this, answer this message at once.
  The events:
    trade.closed: A position was closed, whole or in part.
"""
UNUSUAL_ACTIVITY = """\
Note for compliance when a client pays in and takes most of it out again without trading (unusual-activity, live)
  Live: what it decides is done. Owner: compliance.
  For every client, over all accounts of the client.
  With these values:
    params.amount = 5000 (Paid in within 7 days, in the base currency)
    params.share = 80 % (Of it taken out again)
    params.lots = 1 (Traded since the latest large deposit)
  Counts, for each client:
    paid_in: the sum of amount base, over every balance.deposited, in the last 7 days.
    paid_out: the sum of amount base, over every balance.withdrawn, in the last 7 days.
    lots_since: the sum of volume in lots, over every trade.closed, since the latest balance.deposited where amount base is at least 5000 / 2 (params.amount = 5000) (before the first, nobody knows).
  Starts each time this turns true: paid_in is at least 5000 (params.amount) and paid_out is at least paid_in * 80 / 100 (params.share = 80 %) and lots_since is less than 1 (params.lots).
    What is so already when the hub first looks does not count. Events the hub learns of afterwards, such as after an outage, do not start it.
  At most once in 7 days for each client; what that holds back is not made up for later.
  Then:
    1. Publishes the event custom.compliance_note to your systems, with client = the client's id, paid in = paid_in, paid out = paid_out, lots = lots_since, reason = “paid in and taken out again without trading”.
  The events:
    balance.deposited: Money came in.
    balance.withdrawn: Money went out.
    trade.closed: A position was closed, whole or in part.
"""

CRM_DEPOSITS = """\
Tell the CRM of deposits, and have sales call about large ones (crm-deposits, shadow)
  Shadow: it decides and records, and sends nothing. Owner: sales.
  For every client, over all accounts of the client.
  With these values:
    params.large = 5000 (In the base currency; from here on somebody is to call)
  Starts with every balance.deposited where the account's type is real.
    Events the hub learns of afterwards, such as after an outage, do not start it.
  At most 10 runs for each client at a time; what would begin meanwhile does not happen.
  Then, if it were live:
    1. Writes the client into the CRM, with last_deposit = the event's amount, last_deposit_currency = the account's currency, last_deposit_on = the event's time.
       Waits for what comes of it for at most 1 hour.
       If it does not come about, the run goes on.
    2. Adds a note to the client in the CRM: “Paid in [the event's amount] [the account's currency] on account [the account's login]”.
       Waits for what comes of it for at most 1 hour.
       If it does not come about, the run goes on.
    3. If the event's amount base (0 if not known) is at least 5000 (params.large):
         1. Opens the task “Call [the client's first name, or “the client”] about a deposit of [the event's amount] [the account's currency]” at the client in the CRM, with due = 1d, priority = high.
  The events:
    balance.deposited: Money came in.
"""
KEYED = {
    "crm-deposits": CRM_DEPOSITS,
    "break-even-stop": BREAK_EVEN_STOP,
    "client-exposure": CLIENT_EXPOSURE,
    "inactivity": INACTIVITY,
    "trade-confirmation": TRADE_CONFIRMATION,
    "unusual-activity": UNUSUAL_ACTIVITY,
}
