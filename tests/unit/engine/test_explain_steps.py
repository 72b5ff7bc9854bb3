"""Branches, items, fresh looks and undo in plain English."""

from unit.engine.desk import a_workflow

from hub.engine.explain import explain

STEPS = """
scope: account.currency == "USD"
when: [{event: custom.go}]
limit: {max: 1, every: forever}
steps:
  - parallel:
      - {do: account.disable_trading, undo: none, timeout: 5s}
      - - {do: event.publish, with: {type: custom.a}}
  - for_each:
      in: event.amounts
      as: amount
      concurrency: 3
      max: 10
      steps:
        - id: pay
          do: credit.grant
          with: {amount: = amount}
          guard: account.free_margin > 5
          verify: account.credit >= amount
          undo: {do: credit.remove, with: {amount: = amount}}
    on_error: continue
  - {do: http.request, with: {method: POST, url: {base: https://crm.example, path: [a, = event.client]}, headers: {X: = secrets.key}, body: {a: 1}}, retry: {max: 2, delay: 1s}}
  - {stop: done}
"""
SAID = """\
  Then:
    1. Does these side by side, and goes on when all are at their end:
         Branch 1:
           1. Stops the account from trading.
              Waits for what comes of it for at most 5 seconds. It may happen yet, and is not asked for again.
              If the broker refuses it, the run fails here.
         Branch 2:
           1. Publishes the event custom.a to your systems.
       If a branch fails, the others end as soon as they can, and the run fails.
    2. For each amount of the event's amounts, 3 at a time, at most 10 items:
         1. Gives the account a credit of amount.
            This moves money, once for each run.
            Only if, on a fresh look, the account's free margin is greater than 5.
            Afterwards it looks whether the account's credit is at least amount.
            If the broker refuses it, the run fails here.
            If the run fails later, it takes a credit of amount away from the account.
       If an item fails, it goes on with the others.
    3. Asks another system, with POST at https://crm.example/a/[the event's client], with the headers X = the secret key, sending {a = 1}.
       If the other system takes no requests for now, it is asked for again, twice at most, for the first time after 1 second. \
If no such answer comes, the run fails here.
    4. Ends the run: done.
"""


def test_steps_that_do_several_things_read_as_written_down():
    text = explain(a_workflow(STEPS)).text()

    assert text[text.index("  Then:") :] == SAID
