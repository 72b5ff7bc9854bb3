"""What the pages say is held against the code they tell of."""

import base64
import json
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec
import pytest
import typer
import yaml
from doc_blocks import DOCS, README, REPOSITORY, Block, blocks
from markdown_it import MarkdownIt
from pydantic import BaseModel
from required import program
from typer.core import TyperGroup

from hub.api.app import ROUTES
from hub.api.approvals import Decision
from hub.api.backtests import AskBacktest
from hub.api.devices import NewDevice
from hub.api.docs import render
from hub.api.endpoints import NewEndpoint
from hub.api.key_routes import NewKey
from hub.api.openapi import plain_path
from hub.api.ports import Reason
from hub.api.problems import ProblemBody
from hub.api.replays import NewReplay
from hub.api.starts import StartRun
from hub.api.token_routes import NewToken
from hub.api.workflows import reason_json
from hub.cli import app
from hub.clock import ManualClock, to_us
from hub.config import DEFAULT_SYMBOLS, Settings, load
from hub.control.keys import Scope
from hub.dispatch.channels.chat_settings import TeamSettings
from hub.dispatch.channels.crm.generic_settings import CallSettings, GenericCrmSettings
from hub.dispatch.channels.crm.settings import HubSpotSettings, SalesforceSettings
from hub.dispatch.channels.email_settings import EmailSettings
from hub.dispatch.channels.mt_remote_client import MtRemoteSettings as ManagerSettings
from hub.dispatch.channels.push_settings import PushSettings
from hub.dispatch.channels.sms_twilio import SmsSettings
from hub.dispatch.public_links import PublicSettings
from hub.dispatch.schedule import WAITS
from hub.dispatch.signing import generate_secret, parse_secret, signature_header
from hub.dispatch.signing_v1a import generate_private, parse_private
from hub.durations import duration
from hub.engine.account_rows import AccountRow, ClientRow
from hub.engine.keys import KeyKind
from hub.engine.load import load_folder
from hub.engine.load_text import load_text
from hub.engine.memory import MemoryLog
from hub.engine.message_files import Messages, read_messages
from hub.engine.model import WorkflowFile
from hub.engine.scopes import OWN
from hub.engine.story import run_story
from hub.engine.storybook import read_stories
from hub.engine.uses import with_blueprints
from hub.events.catalogue import BY_NAME, event_type
from hub.events.declared import Declarations
from hub.events.records import Wire
from hub.ids import from_id
from hub.ingest.clients import Client
from hub.ingest.position_board import Open, PositionBoard
from hub.ingest.posted import ONLY_THE_HUB
from hub.ingest.posted_samples import PostedQuote, PostedSample
from hub.ingest.profiles import AccountProfile
from hub.ingest.reading import reading_of
from hub.ingest.receive import Receipt, Receiver
from hub.ingest.samples import PositionSample, Sample
from hub.ingest.settings import Mt5RestSettings, MtRemoteSettings
from hub.intents.intent import State
from hub.intents.verbs import VERBS
from hub.sim.control import FaultChange
from hub.sim.population import password_of
from hub.sim.serve import MANAGER_LOGIN
from hub.text.filters import FILTERS
from hub.web.pages import generated, write_generated

PAGES = sorted(DOCS.glob("*.md"))
EVERYWHERE = [*PAGES, README]
SHIPPED = load_folder([REPOSITORY / "workflows"])
NOON = datetime(2026, 6, 23, 12, 0, tzinfo=UTC)
SHELL = {"cat", "curl", "export", "make", "mkdir", "source"}
FAMILIES = {name.partition(".")[0] for name in (*BY_NAME, *VERBS)} | {"custom"}


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def of(language: str, *, everywhere: bool = False) -> list[Block]:
    return [block for path in (EVERYWHERE if everywhere else PAGES) for block in blocks(path, language)]


def named(found: list[Block]) -> Any:
    return pytest.mark.parametrize("block", found, ids=str)


# --- generated pages


@pytest.mark.parametrize("name", generated())
def test_a_generated_page_is_what_the_code_generates_now(name):
    assert page(name) == generated()[name](), "run `python -m hub.web.pages`"


def test_writing_the_generated_pages_writes_all_of_them(tmp_path):
    written = write_generated(tmp_path)

    assert {path.stem for path in written} == set(generated())
    assert all(path.read_text(encoding="utf-8") == page(path.stem) for path in written)


