"""How the shipped workflows that promise something read in plain English."""

DEPOSIT_BONUS = """\
30 % credit on the first deposit of $100 or more, shrinking with what is withdrawn of it within 90 days (deposit-bonus, shadow)
  Shadow: it decides and records, and sends nothing. Owner: retention.
  For every account, where the account's type is real and the account's currency is USD.
  With these values:
    params.percent = 30 % (Credit as a part of the first deposit)
    params.least = 100 (The smallest deposit that counts)
    params.most = 3000 (The largest credit)
  Counts, for each account:
    first_deposit: the sum of amount, over every balance.deposited where it is the first, since the hub began to count.
  It would promise, if it were live:
    bonus: Gives the account a credit of the smallest of (30 / 100 * first_deposit (params.percent = 30 %)), 3000 (params.most), as long as first_deposit is at least 100 (params.least).
    It is booked as soon as that holds. Where it held before the workflow went live, nothing is booked.
    For 90 days after that it is worked out again with every event that changes something in it, and the difference is booked.
    Of a withdrawal, as much is taken back as it takes of the deposit, which is first_deposit; when the condition ends, all of it. Never more than the account's credit: where less is there, that is taken and the rest is reported and given up.
    Only one booking is under way at a time; one the broker refuses is asked for again when something else is owed.
    The comment on the statement: “Deposit bonus”.
  The events:
    balance.deposited: Money came in.
"""
MONTHLY_VOLUME_BONUS = """\
$2 per lot for every account above 20 lots in a calendar month (monthly-volume-bonus, shadow)
  Shadow: it decides and records, and sends nothing. Owner: retention.
  For every account, where the account's type is real and the account's currency is USD and the account's country is none of US, CA.
  With these values:
    params.rate = 2.00 USD (Credit for each lot of the month)
    params.min_lots = 20 (Lots an account has to pass)
  Counts, for each account:
    lots: the sum of volume in lots, over every trade.closed where symbol class is one of fx, metals, since the month began by the clock of Europe/Nicosia. A trade.cancelled with the same deal takes its part out again.
    withdrawn: the sum of amount, over every balance.withdrawn, since the end of the month by the clock of Europe/Nicosia.
  It would promise, if it were live, for each month by the clock of Europe/Nicosia:
    bonus: Gives the account a credit of 2.00 USD * lots (params.rate = 2.00 USD), as long as lots is greater than 20 (params.min_lots) and withdrawn is 0.
    It is booked 6 hours after the month is over.
    For 30 days after that it is worked out again with every event that changes something in it, and the difference is booked.
    What is owed no more is taken back. Never more than the account's credit: where less is there, that is taken and the rest is reported and given up.
    Only one booking is under way at a time; one the broker refuses is asked for again when something else is owed.
    The comment on the statement: “Volume bonus [the name of the period]: [lots] lots”.
  The events:
    trade.closed: A position was closed, whole or in part.
    trade.cancelled: The named deal was taken back by the dealer.
    balance.withdrawn: Money went out.
"""
