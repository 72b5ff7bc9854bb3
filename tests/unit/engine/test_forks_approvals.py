"""People who are asked in a branch, and what they approve there."""

import msgspec
import pytest
from unit.engine.desk import a_workflow
from unit.engine.test_approvals import Town
from unit.engine.test_forks import left_behind, published

from hub.engine.load_text import load_text
from hub.intents.http_request import Call, SecretRef

HEAD = "when: [{event: custom.go}]\nlimit: {max: 99, every: forever}\n"
ASK = "{id: %s, approve: {permission: money.approve, within: 24h}}"
EACH = f"""
scope: account.currency == "USD"
steps:
  - for_each:
      in: event.amounts
      as: amount
      concurrency: 3
      steps:
        - {ASK % "ok"}
        - if: not steps.ok.rejected
          then: [{{id: pay, do: credit.grant, with: {{amount: = amount}}}}]
  - {{id: lock, do: account.disable}}
"""


def a_town(steps, **header):
    town = Town(a_workflow(HEAD + steps, **header))
    town.account(group="std", currency="USD", digits=2)
    return town


def test_every_item_is_a_question_of_its_own_and_is_approved_with_its_own_values():
    town = a_town(EACH)
    town.tell("custom.go", amounts=[5, 7, 9])
    first, second, third = town.rows.values()
    shown = [msgspec.json.decode(each.shown)["actions"] for each in (first, second, third)]
    assert [[action["params"] for action in actions] for actions in shown] == [
        [{"amount": "5.00"}], [{"amount": "7.00"}], [{"amount": "9.00"}],
    ], "what follows the branch is no matter of it"  # fmt: skip

    town.restart()
    (pay,) = town.says("dora", of=second)
    assert (pay.params, pay.key) == (b'{"amount":"7.00"}', f"{pay.run}/pay/1")
    assert town.says("dora", "decline", of=first) == []
    town.outcome(pay)
    (pay,) = town.says("dora", of=third)
    (lock,) = town.outcome(pay)

    assert (pay.key, lock.verb) == (f"{pay.run}/pay/2", "account.disable")
    town.outcome(lock)
    assert left_behind(town) == []


def test_a_question_of_a_branch_is_withdrawn_when_another_fails():
    town = a_town(f"""
steps:
  - parallel:
      - [{ASK % "ok"}, {{do: event.publish, with: {{type: custom.approved}}}}]
      - {{id: lock, do: account.disable}}
""")
    (lock,) = town.tell("custom.go")
    assert town.asked.state == "open"
    town.outcome(lock, "rejected", reason="no rights")

    assert town.asked.state == "withdrawn"
    assert town.says("dora") == []
    assert published(town) == []
    assert town.timers == {}
    assert left_behind(town) == []


def test_what_is_shown_before_a_fork_is_what_every_branch_may_do():
    town = a_town(f"""
steps:
  - {ASK % "ok"}
  - parallel:
      - [{{stop: enough}}]
      - [{{id: lock, do: account.disable}}]
      - [{{for_each: {{in: event.amounts, as: x, steps: [{{id: close, do: position.close, with: {{position: = x}}}}]}}}}]
""")
    town.tell("custom.go", amounts=[5])

    assert [(each["step"], each.get("later")) for each in town.shown["actions"]] == [
        ("lock", None),
        ("close", ["position"]),
    ]


def test_a_request_that_was_approved_still_names_its_secrets():
    town = a_town(f"""
steps:
  - {ASK % "ok"}
  - id: crm
    do: http.request
    with: {{method: POST, url: {{base: = secrets.crm_url}}, auth: {{bearer: = secrets.crm_token}}, body: {{n: = event.n}}}}
""")
    town.tell("custom.go", n=5)
    assert town.shown["actions"][0]["params"]["auth"] == {"bearer": {"secret": "crm_token"}}
    town.restart()
    (request,) = town.says("dora")

    call = Call.model_validate_json(request.params)
    assert (call.url.base, call.auth.bearer) == (SecretRef(secret="crm_url"), SecretRef(secret="crm_token"))


@pytest.mark.parametrize(
    ("steps", "complaint"),
    [
        (f"[{{parallel: [[{ASK % 'ok'}]]}}, {{id: c, do: balance.charge, with: {{amount: 5}}}}]", "balance.charge always needs a person's approval: add an `approve` step before it"),
        (f"[{ASK % 'ok'}, {{id: c, do: balance.deposit, with: {{amount: 5}}, undo: {{do: balance.charge, with: {{amount: 5}}}}}}]", "balance.charge always needs a person's approval, and taking back waits for nobody"),
    ],
)  # fmt: skip
def test_an_approval_in_a_branch_is_for_what_follows_in_it(steps, complaint):
    report = load_text(
        f'schema: 1\nid: rule\ntitle: t\nowner: t\nscope: account.currency == "USD"\n{HEAD}steps: {steps}\n',
        "w.yaml",
    )

    assert [
        str(problem).partition("error: ")[2] for problem in report.problems if "error" in str(problem)
    ] == [complaint]


def test_a_question_of_a_branch_is_withdrawn_when_another_ends_the_run_at_once():
    town = a_town(f"""
steps:
  - parallel:
      - [{ASK % "ok"}, {{id: pay, do: credit.grant, with: {{amount: 5}}}}]
      - [{{stop: enough}}]
""" + 'scope: account.currency == "USD"\n')  # fmt: skip
    town.tell("custom.go")

    (asked,) = town.rows.values()
    assert asked.state == "withdrawn"
    assert town.says("dora", of=asked) == []
    assert left_behind(town) == []
    assert list(town.runs.values()) == ["done"]