def test_the_page_of_events_has_every_type_with_its_fields():
    text = page("events")

    for kind in BY_NAME.values():
        assert f"\n### {kind.name}\n\n{kind.about}" in text
        assert all(f"`{name}`" in text for name in kind.model.model_fields)
    alone = {part.partition("\n")[0] for part in text.split("\n### ") if "*Told by the hub alone.*" in part}
    assert alone == {name for name in BY_NAME if name.startswith(ONLY_THE_HUB)}


# --- nothing is left out


def commands_of(group: TyperGroup, path: str = "hub") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands_of(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


@cache
def the_program() -> TyperGroup:
    command = typer.main.get_command(app)
    assert isinstance(command, TyperGroup)
    return command


def test_every_command_is_listed_and_has_help():
    listed = page("operating")

    for path, command in commands_of(the_program()):
        assert f"`{path}`" in listed
        assert command.help


def test_every_scope_is_explained():
    assert all(f"| `{scope}` |" in page("security") for scope in Scope)


def test_every_state_of_an_action_is_explained():
    assert all(f"`{state}`" in page("actions") for state in State)


def test_every_field_of_a_workflow_is_named():
    text = page("workflows")
    known = {field.alias or name for name, field in WorkflowFile.model_fields.items()}
    known |= {*AccountRow.__struct_fields__, *ClientRow.__struct_fields__, *FILTERS} - {"v"}

    assert {name for name in known if f"`{name}`" not in text} == set()


def test_every_fault_of_the_simulator_is_explained():
    assert {name for name in FaultChange.model_fields if f"`{name}`" not in page("simulator")} == set()


def test_every_route_is_in_the_overview():
    text = page("http-api")
    open_pages = {"/openapi.json", "/asyncapi.json", "/docs", "/docs/{page}"}

    assert [
        f"{route.method} {plain_path(route.path)}"
        for route in ROUTES
        if plain_path(route.path) not in open_pages
        and f"`{route.method} {plain_path(route.path)}`" not in text
    ] == []


def test_every_shipped_workflow_and_blueprint_is_named():
    names = {each.id for each in SHIPPED.workflows} | {each.name for each in SHIPPED.blueprints}

    assert {name for name in names if f"`{name}`" not in page("shipped-workflows")} == set()


def test_the_index_leads_to_every_page():
    assert {path.stem for path in PAGES if f"(/docs/{path.stem})" not in page("index")} <= {"index"}


# --- what is said is so


@pytest.mark.parametrize("path", EVERYWHERE, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    routes = {plain_path(route.path) for route in ROUTES}
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        if path == README:
            assert (REPOSITORY / target).exists(), target
        elif target.startswith("/docs/"):
            assert (DOCS / f"{target.removeprefix('/docs/')}.md").exists() or target == "/docs/api", target
        else:
            assert target in routes, target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_can_be_served_and_holds_no_html(path):
    text = path.read_text(encoding="utf-8")
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    inner = [child for token in tokens for child in (token.children or ())]

    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}", path.stem)
    assert not [token.content for token in (*tokens, *inner) if token.type in {"html_block", "html_inline"}]
    assert text.startswith("# ")
    assert "<h1>" in render(text, path.stem)


@pytest.mark.parametrize("path", EVERYWHERE, ids=lambda path: path.name)
def test_routes_named_in_the_text_exist(path):
    known = {(route.method, re.sub(r"\{\w+\}", "{}", plain_path(route.path))) for route in ROUTES}
    for method, target in re.findall(
        r"`(GET|POST|PUT|PATCH|DELETE) (/[^\s`]*)`", path.read_text(encoding="utf-8")
    ):
        plain = re.sub(r"\{\w+\}", "{}", target.partition("?")[0])
        assert (method, plain) in known, f"{method} {target}"


@pytest.mark.parametrize("path", EVERYWHERE, ids=lambda path: path.name)
def test_events_and_verbs_named_in_the_text_exist(path):
    fields = {
        *(f"account.{name}" for name in AccountRow.__struct_fields__),
        *(f"account.{name}" for name in ("equity", "floating", "free_margin", "margin_level")),
        *(f"position.{name}" for name in OWN[KeyKind.POSITION].fields),
        *(f"symbol.{name}" for name in OWN[KeyKind.SYMBOL].fields),
        *(f"client.{name}" for name in ClientRow.__struct_fields__),
        *(f"event.{name}" for kind in BY_NAME.values() for name in kind.model.model_fields),
        *("action.incident", "crm.not_set_up", "delivery.put_right"),  # lines of the log
    }
    for name in re.findall(r"`([a-z_]+\.(?:[a-z_]+|\*))`", path.read_text(encoding="utf-8")):
        family, _, rest = name.partition(".")
        if family in FAMILIES and name not in fields:
            known = rest in {"*", "approve"} or name in VERBS or event_type(name) is not None
            assert known, name


def test_the_schedule_of_retries_is_the_one_in_the_code():
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", page("receiving-webhooks"), re.MULTILINE)
    waits = [duration(wait.replace(" ", "").replace("min", "m")).total_seconds() for _, wait in rows[1:]]

    assert rows[0] == ("1", "at once")
    assert [int(number) for number, _ in rows] == list(range(1, len(WAITS) + 2))
    assert waits == list(WAITS)


def test_the_password_of_the_simulated_manager_is_the_one_it_has():
    assert f'"{password_of(1, MANAGER_LOGIN)}"' in page("simulator")


def defaults(text: str) -> dict[str, Any]:
    """Return the settings of a page's tables with the defaults they show."""
    found: dict[str, Any] = {}
    for names, value in re.findall(r"^\| (`[^|]+`) \| `([^|]+)` \|", text, re.MULTILINE):
        for name in re.findall(r"`([a-z0-9_.]+)`", names):
            found.setdefault(name, []).append(yaml.safe_load(value))
    return found


def test_every_setting_is_explained_with_its_default():
    told = {name: values[0] for name, values in defaults(page("operating")).items()}
    leaves = set()
    for name, field in Settings.model_fields.items():
        inner = field.annotation
        is_section = isinstance(inner, type) and issubclass(inner, BaseModel)
        leaves |= {f"{name}.{leaf}" for leaf in inner.model_fields} if is_section else {name}
    tree: dict[str, Any] = {}
    for path, value in told.items():
        section, _, leaf = path.rpartition(".")
        (tree.setdefault(section, {}) if section else tree)[leaf] = value

    assert leaves - {"symbols"} == told.keys()
    assert "`symbols`" in page("operating")
    assert load(None, tree) == load(None, {"symbols": DEFAULT_SYMBOLS})


SIGNED_IN: Mapping[str, Any] = {"server": "live-1", "login": 900, "password": "x"}


@pytest.mark.parametrize(
    ("name", "model", "needed"),
    [
        (
            "connectors",
            MtRemoteSettings,
            {**SIGNED_IN, "name": "a", "url": "wss://a/", "utc_offset": "+03:00"},
        ),
        (
            "connectors",
            Mt5RestSettings,
            {"server": "s", "name": "a", "url": "https://a", "accounts": [{"login": 1, "password": "x"}]},
        ),
        ("actions", ManagerSettings, {**SIGNED_IN, "url": "wss://a/"}),
        ("channels", EmailSettings, {"host": "smtp.example.com", "sender": "hub@example.com"}),
        ("channels", SmsSettings, {"account_sid": "AC1", "auth_token": "x", "sender": "+1"}),
        ("channels", PushSettings, {"service_account_file": "key.json"}),
        ("teams", TeamSettings, {"teams": {"risk": "risk_chat"}}),
        ("channels", PublicSettings, {"url": "https://hub.example.com"}),
        (
            "crm",
            HubSpotSettings,
            {"kind": "hubspot", "token": "x", "objects": {"client": {"type": "contacts", "id": "a"}}},
        ),
        (
            "crm",
            SalesforceSettings,
            {
                "kind": "salesforce",
                "login_url": "https://a",
                "client_id": "x",
                "client_secret": "x",
                "objects": {"client": {"type": "Contact", "id": "A__c"}},
            },
        ),
        (
            "crm",
            GenericCrmSettings,
            {
                "kind": "generic",
                "url": "https://a",
                "objects": {"client": {"type": "a"}},
                "upsert": {"method": "PUT", "path": "/a"},
            },
        ),
        ("crm", CallSettings, {"method": "PUT", "path": "/a"}),
    ],
)
def test_every_setting_of_a_connection_is_explained_with_its_default(name, model, needed):
    told = defaults(page(name))
    optional = {field for field, about in model.model_fields.items() if not about.is_required()} - {"kind"}
    usual = model.model_validate(needed)

    assert optional - told.keys() == set()
    for field in optional - needed.keys():
        shown = [getattr(model.model_validate({**needed, field: value}), field) for value in told[field] if _fits(model, needed, field, value)]  # fmt: skip
        assert getattr(usual, field) in shown, field
    assert all(f"`{field}`" in page(name) or f"{field}:" in page(name) for field in model.model_fields)


def _fits(model: type[BaseModel], needed: Mapping[str, Any], field: str, value: Any) -> bool:
    try:
        model.model_validate({**needed, field: value})
    except ValueError:
        return False
    return True


# --- examples work


def messages_in(page_name: str) -> dict[str, str]:
    """Return the messages a page shows, by the name of the file in their first line."""
    found = (block.text for block in blocks(DOCS / page_name, "yaml"))
    return {
        text.splitlines()[0].removeprefix("# templates/"): text
        for text in found
        if text.startswith("# templates/")
    }


def the_messages(page_name: str, folder: Any) -> Messages:
    for name, text in messages_in(page_name).items():
        (folder / name).write_text(text, encoding="utf-8")
    return read_messages([folder])


@named(of("yaml"))
async def test_an_example_in_yaml_loads(block, tmp_path):
    kind = yaml.safe_load(block.text)
    if "schema" in kind:
        messages = the_messages(block.page, tmp_path)
        assert not messages.problems
        reports = [load_text(other.text, str(other), messages) for other in blocks(DOCS / block.page, "yaml")]
        declared = Declarations({each.declared.name: each.declared for each in reports if each.declared})
        if "event" in kind:
            report = load_text(block.text, str(block), messages)
            assert not report.problems
            assert report.declared is not None
            return
        if not {"id", "blueprint"} & kind.keys():
            assert kind["schema"] == 1
            assert any(block.text == text for text in messages_in(block.page).values())
            return
        known = [each.blueprint for each in reports if each.blueprint is not None] or SHIPPED.blueprints
        (report,) = with_blueprints([load_text(block.text, str(block), messages, declared)], known)
        assert report.workflow is not None or report.blueprint is not None
        assert not report.problems
    elif "workflow" in kind:
        book = read_stories(block.text, str(block))
        workflow = next(
            found
            for other in blocks(DOCS / block.page, "yaml")
            if (found := load_text(other.text, "").workflow) is not None and found.id == kind["workflow"]
        )
        assert book.file is not None
        for story, place in zip(book.file.tests, book.places, strict=True):
            assert (await run_story(workflow, story, place)).failures == ()
    else:
        path = tmp_path / "hub.yaml"
        path.write_text(block.text, encoding="utf-8")
        load(path)


def a_receiver() -> Receiver:
    clock = ManualClock(NOON)
    return Receiver(MemoryLog(clock), clock)


async def accepted(body: bytes) -> Receipt:
    return await a_receiver().accept(body, "application/x-ndjson", source="api:crm")


def positions_told(position: dict[str, Any]) -> Any:
    """Return how the board tells one position that events and a sample told it."""
    known = Open(
        position["ticket"],
        symbol=position["symbol"],
        side=position["side"],
        opened_at=to_us(datetime.fromisoformat(position["opened_at"])),
        **{name: Decimal(position[name]) for name in ("lots", "open_price", "sl")},
    )
    worth = PositionSample(known.ticket, Decimal(position["profit"]), Decimal(position["price"]))
    at = to_us(datetime.fromisoformat(position["sampled_at"]))
    sample = Sample("live-1", 7001, Decimal(1), *[None] * 6, at=at, positions=(worth,))
    reading = reading_of(sample)
    assert reading is not None
    board = PositionBoard(ManualClock(NOON), lambda _: None)
    board.begin(reading.key)
    board.put(reading.key, {known.ticket: known}, complete=True)
    board.hear(sample, reading)
    text = board.text(reading.key, frozenset())
    assert text is not None
    return json.loads(b"{" + text + b"}")


@named(of("json"))
async def test_an_example_in_json_is_what_the_code_reads(block):
    told = json.loads(block.text)
    match told:
        case {"id": str(event_id), "data": data}:
            msgspec.json.decode(block.text, type=Wire)
            assert from_id("evt", event_id) is not None
            BY_NAME[told["type"]].model.model_validate(data)
        case {"status": int(), "title": _}:
            msgspec.json.decode(block.text, type=ProblemBody)
        case {"type": _, "timestamp": _}:
            assert (await accepted(json.dumps(told).encode())).accepted == 1
        case {"results": results}:
            receipt = msgspec.json.decode(block.text, type=Receipt)
            statuses = [result["status"] for result in results]
            assert [receipt.accepted, receipt.duplicates, receipt.rejected] == [
                statuses.count(status) for status in ("accepted", "duplicate", "rejected")
            ]
        case {"outcome": outcome, "text": text, "remains": remains, "share": share}:
            reason = Reason(outcome, text, remains=tuple(remains), share=share)
            assert told.items() <= reason_json(reason).items()
        case {"equity": _}:
            PostedSample.model_validate(told)
        case {"bid": _}:
            PostedQuote.model_validate(told)
        case {"email": _}:
            Client.model_validate(told)
        case {"program": _}:
            AccountProfile.model_validate(told)
        case {"token": _, "platform": _}:
            NewDevice.model_validate(told)
        case {"since": _}:
            NewReplay.model_validate(told)
        case {"url": _}:
            NewEndpoint.model_validate(told)
        case {"client": _, "expires_in": _}:
            NewToken.model_validate(told)
        case {"decision": _}:
            Decision.model_validate(told)
        case {"key": _, "inputs": _}:
            StartRun.model_validate(told)
        case {"assume": _}:
            AskBacktest.model_validate(told)
        case {"positions": [position]}:
            assert positions_told(position) == told
        case {"scopes": _}:
            NewKey.model_validate(told)
        case _:
            pytest.fail(f"{block}: nothing is known that reads this")


async def test_a_refusal_reads_as_the_page_shows_it():
    shown = next(told for block in of("json") if "results" in (told := json.loads(block.text)))
    receipt = await accepted(b'{"type": "trade.closd", "timestamp": "2026-06-23T09:00:00Z"}')

    told = msgspec.json.decode(msgspec.json.encode(receipt.results[0]))
    assert told["errors"] == shown["results"][2]["errors"]


@named([block for block in of("python") if block.page == "receiving-webhooks.md"])
def test_an_example_in_python_verifies_and_refuses(block, monkeypatch):
    names: dict[str, Any] = {}
    exec(compile(block.text, str(block), "exec"), names)
    secret, body = generate_secret(), b'{"type": "trade.closed"}'
    # The examples ask the real clock, as a receiver does.
    now = str(int(datetime.now(UTC).timestamp()))
    stale = str(int(now) - 301)

    read = names.get("read_webhook")
    if read is None:
        pair = generate_private()
        signed = [parse_private(pair)]
        read = names["read_signed_webhook"]
        secret = parse_private(pair).public
    else:
        signed = [parse_secret(secret)]

    def headers(timestamp: str, body_of: bytes = body) -> dict[str, str]:
        signature = signature_header(signed, "evt_1", timestamp, body_of)
        return {"webhook-id": "evt_1", "webhook-timestamp": timestamp, "webhook-signature": signature}

    other = "v1," + base64.b64encode(bytes(32)).decode()
    rotated = headers(now) | {"webhook-signature": f"{other} {headers(now)['webhook-signature']}"}

    assert read(secret, headers(now), body) == {"type": "trade.closed"}
    assert read(secret, rotated, body) == {"type": "trade.closed"}
    for wrong in (
        headers(stale),
        headers(now, b"another body"),
        headers(now) | {"webhook-id": "evt_2"},
        headers(now) | {"webhook-signature": other},
        headers(now) | {"webhook-timestamp": "soon"},
    ):
        with pytest.raises(PermissionError):
            read(secret, wrong, body)


@named(of("javascript"))
def test_an_example_in_javascript_can_be_read(block, tmp_path):
    node = program("node", package="nodejs")
    path = tmp_path / "example.mjs"
    path.write_text(block.text, encoding="utf-8")
    subprocess.run([node, "--check", str(path)], check=True, timeout=30)


@named(of("console", everywhere=True))
def test_an_example_for_the_terminal_uses_commands_and_options_there_are(block, monkeypatch):
    assert block.commands
    for command in block.commands:
        first = command.text.partition("\n")[0]
        program, *arguments = shlex.split(first.replace("<<'END'", ""))
        if program == "hub":
            parse(arguments)
        elif program == "export":
            monkeypatch.setenv(*arguments[0].split("=", 1))
        elif program == "make":
            assert f"\n{arguments[0]}: " in (REPOSITORY / "Makefile").read_text(encoding="utf-8")
        else:
            assert program in SHELL, first
            for url in re.findall(r"http://127\.0\.0\.1:8800(/[^\s?'\"]*)", first):
                assert url in {plain_path(route.path) for route in ROUTES}, url


def parse(arguments: list[str]) -> None:
    """Read the words of a command as the program would, without running it."""
    command: Any = the_program()
    path = "hub"
    if arguments == ["--version"]:
        return
    while isinstance(command, TyperGroup):
        name = arguments.pop(0)
        assert name in command.commands, f"{path} {name}"
        path, command = f"{path} {name}", command.commands[name]
    command.make_context(path, arguments)


@named(
    of("yaml")
    + of("json")
    + of("python")
    + of("javascript")
    + of("go")
    + of("php")
    + of("console", everywhere=True)
)
def test_a_block_names_its_language_and_is_not_empty(block):
    assert block.text.strip()


def test_blocks_are_only_of_kinds_that_are_tested():
    kinds = {block.language for path in PAGES for block in blocks(path)}

    assert kinds == {"yaml", "json", "python", "console", "javascript", "go", "php"}
