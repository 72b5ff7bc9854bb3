"""What `hub explain` makes of every part of the language at once."""

from unit.engine.desk import a_workflow

from hub.engine.explain import explain
from hub.engine.load_text import load_text

EVERYTHING = """\
schema: 1
id: everything
title: Everything the language has
owner: nobody
mode: off
priority: critical
params:
  rate: {type: money, default: 2.50, currency: USD, about: Per lot}
  share: {type: percent, default: 12.5}
  floor: {type: number, default: -3}
  family: {type: string, default: real/}
  strict: {type: bool, default: true}
  rest: {type: duration, default: 90m}
scope: >-
  like(account.group, params.family + "*") and account.currency == "USD"
  and (client.consent_marketing or not has(client.email)) and params.strict
aggregates:
  lots:
    from: trade.closed
    sum: event.lots
    where: event.symbol_class in ["fx"]
    window: {calendar: day, tz: America/New_York, daily_at: "17:00"}
    retract: {event: trade.cancelled, ref: event.deal}
  deals: {from: trade.closed, count: true, window: lifetime}
  best: {from: trade.closed, max: event.net_profit - event.commission, window: {sliding: 36h}}
  mean: {from: balance.deposited, avg: event.amount, window: {calendar: quarter, tz: UTC}}
  least: {from: balance.deposited, min: event.amount, window: {sliding: 500ms}}
when:
  - {id: paid, event: balance.*, where: event.amount > 100 and not event.is_first, on_replay: fire}
  - id: busy
    becomes: lots > 20 and deals >= 5 or best < params.floor
    for: 10m
    on_first: true
    on_replay: skip
  - {id: average, becomes: "mean >= max(least, 10) * 2"}
  - id: fall
    crosses:
      value: account.free_margin
      below: account.balance * (1 - params.share / 100)
      rearm: account.balance
  - {id: level, crosses: {value: account.margin_level, above: 500}, on_first: true}
  - {id: idle, absent: {event: trade.closed, where: event.lots > 1, within: 30d}}
  - id: forgotten
    absent: {event: custom.kyc_done, after: account.created, after_where: event.timestamp > now - days(1), within: 2h}
limit: {max: 2, every: forever, per: trigger}
run: {mode: parallel, max: 3}
self: true
quiet_hours: {from: "21:00", to: "08:00", tz: client.timezone, then: skip}
steps:
  - id: kept
    set: {pay: "= round(params.rate * lots, 2)", note: a b, rich: = account.balance > 1000, list: [1, = lots]}
  - wait: {for: 1s}
  - wait: {until: now + params.rest}
  - id: news
    wait: {event: trade.opened, where: event.symbol == "EURUSD", since: now, timeout: 7d, on_timeout: stop}
  - wait: {event: trade.*, timeout: 2h}
  - wait: {if: account.balance > 0 and account.enabled, timeout: 1d, on_timeout: fail}
  - choose:
      - if: not steps.news.timed_out
        steps:
          - id: bonus
            do: bonus.grant
            with: {amount: = params.rate * lots, comment: "For {{ lots }} lots"}
            retry: {max: 2, delay: 200ms, factor: 2, up_to: 10s}
      - if: default(steps.kept.rich, false)
        steps: [{stop: rich}]
      - else:
          - {do: account.disable}
  - if: 0.1 <= lots < 5
    then: [{do: account.disable_trading, on_error: continue}]
    else: [{stop: Enough.}]
  - do: notify.email
    with:
      to: ann@example.com
      subject: "Hi {% if lots %}you{% endif %}"
      text: |
        one
        two {{ client.first_name|d('friend')|upper }}
on_error:
  - do: event.publish
    with: {type: custom.failed, data: {why: = error.message, step: = error.step, what: = trigger.id}}
"""
EXPLAINED = """\
Everything the language has (everything, off)
  Off: nobody looks at it, and nothing happens. Owner: nobody. Its actions go before all others.
  For every account, where the account's group fits the pattern real/ followed by “*” (params.family = real/) \
and the account's currency is USD and (the client agreed to marketing or the client's email is not known) \
and params.strict is true (set to true).
  With these values:
    params.rate = 2.50 USD (Per lot)
    params.share = 12.5 %
    params.floor = -3
    params.family = real/
    params.strict = true
    params.rest = 90 minutes
  Counts, for each account:
    lots: the sum of volume in lots, over every trade.closed where symbol class is fx, \
since the day began by the clock of America/New_York, whose days begin at 17:00. \
A trade.cancelled with the same deal takes its part out again.
    deals: the number of trade.closed events, since the hub began to count.
    best: the largest (net profit - commission), over every trade.closed, in the last 36 hours.
    mean: the average of amount, over every balance.deposited, since the quarter began by the clock of UTC.
    least: the smallest amount, over every balance.deposited, in the last 500 milliseconds.
  Starts:
    paid: with every event of the kind balance.* where amount is greater than 100 and it is not the first. \
Events the hub learns of afterwards, such as after an outage, count as well.
    busy: each time this turns true: (lots is greater than 20 and deals is at least 5) \
or best is less than -3 (params.floor), and stays so for 10 minutes. \
What is so already when the hub first looks counts as well. \
Events the hub learns of afterwards, such as after an outage, do not start it.
    average: each time mean becomes at least (the largest of least, 10) * 2. \
What is so already when the hub first looks does not count. \
Events the hub learns of afterwards, such as after an outage, count as well.
    fall: each time the account's free margin falls below the account's balance * (1 - 12.5 / 100) \
(params.share = 12.5 %); again only after it came back to the account's balance. \
What is so already when the hub first looks does not count.
    level: each time the account's margin level rises above 500 %; again only after it came back to the limit. \
What is so already when the hub first looks counts as well.
    idle: when no trade.closed where volume in lots is greater than 1 came for 30 days; again only after one came.
    forgotten: when no custom.kyc_done came within 2 hours after an account.created where time is after now - 1 day.
    Its own effects may start it again.
  At most twice ever for each account and each way it starts; what that holds back is not made up for later.
  Not between 21:00 and 08:00, by the clock of the client's time zone; what would begin then does not happen. \
Where that is not known, nothing happens.
  At most 3 runs for each account at a time; what would begin meanwhile does not happen.
  Then it would:
    1. Keeps under the name kept: pay = (2.50 USD * lots (params.rate = 2.50 USD)) rounded to 2 digits, note = “a b”, \
rich = whether the account's balance is greater than 1000, list = [1, lots].
    2. Waits for 1 second.
    3. Waits until now + 90 minutes (params.rest = 90 minutes).
    4. Waits for a trade.opened where symbol is EURUSD, for at most 7 days. \
Only one that comes from now on counts. If that time passes, the run ends.
    5. Waits for an event of the kind trade.*, for at most 2 hours. \
One that came since the run began counts. If that time passes, it goes on.
    6. Waits until this holds: the account's balance is greater than 0 and the account is enabled, \
for at most 1 day. If that time passes, the run fails.
    7. If step news did not wait in vain:
         1. Gives the account a bonus of 2.50 USD * lots (params.rate = 2.50 USD), with comment = “For [lots] lots”.
            This moves money, once for each run. It is not taken back by itself.
            If the broker refuses it, it is asked for again, twice at most, for the first time after 200 milliseconds, \
each pause 2 times the one before, none longer than 10 seconds. If it is refused for good, the run fails here.
       Otherwise, if the rich kept as kept is true (not where that is not known):
         1. Ends the run: rich.
       Otherwise:
         1. Disables the account.
            If the broker refuses it, the run fails here.
    8. If lots is at least 0.1 and lots is less than 5:
         1. Stops the account from trading.
            If it does not come about, the run goes on.
       Otherwise:
         1. Ends the run: Enough.
    9. Sends a mail to ann@example.com with the subject “Hi {% if lots %}you{% endif %}”:
       | one
       | two [the client's first name, or “friend”]
  When a run fails:
    1. Publishes the event custom.failed to your systems, with why = why it failed, \
step = the step that failed, what = the name of what started it.
  The events:
    trade.closed: A position was closed, whole or in part.
    trade.cancelled: The named deal was taken back by the dealer.
    balance.deposited: Money came in.
    account.created: An account was opened.
    trade.opened: A position was opened.
"""


