"""The README and the quickstart, typed as a reader would, on real processes: they end with a verified webhook."""

import asyncio
import os
import re
import shutil
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from doc_blocks import DOCS, README, REPOSITORY, Block, Command, blocks
from processes.harness import free_port
from processes.program import Program, eventually

COPIED = ("Makefile", "pyproject.toml", "requirements.lock", "requirements-dev.lock", "workflows")
PLACEHOLDERS = {"hub_…": r"hub_[0-9a-f]{64}", "whsec_…": r"whsec_[A-Za-z0-9+/]+=*"}
# What one terminal remembers from one command to the next.
LASTING = ("export ", "source ")
PATIENCE = 30.0
FROM_OUTSIDE = {name for name in os.environ if name.startswith("HUB_")}
FORGETTING = [f"unset {name}" for name in sorted(FROM_OUTSIDE - {"HUB_LISTEN__PORT", "HUB_URL"})]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a folder as `git clone` and a first `make setup` leave it: the environment is the one the tests run in."""
    for name in COPIED:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name)
        else:
            shutil.copy2(source, tmp_path / name)
    environment = tmp_path / ".venv"
    environment.mkdir()
    (environment / "bin").symlink_to(Path(sys.executable).parent)
    (environment / "ready").touch()
    return tmp_path


class Reader:
    """Types the blocks of a page in order, puts in what was printed, and holds the answers against the page."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder = folder
        self.printed = ""
        self.programs: dict[str, Program] = {}
        self.ports = {"8800": str(free_port()), "9000": str(free_port())}
        self._stack = stack
        self._terminal: list[str] = []
        self._environment = {
            **{name: value for name, value in os.environ.items() if name not in FROM_OUTSIDE},
            "HUB_LISTEN__PORT": self.ports["8800"],
            "HUB_URL": f"http://127.0.0.1:{self.ports['8800']}",
            "COLUMNS": "200",
        }

    async def follow(self, block: Block) -> None:
        if block.elsewhere:
            await self._start(block)
            return
        for command in block.commands:
            text = self._filled(command.text)
            if text.startswith(LASTING):
                self._terminal.append(text)
            else:
                holds(await self._run(text), self._shown(command), str(block))

    async def _run(self, text: str) -> str:
        for program in self.programs.values():
            program.insist()  # with its last words, before a command complains that nobody answers
        script = "\n".join([*self._terminal, text])
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-e",
            "-c",
            script,
            cwd=self.folder,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate()
        said = out.decode()
        assert process.returncode == 0, f"{text}\n{said}\n{err.decode()}"
        self.printed += said
        return said

    async def _start(self, block: Block) -> None:
        """Run a block whose last command goes on, until that has said everything the page shows."""
        *before, last = block.commands
        script = "\n".join(
            [*(self._filled(command.text) for command in before), f"exec {self._filled(last.text)}"]
        )
        name = " ".join(last.text.split()[:2])
        program = Program(
            ["bash", "-e", "-c", "\n".join([*FORGETTING, f"cd '{self.folder}'", script])],
            self.folder / f"{name.replace(' ', '-')}.log",
            environment=self._environment,
        )
        shown = list(self._shown(last))
        await program.start(f"^{shown[-1]}$", within=PATIENCE)
        self._stack.push_async_callback(program.stop)
        self.programs[name] = program
        self.printed += program.output()
        holds(program.output(), shown, str(block))

    def _filled(self, text: str) -> str:
        for placeholder, pattern in PLACEHOLDERS.items():
            if placeholder in text:
                found = set(re.findall(pattern, self.printed))
                assert len(found) == 1, f"{placeholder}: {len(found)} were printed"
                text = text.replace(placeholder, found.pop())
        return self._elsewhere(text)

    def _shown(self, command: Command) -> Iterator[str]:
        """Yield a pattern for each line the page shows; … stands for anything."""
        for line in command.shown:
            yield ".*".join(re.escape(part) for part in self._elsewhere(line).split("…"))

    def _elsewhere(self, text: str) -> str:
        for usual, free in self.ports.items():
            text = re.sub(rf"\b{usual}\b", free, text)
        return text


def holds(said: str, shown: Sequence[str] | Iterator[str], where: str) -> None:
    """Check that every line the page shows was said, in that order."""
    lines = iter(said.splitlines())
    for pattern in shown:
        assert any(re.fullmatch(pattern, line) for line in lines), f"{where}: not said: {pattern}\n{said}"


@asynccontextmanager
async def typed(page: Path, folder: Path, *, until_block: int | None = None) -> AsyncIterator[Reader]:
    async with AsyncExitStack() as stack:
        reader = Reader(folder, stack)
        for block in blocks(page, "console")[:until_block]:
            await reader.follow(block)
        yield reader


async def verified(reader: Reader, kind: str) -> None:
    receiver = reader.programs["hub receive"]
    await eventually(
        lambda: f"verified {kind} evt_" in receiver.output(), within=PATIENCE, what=f"{kind} is verified"
    )


async def test_the_readme_leads_to_a_verified_webhook(clone):
    async with typed(README, clone) as reader:
        await verified(reader, "trade.closed")


async def test_the_quickstart_leads_to_a_verified_webhook_of_a_rule(clone):
    *_, last = blocks(DOCS / "quickstart.md", "console")
    async with typed(DOCS / "quickstart.md", clone, until_block=-1) as reader:
        await verified(reader, "trade.closed")
        await verified(reader, "custom.big_close")

        await reader.follow(last)

        assert unexplained_metrics(reader) == set()


async def test_a_page_that_shows_another_answer_is_found_out(clone):
    page = clone / "page.md"
    page.write_text("```console\n$ echo one\n1\n```\n", encoding="utf-8")

    with pytest.raises(AssertionError, match="not said: 1"):
        async with typed(page, clone):
            pass


def unexplained_metrics(reader: Reader) -> set[str]:
    """Return the names a running hub shows at /metrics that the page for operators does not explain."""
    key = re.findall(PLACEHOLDERS["hub_…"], reader.printed)[0]
    request = urllib.request.Request(
        f"http://127.0.0.1:{reader.ports['8800']}/metrics", headers={"X-API-Key": key}
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        names = set(re.findall(r"^# TYPE (\S+)", response.read().decode(), re.MULTILINE))
    assert names
    text = (DOCS / "operating.md").read_text(encoding="utf-8")
    return {name for name in names if f"`{name}`" not in text}
