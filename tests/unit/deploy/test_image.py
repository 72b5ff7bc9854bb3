"""What the Dockerfile says, done without Docker: its own commands in its own order, in a folder that stands for `/`."""

import http.client
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from doc_blocks import REPOSITORY
from dockerfile_parse import DockerfileParser
from processes.harness import free_port
from processes.program import Program
from processes.services import folder_for_services

from hub import __version__

pytestmark = pytest.mark.xdist_group("image")  # built by one process, for all tests that look at it
PLACES = ("/opt/hub", "/source", "/wheels", "/var/lib/hub", "/etc/hub")
POWERLESS = ("--no-new-privs", "--inh-caps=-all", "--bounding-set=-all")
ABOUT_PIP = {"PIP_NO_CACHE_DIR"}  # only about the size of the image
AWAY = re.compile(r"NewConnectionError|Temporary failure in name resolution|ProxyError|ReadTimeoutError")


class Image:
    """Carries a Dockerfile out. A base image is a fresh virtual environment; both stages share one `/`."""

    def __init__(self, root: Path, dockerfile: str) -> None:
        self.root = root
        self.folder = root
        self.environment: dict[str, str] = {}
        self.last: dict[str, str] = {}
        self._becoming: list[str] = []
        self._parser = DockerfileParser(fileobj=io.BytesIO(dockerfile.encode()))
        self._base = root / "base"
        subprocess.run([sys.executable, "-m", "venv", str(self._base)], check=True)

    def build(self) -> None:
        for each in self._parser.structure:
            self._carry_out(each["instruction"], each["value"])

    def at(self, text: str) -> str:
        """Return a word in which places of the image are those below the root."""
        for place in PLACES:
            text = re.sub(rf"(?<![\w.-]){place}(?![\w-])", f"{self.root}{place}", text)
        return text

    def _carry_out(self, instruction: str, value: str) -> None:
        match instruction:
            case "FROM":
                self.environment = {}
            case "ENV":
                self.environment |= {
                    name: self.at(text) for name, text in self._variables(value) if name not in ABOUT_PIP
                }
            case "WORKDIR":
                self.folder = Path(self.at(value))
                self.folder.mkdir(parents=True, exist_ok=True)
            case "COPY" if "--from" not in value:
                *sources, target = value.split()
                for source in sources:
                    self._copy(REPOSITORY / source, self.folder / target)
            case "RUN":
                self._run([self.at(word) for word in json.loads(value)])
            case "ENTRYPOINT" | "CMD" | "HEALTHCHECK" | "USER":
                self.last[instruction] = value
            case "COPY" | "LABEL" | "VOLUME" | "EXPOSE" | "STOPSIGNAL" | "COMMENT":
                pass
            case _:
                pytest.fail(f"{instruction} is new: say here what it does")

    def _variables(self, value: str) -> Iterator[tuple[str, str]]:
        for name in re.findall(r"(\w+)=", re.sub(r"\"(?:\\.|[^\"])*\"", '""', value)):
            found = re.search(rf'\b{name}=("(?:\\.|[^"])*"|\S+)', value)
            assert found
            text = found[1]
            yield name, json.loads(text) if text.startswith('"') else text

    def _copy(self, source: Path, target: Path) -> None:
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy2(source, target / source.name if target.is_dir() else target)

    def _run(self, command: list[str]) -> None:
        if command[0] == "useradd":
            return  # the machine's own accounts are no test's business
        if command[0] == "install" and os.geteuid() != 0:
            command = [word for word in command if not word.startswith(("--owner", "--group"))]
        command = [re.sub(r"^(--(?:owner|group))=hub$", r"\1=10001", word) for word in command]
        inherited = {name: os.environ[name] for name in os.environ if not name.startswith(("HUB_", "PYTHON"))}
        path = f"{self._base / 'bin'}:{os.environ['PATH']}"
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=inherited | self.environment | {"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode and AWAY.search(done.stderr) and os.environ.get("HUB_TESTS_REQUIRE_ALL") != "1":
            pytest.skip("the package index does not answer")
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"

    def choose_user(self) -> None:
        """Become the image's user, or root without any of root's powers where this machine's Python is below a closed home."""
        if os.geteuid() != 0:
            return
        user, _, group = self.last["USER"].partition(":")
        self._becoming = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", *POWERLESS]
        if subprocess.run([*self._becoming, sys.executable, "-c", ""], check=False).returncode != 0:
            self._becoming = ["setpriv", *POWERLESS]
            shutil.chown(self.root / "var/lib/hub", 0, 0)

    def as_its_user(self, command: list[str]) -> list[str]:
        """Return a command that runs under the image's user, without any way to become another."""
        return [*self._becoming, *command]

    def environment_of_a_container(self, more: Mapping[str, str]) -> dict[str, str]:
        return {**self.environment, "HOME": str(self.root / "var/lib/hub"), **more}


def contents(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let nobody but root write there, and hold against that what stands there afterwards."""
    subprocess.run(["chmod", "-R", "a-w", str(folder)], check=True)
    before = contents(folder)
    try:
        yield
        assert contents(folder) == before
    finally:
        subprocess.run(["chmod", "-R", "u+w", str(folder)], check=True)


def said(image: Image, *command: str) -> tuple[int, str]:
    done = subprocess.run(
        image.as_its_user([*command]),
        env=image.environment_of_a_container({}),
        cwd=image.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    with folder_for_services() as root:
        made = Image(root, (REPOSITORY / "deploy" / "Dockerfile").read_text(encoding="utf-8"))
        made.build()
        made.choose_user()
        yield made


@pytest.mark.timeout(600)
def test_the_image_holds_the_hub_with_both_clients_and_nothing_that_installs(image):
    python = str(image.root / "opt/hub/bin/python")

    assert said(image, str(image.root / "opt/hub/bin/hub"), "--version") == (0, f"hub {__version__}\n")
    assert said(image, python, "-c", "import aiokafka, asyncpg, hub.scaled.hub, uvloop")[0] == 0
    assert "No module named pip" in said(image, python, "-m", "pip")[1]


@pytest.mark.scenario
@pytest.mark.timeout(600)
async def test_the_container_serves_as_a_nobody_who_can_write_to_its_volume_alone(image):
    command = [
        *json.loads(image.at(image.last["ENTRYPOINT"])),
        *json.loads(image.last["CMD"]),
    ]
    port = free_port()
    environment = image.environment_of_a_container({"HUB_LISTEN__PORT": str(port)})
    hub = Program(image.as_its_user(command), image.root / "hub.log", environment=environment)

    with read_only(image.root / "opt"):
        await hub.start(r"^hub is ready at ", within=60)
        try:
            check = json.loads(image.at(image.last["HEALTHCHECK"].partition("CMD ")[2]))
            done = subprocess.run(  # noqa: ASYNC221 (the hub is another process)
                image.as_its_user(check), env=environment, check=False
            )
            assert done.returncode == 0
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", "/readyz")
            assert connection.getresponse().status == 200
            connection.close()
        finally:
            code = await hub.stop(within=30)
    assert code == 0
    assert any((image.root / "var/lib/hub").iterdir())
    after = subprocess.run(image.as_its_user(check), env=environment, capture_output=True, check=False)  # noqa: ASYNC221 (as above)
    assert after.returncode != 0