def test_a_workflow_that_uses_everything_reads_as_written_down():
    report = load_text(EVERYTHING, "everything.yaml")

    assert report.workflow is not None, report.problems
    assert explain(report.workflow).text() == EXPLAINED


AGGREGATES = """
aggregates:
  price: {from: trade.opened, last: event.price, window: {tumbling: 1h}}
  symbols: {from: trade.closed, distinct: event.symbol, window: {sliding: 7d}}
  active: {from: trade.closed, distinct_days: {tz: Europe/Prague, daily_at: "17:00"}, window: {sliding: 30d}}
  days_so_far: {from: trade.closed, where: event.lots > 1, distinct_days: true, window: {calendar: month, tz: UTC}}
when: [{becomes: price > 1 and symbols > 2 and active > 3 and days_so_far > 4}]
steps: [{do: event.publish, with: {type: custom.seen, data: {v: 1}}}]
"""


def test_what_counts_days_and_kinds_says_so():
    lines = explain(a_workflow(AGGREGATES)).lines

    assert lines[3:7] == (
        "  price: the latest price, over every trade.opened, since the current span of 1 hour began.",
        "  symbols: the number of different values of symbol, over every trade.closed, in the last 7 days.",
        "  active: the number of days with a trade.closed, by the clock of Europe/Prague, whose days begin at 17:00, in the last 30 days.",
        "  days_so_far: the number of days with a trade.closed where volume in lots is greater than 1, by the clock of UTC, since the month began by the clock of UTC.",
    )
