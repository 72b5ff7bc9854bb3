"""`http.request`: what is refused in a file, what is asked, and what later steps make of the answer."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from unit.engine.desk import MORNING, Desk, a_workflow
from unit.engine.test_forks import left_behind, published, restarted

from hub.engine.load_text import load_text
from hub.engine.values import Kind
from hub.intents.checks import checks_of, without_checks
from hub.intents.http_request import Call, SecretRef
from hub.intents.intent import State

HEAD = "when: [{event: custom.go}]\nlimit: {max: 99, every: forever}\n"
CRM = """
steps:
  - id: crm
    do: http.request
    with:
      method: %s
      url: {base: = secrets.crm_url, path: [clients, = event.client], query: {full: "yes"}}
      auth: {bearer: = secrets.crm_token}
      headers: {X-Source: = account.server}
      expect: {status: [200], schema: {tier: string, score: number, vip: bool?, tags: [string]}}
      sample: {tier: gold, score: 1.5, tags: []}
    timeout: 5s
    retry: {max: 2, delay: 1s}
    on_error: continue
  - {do: event.publish, with: {type: custom.welcome, data: {tier: '= steps.crm.body.tier if steps.crm.ok else "standard"', ok: = steps.crm.ok}}}
"""
BODY = {"tier": "silver", "score": "12.50", "tags": ["a"]}


def a_desk(method="GET", text=CRM, **header):
    desk = Desk(a_workflow(HEAD + text % method, **header))
    desk.account(type="real", group="std")
    return desk


def asked(desk, **data):
    (intent,) = desk.tell("custom.go", **{"client": "c/../1", **data})
    return intent


def test_a_request_carries_names_of_secrets_and_no_secret():
    intent = asked(a_desk())
    call = Call.model_validate_json(without_checks(intent).params)

    assert intent.state is State.READY
    assert (call.url.base, call.auth.bearer) == (SecretRef(secret="crm_url"), SecretRef(secret="crm_token"))
    assert call.url.under("https://crm.example/v1/") == "https://crm.example/v1/clients/c%2F..%2F1?full=yes"
    assert call.headers == {"X-Source": "live-1"}
    assert checks_of(intent).within_us == 5_000_000


def test_the_answer_is_read_by_later_steps_over_a_restart():
    desk = a_desk(
        text=CRM.replace("steps.crm.ok}}", "steps.crm.score_is}}").replace(
            "= steps.crm.score_is", "= steps.crm.body.score * 2"
        )
    )
    intent = asked(desk)
    restarted(desk)
    desk.outcome(intent, "delivered", after={"status": 200, "body": BODY})

    assert published(desk) == [{"tier": "silver", "ok": "25.00"}]
    assert left_behind(desk) == []


def test_numbers_keep_their_digits_while_the_run_waits():
    text = (
        CRM
        + "  - {id: rest, wait: {for: 1h}}\n  - {do: event.publish, with: {type: custom.later, data: {score: = steps.crm.body.score}}}\n"
    )
    desk = a_desk(text=text)
    desk.outcome(asked(desk), "delivered", after={"status": 200, "body": BODY})
    restarted(desk)
    desk.until(MORNING + timedelta(hours=1))

    assert published(desk)[-1] == {"score": "12.50"}


def test_it_is_asked_again_where_that_is_harmless_and_then_goes_on_without():
    desk = a_desk()
    keys = [asked(desk).key]
    for attempt in (1, 2):
        desk.outcome(last(desk), "exhausted", reason="answered 503", again=True)
        keys += [each.key for each in desk.until(MORNING + timedelta(seconds=2 * attempt))]
    assert keys == [keys[0], f"{keys[0]}#2", f"{keys[0]}#3"]
    desk.outcome(last(desk), "exhausted", reason="answered 503", again=True)

    assert published(desk) == [{"tier": "standard", "ok": False}]


def last(desk):
    return [
        intent for decision in desk.decisions for intent in decision.intents if intent.verb == "http.request"
    ][-1]


def test_it_is_not_asked_again_where_that_could_do_it_twice():
    desk = a_desk("POST")
    desk.outcome(asked(desk), "exhausted", reason="no whole answer", again=False)

    assert published(desk) == [{"tier": "standard", "ok": False}]
    assert desk.timers == {}


@pytest.mark.parametrize(
    ("method", "more", "asks"), [("GET", "", 3), ("POST", "", 1), ("POST", "\n      idempotent: true", 3)]
)
def test_silence_is_followed_by_another_request_only_where_that_is_harmless(method, more, asks):
    desk = a_desk(method + more)
    asked(desk)
    desk.until(MORNING + timedelta(minutes=2))

    made = [i for d in desk.decisions for i in d.intents if i.verb == "http.request"]
    assert len(made) == asks
    assert published(desk) == [{"tier": "standard", "ok": False}]
    assert [name for kind, name in desk.state.values if kind == Kind.LATE] == []


def test_an_answer_that_does_not_fit_is_no_answer():
    desk = a_desk()
    desk.outcome(asked(desk), "delivered", after={"status": 200, "body": {"tier": 5}})

    assert published(desk) == [{"tier": "standard", "ok": False}]


def test_in_shadow_nobody_is_asked_and_the_sample_answers():
    desk = a_desk(mode="shadow")
    desk.tell("custom.go", client="c1")
    (run,) = {run.id: run for decision in desk.decisions for run in decision.runs}.values()

    assert msgspec.json.decode(run.body)["steps"]["crm"]["body"] == {
        "tier": "gold",
        "score": "1.5",
        "tags": [],
    }
    assert msgspec.json.decode(run.body)["steps"]["crm"]["assumed"] is True
    publish = desk.decisions[-1].intents[-1]
    assert msgspec.json.decode(publish.params)["data"]["tier"] == "gold"


def test_in_shadow_without_a_sample_the_step_does_not_come_about():
    desk = a_desk(text=CRM.replace("      sample: {tier: gold, score: 1.5, tags: []}\n", ""), mode="shadow")
    desk.tell("custom.go", client="c1")

    publish = desk.decisions[-1].intents[-1]
    assert msgspec.json.decode(publish.params)["data"]["tier"] == "standard"


@pytest.mark.parametrize("client", ["", "..", {"secret": "crm_token"}, ["a"], True])
def test_data_that_would_lead_elsewhere_fails_the_step_and_is_not_sent(client):
    desk = a_desk()
    intents = desk.tell("custom.go", client=client)

    assert [intent.verb for intent in intents] == ["event.publish"]


def test_data_that_looks_like_a_secret_does_not_become_one():
    text = CRM.replace("X-Source: = account.server", "X-Source: = event.source_name")
    desk = a_desk(text=text)
    intents = desk.tell("custom.go", client="c", source_name={"secret": "crm_token"})

    assert [intent.verb for intent in intents] == ["event.publish"]


def request(**changes):
    fields = {"method": "GET", "url": "{base: https://crm.example}"} | changes
    given = ", ".join(f"{name}: {value}" for name, value in fields.items())
    return f"{{id: crm, do: http.request, with: {{{given}}}}}"


@pytest.mark.parametrize(
    ("step", "complaint"),
    [
        (request(url='{base: "= event.url"}'), "data must not say where a request goes"),
        (request(url="https://crm.example"), "`url` is a mapping"),
        (request(url="{base: ftp://crm.example}"), "an address begins with https://"),
        (request(url='{base: "https://u:p@crm.example"}'), "holds no ?, # or @"),
        (request(url='{base: https://crm.example, path: [".."]}'), "would lead to another place"),
        (request(url="{base: https://crm.example, pth: [a]}"), "Extra inputs are not permitted"),
        (request(url='{base: https://crm.example, path: ["= secrets.crm_token"]}'), "a secret stands in `auth`, in `headers` or as `url.base`"),
        (request(method="POST", body='{x: "= secrets.crm_token"}'), "a secret stands in `auth`, in `headers` or as `url.base`"),
        (request(headers='{X: "= secrets.a == secrets.b"}'), "a secret stands alone as a whole value"),
        (request(headers='{X: "= lower(secrets.a)"}'), "a secret stands alone as a whole value"),
        (request(headers="{Host: evil.example}"), "the header Host is set by the hub"),
        (request(headers="{Authorization: x}", auth='{bearer: "= secrets.a"}'), "say the same: keep one"),
        (request(auth='{barer: "= secrets.a"}'), "Extra inputs are not permitted"),
        (request(auth="{}"), "`auth` is"),
        (request(body="{a: 1}"), "a GET has no body"),
        (request(expect="{schema: {tier: strin}}"), "'strin' is no type: write string, number, bool"),
        (request(expect="{schema: {tier: string}}", sample="{tier: 5}"), "sample.tier is no string"),
        (request(expect='{status: "= [200]"}'), "`expect` stands in the file as it is"),
        (request(method='"= event.m"'), "`method` stands in the file as it is"),
        ("{do: event.publish, with: {type: custom.a, data: {x: = secrets.a}}}", "`secrets` are known in http.request only"),
        ("{if: 'secrets.a == \"x\"', do: account.disable}", "`secrets` are known in http.request only"),
        ("{do: account.disable, with: {comment: '{{ secrets.a }}'}}", "`secrets` are known in http.request only"),
        (request(expect="{schema: {tier: string}}") + ", {do: event.publish, with: {type: custom.a, data: {x: = steps.crm.body.tir}}}", "unknown field steps.crm.body.tir; did you mean steps.crm.body.tier?"),
        (request(expect="{schema: {tier: string}}") + ", {if: steps.crm.body.tier > 5, do: account.disable}", "text"),
    ],
)  # fmt: skip
def test_requests_that_make_no_sense_are_refused(step, complaint):
    report = load_text(f"schema: 1\nid: r\ntitle: t\nowner: t\n{HEAD}steps: [{step}]\n", "w.yaml")

    told = [str(problem) for problem in report.problems]
    assert any(complaint in said for said in told), told
    assert report.workflow is None


def test_an_optional_field_that_did_not_come_is_missing():
    desk = a_desk(
        text=CRM.replace(
            "ok: = steps.crm.ok}}", "vip: '= default(steps.crm.body.vip, false)', n: = steps.crm.status}}"
        )
    )
    desk.outcome(asked(desk), "delivered", after={"status": 200, "body": BODY})

    assert published(desk) == [{"tier": "silver", "vip": False, "n": 200}]


def test_a_request_may_stand_in_a_branch():
    text = (
        "steps:\n  - for_each:\n      in: event.clients\n      as: who\n      concurrency: 2\n      steps:\n        - "
        + request(url='{base: https://crm.example, path: ["= who"]}', expect="{schema: {score: number}}")
        + "\n        - {do: event.publish, with: {type: custom.score, data: {score: = steps.crm.body.score}}}\n"
    )
    desk = Desk(a_workflow(HEAD + text))
    first, second = desk.tell("custom.go", clients=["a", "b"])
    desk.outcome(second, "delivered", after={"status": 200, "body": {"score": "2"}})
    restarted(desk)
    desk.outcome(first, "delivered", after={"status": 200, "body": {"score": "1"}})

    assert [Decimal(each["score"]) for each in published(desk)] == [2, 1]
    assert left_behind(desk) == []
