"""What deploy/ gives to Docker, held against Docker's own grammar, its schema, and the hub's settings and commands."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from doc_blocks import REPOSITORY
from dockerfile_parse import DockerfileParser
from typer.core import TyperGroup

from hub.cli import app
from hub.config import Settings, load
from hub.scaled.hub import Role

DEPLOY = REPOSITORY / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: Mapping[str, Any] = COMPOSE["services"]
HUBS = {name: service for name, service in SERVICES.items() if name not in {"postgres", "kafka"}}
ITS_OWN = re.compile(r"^HUB_(?!TESTS_)")


def instructions(text: str = DOCKERFILE) -> list[tuple[str, str]]:
    parser = DockerfileParser(fileobj=io.BytesIO(text.encode()))
    return [(each["instruction"], each["value"]) for each in parser.structure]


def program(name: str) -> str:
    """Return a tool that stands beside the interpreter, or in PATH."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which(name, path=os.pathsep.join([beside, os.environ["PATH"]]))
    assert found, f"{name} is not installed: make setup"
    return found


def findings(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"{done.stdout}{done.stderr}"


def with_defaults(text: str) -> str:
    """Fill in ${NAME:-default} as Compose does when nobody says otherwise."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


@pytest.fixture
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if ITS_OWN.match(name)]:
        monkeypatch.delenv(name)


# --- the image


def test_the_dockerfile_is_as_the_linter_wants_it():
    assert findings(program("hadolint"), str(DEPLOY / "Dockerfile")) == ""


def test_the_linter_finds_what_is_wrong(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM python\nRUN cd /tmp && sudo ls\n", encoding="utf-8")

    assert "DL3006" in findings(program("hadolint"), str(tmp_path / "Dockerfile"))


def test_every_command_of_the_image_is_in_exec_form():
    commands = [
        value.partition("CMD ")[2] if name == "HEALTHCHECK" else value
        for name, value in instructions()
        if name in {"RUN", "CMD", "ENTRYPOINT", "HEALTHCHECK"}
    ]

    assert len(commands) >= 8
    for command in commands:
        words = json.loads(command)
        assert all(isinstance(word, str) for word in words), command


def test_what_is_installed_is_locked_by_hash():
    installs = [
        json.loads(value) for name, value in instructions() if name == "RUN" and '"install", "--' in value
    ]
    pips = [words for words in installs if "pip" in words]

    assert len(pips) == 3
    for words in pips:
        assert "--require-hashes" in words or {"--no-index", "--no-deps"} <= {*words}, words


def test_the_image_runs_as_a_number_that_is_not_root_and_holds_no_address():
    last = {name: value for name, value in instructions() if name in {"USER", "STOPSIGNAL"}}

    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last["USER"])
    assert last["STOPSIGNAL"] == "SIGTERM"
    assert "://" not in DOCKERFILE


def test_the_health_check_of_the_image_is_python():
    [check] = [value for name, value in instructions() if name == "HEALTHCHECK"]
    words = json.loads(check.partition("CMD ")[2])

    assert words[:2] == ["/opt/hub/bin/python", "-c"]
    compile(words[2], "HEALTHCHECK", "exec")


def test_what_the_image_copies_is_let_through_to_the_builder():
    lines = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_through = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {
        Path(word).parts[0]
        for name, value in instructions()
        if name == "COPY" and "--from" not in value
        for word in value.split()[:-1]
    }

    assert "*" in lines
    assert copied == let_through
    assert all((REPOSITORY / name).exists() for name in copied)


def test_the_locks_of_the_image_have_a_hash_for_everything_and_no_address():
    for name in ("requirements-build.lock", "requirements-scaled.lock"):
        text = (REPOSITORY / name).read_text(encoding="utf-8")
        entries = re.split(r"\n(?=[a-z0-9])", "\n" + re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))

        assert "://" not in text
        assert [entry for entry in entries if "==" in entry and "--hash=sha256:" not in entry] == []
        assert sum("==" in entry for entry in entries) >= 1


def test_the_lock_of_the_image_holds_everything_the_project_asks_for():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lock = (REPOSITORY / "requirements-scaled.lock").read_text(encoding="utf-8")
    locked = set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))
    asked = [*project["dependencies"], *project["optional-dependencies"]["scaled"]]

    assert {re.match(r"[\w.-]+", text)[0].lower() for text in asked} - locked == set(), "make lock"


# --- compose


def test_compose_is_what_its_specification_allows():
    command = [program("check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]

    assert findings(*command, str(DEPLOY / "compose.yaml")) == ""


def test_the_schema_of_compose_finds_what_is_wrong(tmp_path):
    (tmp_path / "compose.yaml").write_text("services: {hub: {imagine: hub}}", encoding="utf-8")
    command = [program("check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]

    assert "imagine" in findings(*command, str(tmp_path / "compose.yaml"))


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_no_more_than_it_must(name):
    service = SERVICES[name]
    limits = service["deploy"]["resources"]["limits"]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"cpus", "memory", "pids"} <= limits.keys()
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    assert not [text for text in service["environment"].values() if "password" in text.lower() and not text.startswith("/run/secrets/")]  # fmt: skip


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_a_health_check_unless_it_ends_by_itself(name):
    service = SERVICES[name]
    from_image = any(kind == "HEALTHCHECK" for kind, _ in instructions()) and name in HUBS

    if name == "migrate":
        assert service["healthcheck"] == {"disable": True}
    else:
        assert from_image or service["healthcheck"]["test"][0] == "CMD"


def test_everything_a_service_names_is_there():
    for service in SERVICES.values():
        assert {*service["networks"]} <= COMPOSE["networks"].keys()
        assert {*service.get("secrets", ())} <= COMPOSE["secrets"].keys()
        assert {*service.get("depends_on", ())} <= SERVICES.keys()
        for volume in service.get("volumes", ()):
            there = COMPOSE["volumes"] if volume["type"] == "volume" else None
            assert there is None or volume["source"] in there
    assert (DEPLOY / SERVICES["migrate"]["build"]["dockerfile"]).name == "Dockerfile"
    assert (DEPLOY / "postgres" / "role.sql").is_file()


def test_everybody_waits_for_the_migration_and_it_for_both_stores():
    for name, service in HUBS.items():
        waits = {other: how["condition"] for other, how in service["depends_on"].items()}
        if name == "migrate":
            assert waits == {"postgres": "service_healthy", "kafka": "service_healthy"}
        else:
            assert waits["migrate"] == "service_completed_successfully"


def test_what_only_decides_and_what_only_stores_reach_nothing_outside():
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert {name for name, service in SERVICES.items() if "outside" in service["networks"]} == {"api", "dispatch"}  # fmt: skip


def words_of(name: str) -> list[str]:
    return [str(word) for word in HUBS[name]["command"]]


@pytest.mark.parametrize("name", HUBS)
def test_a_command_of_compose_is_one_the_hub_knows(name):
    command: Any = typer.main.get_command(app)
    first, *rest = words_of(name)
    assert isinstance(command, TyperGroup)

    context = command.commands[first].make_context(first, rest)

    assert set(context.params.get("role") or ()) <= {role.value for role in Role}


def test_all_roles_are_played_and_the_engine_and_the_dispatcher_twice():
    played: dict[str, int] = {}
    for name, service in HUBS.items():
        words = words_of(name)
        for flag, role in pairwise(words):
            if flag == "--role":
                played[role] = played.get(role, 0) + service["deploy"].get("replicas", 1)

    assert played == {"api": 1, "ingest": 1, "engine": 2, "dispatch": 2}


def settings_with(monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str], secret: Path) -> Settings:
    for name, value in environment.items():
        assert name.removeprefix("HUB_").lower().partition("__")[0] in Settings.model_fields, name
        monkeypatch.setenv(name, value)
    return load(secret)


@pytest.mark.usefixtures("no_settings_from_outside")
@pytest.mark.parametrize("name", HUBS)
def test_every_variable_of_compose_is_a_setting(name, monkeypatch, tmp_path):
    secret = tmp_path / "hub.yaml"
    secret.write_text('store: {postgres: "postgresql://hub:x@postgres:5432/hub"}', encoding="utf-8")
    environment = {key: with_defaults(value) for key, value in HUBS[name]["environment"].items()}

    settings = settings_with(monkeypatch, environment, secret)

    assert settings.is_scaled
    assert settings.bus.kafka is not None
    assert settings.bus.kafka.servers == ("kafka:9092",)
    assert settings.bus.kafka.replication == 1
    assert settings.listen.host == "0.0.0.0"
    assert settings.listen.port == 8800


@pytest.mark.usefixtures("no_settings_from_outside")
def test_every_variable_of_the_image_is_a_setting(monkeypatch):
    parser = DockerfileParser(fileobj=io.BytesIO(DOCKERFILE.encode()))
    environment = {name: value for name, value in parser.envs.items() if ITS_OWN.match(name)}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    settings = load(None)

    assert environment.keys() == {"HUB_DATA", "HUB_WORKFLOWS"}
    assert settings.data == Path("/var/lib/hub")
    assert settings.workflows == (Path("/etc/hub/workflows"),)


def assignments(path: Path) -> Iterator[tuple[str, str]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            assert equals, line
            yield name, value


@pytest.mark.usefixtures("no_settings_from_outside")
def test_every_variable_of_the_example_for_bare_processes_is_a_setting(monkeypatch):
    given = dict(assignments(DEPLOY / "hub.env.example"))
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    settings = load(None)

    kafka = settings.bus.kafka
    assert kafka is not None
    assert len(given) >= 12
    assert len(kafka.servers) == kafka.replication == 3
    assert kafka.security.encrypts
    assert kafka.security.signs_in


def test_every_variable_of_the_example_for_compose_is_used_there_with_that_default():
    used = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", (DEPLOY / "compose.yaml").read_text(encoding="utf-8")))

    assert dict(assignments(DEPLOY / "compose.env.example")) == used


def test_no_secret_is_kept_in_the_repository():
    assert [path.name for path in (DEPLOY / "secrets").iterdir() if path.name.startswith(".")] == [
        ".gitignore"
    ]
    ignored = (DEPLOY / "secrets" / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert ignored[1:] == ["*", "!.gitignore"]
