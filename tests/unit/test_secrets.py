"""Secrets of the configuration: where they come from, that they are not shown, and that a missing one is named."""

import pytest
from unit.engine.desk import a_workflow

from hub.commands.check import run_check
from hub.config import load, secrets_of
from hub.engine.check_setup import missing_secrets
from hub.errors import ConfigError


def test_a_secret_stands_in_the_file_in_a_file_of_its_own_or_in_the_environment(tmp_path, monkeypatch):
    own = tmp_path / "token"
    own.write_text("from-a-file\n")
    own.chmod(0o600)
    path = tmp_path / "hub.yaml"
    path.write_text(f"secrets:\n  crm_url: https://crm.example\n  crm_token: {{file: {own}}}\n")
    monkeypatch.setenv("HUB_SECRETS__OTHER", "from-the-environment")

    settings = load(path)

    assert {name: value.get_secret_value() for name, value in secrets_of(settings).items()} == {
        "crm_url": "https://crm.example",
        "crm_token": "from-a-file",
        "other": "from-the-environment",
    }
    assert "from-the-environment" not in repr(settings)
    assert "crm.example" not in repr(settings)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"secrets\.crm_token\.file"):
        secrets_of(load(None, {"secrets": {"crm_token": {"file": str(tmp_path / "nothing")}}}))


@pytest.mark.parametrize("name", ["Crm", "a-b", "1a", "a" * 65, ""])
def test_a_name_no_workflow_could_write_is_refused(name):
    with pytest.raises(ConfigError):
        load(None, {"secrets": {name: "x"}})


def test_a_secret_that_is_not_set_is_named_with_its_place():
    workflow = a_workflow("""
when: [{event: trade.closed}]
steps:
  - if: event.lots > 1
    then:
      - do: http.request
        with: {method: GET, url: {base: = secrets.crm_url}, auth: {bearer: = secrets.crm_token}}
""")

    (problem,) = missing_secrets(workflow, frozenset({"crm_url"}))
    assert str(problem) == (
        "rule.yaml:12:13: warning: the secret crm_token is not set: add it under `secrets` in hub.yaml, "
        "or set HUB_SECRETS__CRM_TOKEN"
    )
    assert not list(missing_secrets(workflow, frozenset({"crm_url", "crm_token"})))


ASKS = """schema: 1
id: asks
title: asks a CRM
when: [{event: trade.closed}]
steps:
  - do: http.request
    with: {method: GET, url: {base: = secrets.crm_url}}
"""


@pytest.mark.parametrize(
    ("named", "warned"),
    [(None, False), ("data", True), ("config", True)],
)
def test_checking_for_a_hub_names_the_secrets_it_does_not_have(tmp_path, capsys, named, warned):
    (tmp_path / "asks.yaml").write_text(ASKS)
    (tmp_path / "hub.yaml").write_text("listen: {port: 8801}\n")
    given = {"data": (None, tmp_path), "config": (tmp_path / "hub.yaml", None), None: (None, None)}[named]

    assert run_check([tmp_path / "asks.yaml"], *given, as_json=False) == 0

    assert ("the secret crm_url is not set" in capsys.readouterr().out) == warned


def test_a_secret_from_the_environment_is_there_for_a_hub_that_is_named_by_its_folder(
    tmp_path, capsys, monkeypatch
):
    (tmp_path / "asks.yaml").write_text(ASKS)
    monkeypatch.setenv("HUB_SECRETS__CRM_URL", "https://crm.example")

    assert run_check([tmp_path / "asks.yaml"], None, tmp_path, as_json=False) == 0

    assert "secret" not in capsys.readouterr().out


def test_checking_for_a_folder_that_is_not_there_is_misuse(tmp_path):
    (tmp_path / "asks.yaml").write_text(ASKS)

    with pytest.raises(ConfigError, match="there is no folder"):
        run_check([tmp_path / "asks.yaml"], None, tmp_path / "nothing", as_json=False)
