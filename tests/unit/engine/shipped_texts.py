"""What `hub explain` says of the shipped workflows on groups, clients and challenges, and of the blueprints."""

AB_BOOK_ROUTING = """\
Move accounts that win steadily, or trade in seconds, to the A-book, and those that lose back to the B-book (ab-book-routing, shadow)
  Shadow: it decides and records, and sends nothing. Owner: dealing.
  For every account, where the account's type is real and the account's group is one of real/std-a (params.a_book), real/std-b (params.b_book).
  With these values:
    params.trades = 50 (Trades of 30 days below which nobody is judged)
    params.profit = 5000 (Profit of 30 days from which a steady winner goes to the A-book)
    params.wins = 60 % (Trades that won)
    params.quick = 50 % (Trades that were closed within a minute)
    params.loss = 1000 (Loss of 30 days from which an account goes back to the B-book)
    params.a_book = real/std-a (Group that is passed on to the market)
    params.b_book = real/std-b (Group of the B-book)
  Counts, for each account:
    profit_30d: the sum of net profit base, over every trade.closed, in the last 30 days. A trade.cancelled with the same deal takes its part out again.
    trades_30d: the number of trade.closed events, in the last 30 days. A trade.cancelled with the same deal takes its part out again.
    wins_30d: the number of trade.closed events where net profit is greater than 0, in the last 30 days. A trade.cancelled with the same deal takes its part out again.
    quick_30d: the number of trade.closed events where closing time - opening time is shorter than 1 minute, in the last 30 days. A trade.cancelled with the same deal takes its part out again.
  Starts:
    wins: each time this turns true: trades_30d is at least 50 (params.trades) and profit_30d is at least 5000 (params.profit) and wins_30d is at least trades_30d * 60 / 100 (params.wins = 60 %).
    quick: each time this turns true: trades_30d is at least 50 (params.trades) and profit_30d is greater than 0 and quick_30d is at least trades_30d * 50 / 100 (params.quick = 50 %).
    loses: each time this turns true: trades_30d is at least 50 (params.trades) and profit_30d is at most -1000 (params.loss = 1000).
    What is so already when the hub first looks does not count. Events the hub learns of afterwards, such as after an outage, count as well.
  At most once in 7 days for each account; what that holds back is not made up for later.
  Then, if it were live:
    1. If it was started by loses and the account's group is real/std-a (params.a_book):
         1. Moves the account to the group real/std-b (params.b_book), if it is still in the group real/std-a (params.a_book).
            If the broker refuses it, the run fails here.
       Otherwise, if it was not started by loses and the account's group is real/std-b (params.b_book):
         1. Moves the account to the group real/std-a (params.a_book), if it is still in the group real/std-b (params.b_book).
            If the broker refuses it, the run fails here.
       Otherwise:
         1. Ends the run: it is where it belongs.
    2. Publishes the event custom.book_changed to your systems, with login = the account's login, reason = the name of what started it, profit = profit_30d, trades = trades_30d, wins = wins_30d, quick = quick_30d.
  The events:
    trade.closed: A position was closed, whole or in part.
    trade.cancelled: The named deal was taken back by the dealer.
"""
CHALLENGE_PASSED = """\
Pass a challenge with 8 % of profit on at least 4 trading days, no day of which made more than 40 % of it (challenge-passed, shadow)
  Shadow: it decides and records, and sends nothing. Owner: risk. Its actions go before all others.
  For every account, where the account's program is challenge and the account's status is active and the account's initial balance is greater than 0.
  With these values:
    params.target = 8 % (Profit in percent of the initial balance)
    params.days = 4 (Days on which a trade was opened)
    params.best_day = 40 % (The most the best day may have made of the profit)
  Counts, for each account:
    trading_days: the number of days with a trade.opened, by the clock of Europe/Prague, since the latest challenge.started (before the first, everything counts).
    best_day: what part of the sum of net profit the best day made, in percent, over every trade.closed, by the clock of Europe/Prague, since the latest challenge.started (before the first, everything counts). A trade.cancelled with the same deal takes its part out again.
  Starts each time this turns true: the account's balance is at least the account's initial balance * (1 + 8 / 100) (params.target = 8 %) and trading_days is at least 4 (params.days) and best_day is at most 40 % (params.best_day) and the account's number of open positions is 0.
    What is so already when the hub first looks does not count. Events the hub learns of afterwards, such as after an outage, count as well.
  At most once ever for each account; what that holds back is not made up for later.
  Then, if it were live:
    1. Stops the account from trading, with comment = “Challenge passed”.
       If the broker refuses it, it is asked for again, 10 times at most, for the first time after 200 milliseconds, each pause 2 times the one before, none longer than 10 seconds. If it does not come about, the run goes on.
    2. Publishes the event challenge.passed to your systems, with program = the account's program, phase = the account's phase (empty if not known), rule = target, values = {balance = the account's balance, initial = the account's initial balance, days = trading_days, best_day = best_day rounded to 2 digits, locked = whether step lock succeeded}.
  The events:
    trade.opened: A position was opened.
    challenge.started: A challenge began.
    trade.closed: A position was closed, whole or in part.
    trade.cancelled: The named deal was taken back by the dealer.
"""
GROUP_DEMOTION = """\
Move VIP accounts back to the standard group when they traded fewer than 50 lots in 30 days (group-demotion, shadow)
  Shadow: it decides and records, and sends nothing. Owner: dealing.
  For every account, where the account's group is real/vip and the account's currency is USD.
  With these values:
    params.lots = 50 (Lots in 30 days; well below those of vip-promotion)
    params.group = real/std-usd (Where the account goes)
  Counts, for each account:
    lots_30d: the sum of volume in lots, over every trade.closed, in the last 30 days. A trade.cancelled with the same deal takes its part out again.
  Starts each time lots_30d becomes less than 50 (params.lots), and stays so for 14 days.
    What is so already when the hub first looks does not count. Events the hub learns of afterwards, such as after an outage, count as well.
  At most once in 30 days for each account; what that holds back is not made up for later.
  Then, if it were live:
    1. Moves the account to the group real/std-usd (params.group), if it is still in the group it was in before.
       If the broker refuses it, the run fails here.
       If the run fails later, it moves the account to the group it was in before, if it is still in the group real/std-usd (params.group).
    2. Publishes the event custom.client_demoted to your systems, with login = the account's login, lots = lots_30d.
  The events:
    trade.closed: A position was closed, whole or in part.
    trade.cancelled: The named deal was taken back by the dealer.
"""
KYC_GATE = """\
Switch trading off for accounts of clients whose identity is not confirmed, and on once it is (kyc-gate, shadow)
  Shadow: it decides and records, and sends nothing. Owner: compliance.
  For every client, over all accounts of the client.
  With these values:
    params.page = https://example.com/verify (Where the reminder leads to)
  Starts:
    opened: with every account.created where the account's type is real and the client's KYC state (empty if not known) is not confirmed.
    linked: with every client.linked where the account's type is real and the client's KYC state (empty if not known) is not confirmed and (the account may trade (so too where that is not known)) and now - the account's time of registration is shorter than 2 days.
    Events the hub learns of afterwards, such as after an outage, count as well.
  At most 50 times in 1 day for each client; what that holds back is not made up for later.
  At most 50 runs for each client at a time; what would begin meanwhile does not happen.
  Then, if it were live:
    1. Stops the account from trading, with comment = “Identity not confirmed”.
       If the broker refuses it, it is asked for again, 10 times at most, for the first time after 1 second, each pause 2 times the one before, none longer than 1 minute. If it is refused for good, the run fails here.
    2. Waits until this holds: the client's KYC state is confirmed, for at most 7 days. If that time passes, it goes on.
    3. If step confirmed waited in vain:
         1. If the client's email is known:
              1. Sends a mail to the client's email with the subject “Account [the account's login] waits for your documents”:
                 | Dear [the client's first name, or “client”],
                 |
                 | you can trade on account [the account's login] as soon as we know who you are: [https://example.com/verify (params.page)]
         2. Waits until this holds: the client's KYC state is confirmed, for at most 83 days. If that time passes, it goes on.
         3. If step later waited in vain:
              1. Publishes the event custom.kyc_overdue to your systems, with client = the client's id, login = the account's login.
              2. Ends the run: not confirmed in 90 days.
    4. Lets the account trade again, with comment = “Identity confirmed”.
       If the broker refuses it, it is asked for again, 10 times at most, for the first time after 1 second, each pause 2 times the one before, none longer than 1 minute.
  The events:
    account.created: An account was opened.
    client.linked: An account was linked to a client.
"""
LOSS_COACHING_EMAIL = """\
Offer the course to clients who lost more than 1000 in 7 days, over all their accounts (loss-coaching-email, live)
  Live: what it decides is done. Owner: retention. Its actions go after all others.
  For every client, over all accounts of the client, where the client agreed to marketing and the client's email is known.
  With these values:
    params.loss = 1000 (Realised loss of 7 days, in the base currency)
    params.page = https://example.com/course (Where the mail leads to)
  Counts, for each client:
    loss_7d: the sum of net profit base without its sign, over every trade.closed where the account's type is real and net profit base is less than 0, in the last 7 days. A trade.cancelled with the same deal takes its part out again.
  Starts each time loss_7d becomes greater than 1000 (params.loss).
    What is so already when the hub first looks does not count. Events the hub learns of afterwards, such as after an outage, do not start it.
  At most once in 30 days for each client; what that holds back is not made up for later.
  Not between 21:00 and 08:00, by the clock of the client's time zone (UTC if not known); what would begin then waits until 08:00.
  Then:
    1. Sends a mail to the client's email with the subject of its message, as marketing: only to clients who agreed to that.
       The message is loss-coaching, version 886bde26507b, in en, or in de for clients who speak it:
       subject:
       | A course you may like
       | Dear [the client's first name, or “client”],
       |
       | the last days were not easy. Our course on risk is free for you: [https://example.com/course (params.page)]
       | If you would rather talk to somebody, answer this message.
       html:
       | <p>Dear [the client's first name, or “client”],</p>
       | <p>the last days were not easy. Our <a href="[https://example.com/course (params.page)]">course on risk</a> is free for you.</p>
       | <p>If you would rather talk to somebody, answer this message.</p>
  The events:
    trade.closed: A position was closed, whole or in part.
    trade.cancelled: The named deal was taken back by the dealer.
"""
LOSS_COACHING_SMS = """\
Offer a call to clients who lost more than 5000 in 7 days, by text message (loss-coaching-sms, shadow)
  Shadow: it decides and records, and sends nothing. Owner: retention. Its actions go after all others.
  For every client, over all accounts of the client, where the client agreed to marketing and the client's phone is known.
  With these values:
    params.loss = 5000 (Realised loss of 7 days, in the base currency)
  Counts, for each client:
    loss_7d: the sum of net profit base without its sign, over every trade.closed where the account's type is real and net profit base is less than 0, in the last 7 days. A trade.cancelled with the same deal takes its part out again.
  Starts each time loss_7d becomes greater than 5000 (params.loss).
    What is so already when the hub first looks does not count. Events the hub learns of afterwards, such as after an outage, do not start it.
  At most once in 30 days for each client; what that holds back is not made up for later.
  Not between 20:00 and 09:00, by the clock of the client's time zone; what would begin then waits until 09:00. Where that is not known, nothing happens.
  Then, if it were live:
    1. Sends a text message to the client's phone, as marketing: only to clients who agreed to that.
       The message is loss-coaching, version 886bde26507b, in en, or in de for clients who speak it:
       | [the client's first name, or “Hello”], would you like to talk about your last days on the market? Answer YES and we call you.
  The events:
    trade.closed: A position was closed, whole or in part.
    trade.cancelled: The named deal was taken back by the dealer.
"""
MARGIN_CALL = """\
Warn a client at 120 % margin level that lasts, and call for margin at 100 % at once (margin-call, shadow)
  Shadow: it decides and records, and sends nothing. Owner: risk. Its actions go before all others.
  For every account, where the account's type is real and the account's number of open positions is greater than 0 and the client's id is known.
  Starts:
    warning: each time the account's margin level falls below 120 %, and stays so for 30 seconds (begun anew when the feed was away meanwhile); again only after it came back to 125 %.
    call: each time the account's margin level falls below 100 %; again only after it came back to 105 %.
    What is so already when the hub first looks does not count.
  At most 4 times in 1 day for each account and each way it starts; what that holds back is not made up for later.
  At most 2 runs for each account at a time; what would begin meanwhile does not happen.
  Then, if it were live:
    1. Sends a push message to the client, unless it is 10 minutes late by then.
       Which message it is: (margin-call if it was started by call, otherwise margin-warning).
       The message is margin-call, version 8b61304966e2, in en, or in de for clients who speak it:
       title:
       | Margin call
       | Account [the account's login] is at [the value that passed the limit] %. Pay in or close positions, or the platform will close them.
       The message is margin-warning, version 983493371d51, in en, or in de for clients who speak it:
       title:
       | Margin level
       | Account [the account's login] is at [the value that passed the limit] % margin level.
"""
RISK_GROUP = """\
Move accounts to the risk group when their equity passes 50,000, and back below 40,000 (risk-group, shadow)
  Shadow: it decides and records, and sends nothing. Owner: risk.
  For every account, where the account's currency is USD and the account's group is one of real/std-usd (params.usual), real/risk-usd (params.risk).
  With these values:
    params.up = 50000 (Equity at which an account goes to the risk group)
    params.down = 40000 (Equity at which it goes back; below the other)
    params.usual = real/std-usd (Group of accounts below the threshold)
    params.risk = real/risk-usd (Group of those above it)
  Starts:
    up: each time the account's equity rises above 50000 (params.up), and stays so for 1 hour (begun anew when the feed was away meanwhile); again only after it came back to 40000 (params.down). What is so already when the hub first looks counts as well.
    down: each time the account's equity falls below 40000 (params.down), and stays so for 1 hour (begun anew when the feed was away meanwhile); again only after it came back to 50000 (params.up). What is so already when the hub first looks does not count.
  At most twice in 7 days for each account and each way it starts; what that holds back is not made up for later.
  Then, if it were live:
    1. If it was started by up and the account's group is real/std-usd (params.usual):
         1. Moves the account to the group real/risk-usd (params.risk), if it is still in the group real/std-usd (params.usual).
            If the broker refuses it, the run fails here.
       Otherwise, if it was started by down and the account's group is real/risk-usd (params.risk):
         1. Moves the account to the group real/std-usd (params.usual), if it is still in the group real/risk-usd (params.risk).
            If the broker refuses it, the run fails here.
       Otherwise:
         1. Ends the run: it is there already.
    2. Publishes the event custom.risk_group_changed to your systems, with login = the account's login, way = the name of what started it, equity = the value that passed the limit, limit = the limit that was passed.
"""
VOLATILITY_GUARD = """\
Ask the dealing desk to let a symbol be closed only, when it moved 2 % in 5 minutes or its spread is 5 times as wide as usual (volatility-guard, shadow)
  Shadow: it decides and records, and sends nothing. Owner: dealing. Its actions go before all others.
  For every symbol, whoever trades it.
  With these values:
    params.move = 2 % (Between the lowest and the highest price within 5 minutes)
    params.wide = 5 (Times the mean spread of a day)
    params.readings = 60 (Spreads of a day below which nobody knows what is usual)
  Counts, for each symbol:
    high: the largest price, over every trade.opened, in the last 5 minutes.
    low: the smallest price, over every trade.opened, in the last 5 minutes.
    usual: the average of the number in spread, over every custom.spread, in the last 1 day.
    readings: the number of custom.spread events, in the last 1 day.
  Starts:
    move: with every trade.opened where high - low is at least low * 2 / 100 (params.move = 2 %).
    spread: with every custom.spread where readings is at least 60 (params.readings) and the number in spread is at least usual * 5 (params.wide = 5).
    Events the hub learns of afterwards, such as after an outage, do not start it.
  At most once in 1 hour for each symbol; what that holds back is not made up for later.
  Then, if it were live:
    1. Calls somebody on duty in the team dealing: “[the symbol's name] on [the account's server] ([the name of what started it]): may it be closed only?”
    2. Waits to be approved by a person with the permission symbols.approve.
       They see what would be done from here on, and the event and its values.
       They are asked: “Let [the symbol's name] on [the account's server] be closed only?”
       One who declines is enough. If it is not decided within 10 minutes, it counts as rejected. What was approved is what is done, with the values of that moment.
    3. If desk was approved:
         1. Changes the symbol, with trade mode = close_only.
            A person has to approve it.
            If the broker refuses it, the run fails here.
    4. Publishes the event custom.symbol_guarded to your systems, with symbol = the symbol's name, reason = the name of what started it, decision = what was decided at desk.
  The events:
    trade.opened: A position was opened.
"""
WEEKEND_HOLDING = """\
Close what a challenge still holds on Friday at 22:00, and from the second time on fail it (weekend-holding, shadow)
  Shadow: it decides and records, and sends nothing. Owner: risk. Its actions go before all others.
  For every account, where the account's program is challenge and the account's status is active and the account's number of open positions is greater than 0.
  With these values:
    params.forgiven = 1 (Weekends that are forgiven)
  Counts, for each account:
    held: the number of custom.weekend_held events, since the hub began to count.
  Starts at 22:00 on Friday, by the clock of Europe/Prague. Of moments the hub missed the last one counts, up to 2 hours late.
  At most once in 1 day for each account; what that holds back is not made up for later.
  Then, if it were live:
    1. Keeps under the name before: times = held + 1, positions = the account's number of open positions.
    2. Closes the account's positions.
       Only if, on a fresh look, the account's number of open positions is greater than 0.
       If it does not come about, the run goes on.
    3. If the reason of step look (empty if not known) starts with “guard: account.open_positions > 0 is false”:
         1. Ends the run: the account is flat by now.
    4. Cancels the account's pending orders.
       If the broker refuses it, it is asked for again, 10 times at most, for the first time after 200 milliseconds, each pause 2 times the one before, none longer than 10 seconds. If it does not come about, the run goes on.
    5. Closes the account's positions.
       If the broker refuses it, it is asked for again, 15 times at most, for the first time after 500 milliseconds, each pause 2 times the one before, none longer than 15 seconds. If it does not come about, the run goes on.
    6. Publishes the event custom.weekend_held to your systems, with login = the account's login, positions = the positions kept as before, times = the times kept as before, flat = whether step flat succeeded.
    7. If the times kept as before is greater than 1 (params.forgiven):
         1. Disables the account.
            If the broker refuses it, it is asked for again, 10 times at most, for the first time after 200 milliseconds, each pause 2 times the one before, none longer than 10 seconds. If it is refused for good, the run fails here.
         2. Publishes the event challenge.failed to your systems, with program = the account's program, rule = weekend_holding, values = {times = the times kept as before, flat = whether step flat succeeded}.
"""
DAILY_LOSS = """\
Breach a challenge that loses more than a share of its balance in a day (daily-loss, off)
  Off: nobody looks at it, and nothing happens. Owner: risk. Its actions go before all others.
  For every account, where the account's program is challenge (params.program) and the account's status is active and the account's initial balance is greater than 0.
  With these values:
    params.loss = 5 % (The loss of a day that is allowed)
    params.basis = balance (What a day begins with: balance or equity; anything else is the higher of the two, the strictest)
    params.of_initial = true (Whether the share is of the initial balance; else it is of what the day began with)
    params.program = challenge (The program of the accounts)
  Remembers, for each account:
    day_start: (the account's balance if balance (params.basis) is balance, otherwise (the account's equity if balance (params.basis) is equity, otherwise the largest of the account's balance, the account's equity)), whenever it is 00:00 by the clock of Europe/Prague; until the first time, the account's initial balance.
  Starts each time the account's equity falls below day_start - (the account's initial balance if params.of_initial is true (set to true), otherwise day_start) * 5 / 100 (params.of_initial = true, params.loss = 5 %); again only after it came back to the limit.
    What is so already when the hub first looks does not count.
  At most once ever for each account; what that holds back is not made up for later.
  Then it would:
    1. Stops the account from trading, with comment = “Daily loss limit”.
       If the broker refuses it, it is asked for again, 10 times at most, for the first time after 200 milliseconds, each pause 2 times the one before, none longer than 10 seconds. If it does not come about, the run goes on.
    2. Cancels the account's pending orders.
       If the broker refuses it, it is asked for again, 10 times at most, for the first time after 200 milliseconds, each pause 2 times the one before, none longer than 10 seconds. If it does not come about, the run goes on.
    3. Closes the account's positions.
       If the broker refuses it, it is asked for again, 15 times at most, for the first time after 500 milliseconds, each pause 2 times the one before, none longer than 15 seconds. If it does not come about, the run goes on.
    4. Disables the account.
       If the broker refuses it, it is asked for again, 10 times at most, for the first time after 200 milliseconds, each pause 2 times the one before, none longer than 10 seconds. If it is refused for good, the run fails here.
    5. Publishes the event challenge.failed to your systems, with program = the account's program, rule = daily_loss, values = {equity = the value that passed the limit, limit = the limit that was passed, flat = whether step flat succeeded}.
  When a run fails:
    1. Publishes the event challenge.failed to your systems, with program = the account's program, rule = daily_loss, values = {equity = the value that passed the limit, limit = the limit that was passed, flat = whether step flat succeeded (false if not known), error = why it failed}.
"""
EOD_TRAILING = """\
Breach a challenge a share of its initial balance below the highest balance any day ended with (eod-trailing, off)
  Off: nobody looks at it, and nothing happens. Owner: risk. Its actions go before all others.
  For every account, where the account's program is challenge (params.program) and the account's status is active and the account's initial balance is greater than 0.
  With these values:
    params.loss = 10 % (The loss that is allowed in percent of the initial balance)
    params.locks = false (Whether the limit ever stops)
    params.profit_locked = 0 % (How far above the initial balance the limit stops, in percent of it)
    params.program = challenge (The program of the accounts)
  Remembers, for each account:
    funded: the largest value ever of the account's balance.
    day_end: the account's balance, whenever it is 00:00 by the clock of Europe/Prague; until the first time, the account's initial balance.
    high: the largest value ever of day_end, beginning with the account's initial balance.
  Starts each time the account's equity falls below (the smallest of (high - the account's initial balance * 10 / 100 (params.loss = 10 %)), (the account's initial balance * (1 + 0 / 100) (params.profit_locked = 0 %) if params.locks is true (set to false), otherwise high) if funded (1 if not known) is greater than 0, otherwise 0); again only after it came back to the limit.
    What is so already when the hub first looks counts as well.
  At most once ever for each account; what that holds back is not made up for later.
  Then it would:
    1. Stops the account from trading, with comment = “Trailing loss limit”.
       If the broker refuses it, it is asked for again, 10 times at most, for the first time after 200 milliseconds, each pause 2 times the one before, none longer than 10 seconds. If it does not come about, the run goes on.
    2. Cancels the account's pending orders.
       If the broker refuses it, it is asked for again, 10 times at most, for the first time after 200 milliseconds, each pause 2 times the one before, none longer than 10 seconds. If it does not come about, the run goes on.
    3. Closes the account's positions.
       If the broker refuses it, it is asked for again, 15 times at most, for the first time after 500 milliseconds, each pause 2 times the one before, none longer than 15 seconds. If it does not come about, the run goes on.
    4. Disables the account.
       If the broker refuses it, it is asked for again, 10 times at most, for the first time after 200 milliseconds, each pause 2 times the one before, none longer than 10 seconds. If it is refused for good, the run fails here.
    5. Publishes the event challenge.failed to your systems, with program = the account's program, rule = eod_trailing, values = {equity = the value that passed the limit, limit = the limit that was passed, flat = whether step flat succeeded}.
  When a run fails:
    1. Publishes the event challenge.failed to your systems, with program = the account's program, rule = eod_trailing, values = {equity = the value that passed the limit, limit = the limit that was passed, flat = whether step flat succeeded (false if not known), error = why it failed}.
"""
INTRADAY_TRAILING = """\
Breach a challenge an amount below its highest equity, with a limit that stops where the account began (intraday-trailing, off)
  Off: nobody looks at it, and nothing happens. Owner: risk. Its actions go before all others.
  For every account, where the account's program is challenge (params.program) and the account's status is active and the account's initial balance is greater than 0.
  With these values:
    params.drawdown = 2000 (Amount in the currency of the account)
    params.above = 0 (How far above the initial balance the limit stops; for one that never does, more than anybody wins)
    params.program = challenge (The program of the accounts)
  Remembers, for each account:
    funded: the largest value ever of the account's balance.
    peak: the largest value ever of the account's equity, between the events as well, beginning with the account's initial balance.
  Starts each time the account's equity falls below the smallest of (peak - 2000 (params.drawdown = 2000)), (the account's initial balance + 0 (params.above = 0) if funded (1 if not known) is greater than 0, otherwise 0); again only after it came back to the limit.
    What is so already when the hub first looks counts as well.
  At most once ever for each account; what that holds back is not made up for later.
  Then it would:
    1. Stops the account from trading, with comment = “Trailing loss limit”.
       If the broker refuses it, it is asked for again, 10 times at most, for the first time after 200 milliseconds, each pause 2 times the one before, none longer than 10 seconds. If it does not come about, the run goes on.
    2. Cancels the account's pending orders.
       If the broker refuses it, it is asked for again, 10 times at most, for the first time after 200 milliseconds, each pause 2 times the one before, none longer than 10 seconds. If it does not come about, the run goes on.
    3. Closes the account's positions.
       If the broker refuses it, it is asked for again, 15 times at most, for the first time after 500 milliseconds, each pause 2 times the one before, none longer than 15 seconds. If it does not come about, the run goes on.
    4. Disables the account.
       If the broker refuses it, it is asked for again, 10 times at most, for the first time after 200 milliseconds, each pause 2 times the one before, none longer than 10 seconds. If it is refused for good, the run fails here.
    5. Publishes the event challenge.failed to your systems, with program = the account's program, rule = intraday_trailing, values = {equity = the value that passed the limit, limit = the limit that was passed, flat = whether step flat succeeded}.
  When a run fails:
    1. Publishes the event challenge.failed to your systems, with program = the account's program, rule = intraday_trailing, values = {equity = the value that passed the limit, limit = the limit that was passed, flat = whether step flat succeeded (false if not known), error = why it failed}.
"""
STATIC_LOSS = """\
Breach a challenge that falls below a share of its initial balance, ever (static-loss, off)
  Off: nobody looks at it, and nothing happens. Owner: risk. Its actions go before all others.
  For every account, where the account's program is challenge (params.program) and the account's status is active and the account's initial balance is greater than 0.
  With these values:
    params.loss = 10 % (The loss that is allowed in percent of the initial balance)
    params.program = challenge (The program of the accounts)
  Remembers, for each account:
    funded: the largest value ever of the account's balance.
    start: the account's initial balance, when it is first known, and then for good.
  Starts each time the account's equity falls below (start * (1 - 10 / 100) (params.loss = 10 %) if funded (1 if not known) is greater than 0, otherwise 0); again only after it came back to the limit.
    What is so already when the hub first looks counts as well.
  At most once ever for each account; what that holds back is not made up for later.
  Then it would:
    1. Stops the account from trading, with comment = “Maximum loss limit”.
       If the broker refuses it, it is asked for again, 10 times at most, for the first time after 200 milliseconds, each pause 2 times the one before, none longer than 10 seconds. If it does not come about, the run goes on.
    2. Cancels the account's pending orders.
       If the broker refuses it, it is asked for again, 10 times at most, for the first time after 200 milliseconds, each pause 2 times the one before, none longer than 10 seconds. If it does not come about, the run goes on.
    3. Closes the account's positions.
       If the broker refuses it, it is asked for again, 15 times at most, for the first time after 500 milliseconds, each pause 2 times the one before, none longer than 15 seconds. If it does not come about, the run goes on.
    4. Disables the account.
       If the broker refuses it, it is asked for again, 10 times at most, for the first time after 200 milliseconds, each pause 2 times the one before, none longer than 10 seconds. If it is refused for good, the run fails here.
    5. Publishes the event challenge.failed to your systems, with program = the account's program, rule = max_loss, values = {equity = the value that passed the limit, limit = the limit that was passed, flat = whether step flat succeeded}.
  When a run fails:
    1. Publishes the event challenge.failed to your systems, with program = the account's program, rule = max_loss, values = {equity = the value that passed the limit, limit = the limit that was passed, flat = whether step flat succeeded (false if not known), error = why it failed}.
"""

SHIPPED_TEXTS = {
    "ab-book-routing": AB_BOOK_ROUTING,
    "challenge-passed": CHALLENGE_PASSED,
    "group-demotion": GROUP_DEMOTION,
    "kyc-gate": KYC_GATE,
    "loss-coaching-email": LOSS_COACHING_EMAIL,
    "loss-coaching-sms": LOSS_COACHING_SMS,
    "margin-call": MARGIN_CALL,
    "risk-group": RISK_GROUP,
    "volatility-guard": VOLATILITY_GUARD,
    "weekend-holding": WEEKEND_HOLDING,
}
BLUEPRINTS = {
    "daily-loss": DAILY_LOSS,
    "eod-trailing": EOD_TRAILING,
    "intraday-trailing": INTRADAY_TRAILING,
    "static-loss": STATIC_LOSS,
}
