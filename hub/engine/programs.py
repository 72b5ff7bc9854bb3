"""Which workflows decide which partition: manifests, versions, and the programs built of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from hashlib import sha256

import msgspec
import structlog

from hub.bus.log import InputKind, NewInput
from hub.engine.index import Program
from hub.engine.keys import KeyKind
from hub.engine.program import Mode, Workflow
from hub.engine.rows import EngineStore
from hub.engine.state import Kind, Manifest, decode_value
from hub.errors import HubError, StoreError
from hub.ids import PARTITIONS

# From a stored text and its workflow's id to the workflow; raises HubError when this hub cannot load it any more.
Compile = Callable[[str, str], Workflow]

log = structlog.get_logger(__name__)


class Listed(msgspec.Struct, frozen=True):
    """One workflow of a manifest; `mode` stands beside the text because an operator may set it apart from the file."""

    id: str
    hash: str
    mode: Mode


class ManifestText(msgspec.Struct, frozen=True):
    workflows: list[Listed]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ManifestText).decode


class Programs:
    """Every partition has the program its last ACTIVATED input named; partitions that agree share one."""

    def __init__(self, store: EngineStore, compile_version: Compile) -> None:
        self._store = store
        self._compile = compile_version
        self._workflows: dict[str, Workflow] = {}
        self._programs: dict[str, Program] = {"": Program(())}
        self._current: dict[int, Program] = {}

    async def activate(self, workflows: Sequence[Workflow]) -> bool:
        """Store the versions and their manifest, and tell every partition; False when just these are live already."""
        for workflow in workflows:
            self._workflows[workflow.hash] = workflow
            await self._store.save_version(workflow.hash, workflow.id, workflow.text)
        listed = [
            Listed(each.id, each.hash, each.mode) for each in sorted(workflows, key=lambda each: each.id)
        ]
        manifest = _encode(ManifestText(listed)).decode()
        if await self._store.active() == manifest:
            return False
        name = sha256(manifest.encode()).hexdigest()
        await self._store.save_version(name, "", manifest)
        inputs = [NewInput(partition, InputKind.ACTIVATED, "", name, b"") for partition in range(PARTITIONS)]
        await self._store.activate(manifest, inputs)
        return True

    def of(self, partition: int) -> Program:
        return self._current[partition]

    def forget(self) -> None:
        self._current.clear()

    def switch(self, partition: int, program: Program) -> None:
        self._current[partition] = program

    async def ready(self, partitions: Iterable[int]) -> None:
        """Read which program each partition had when we last stopped."""
        missing = [partition for partition in partitions if partition not in self._current]
        for partition in missing:
            rows = (await self._store.load([(partition, "")])).get("")
            name = ""
            for kind, _, value in rows.states if rows is not None else ():
                found = decode_value(kind, value) if kind == Kind.PROGRAM else None
                if isinstance(found, Manifest):
                    name = found.hash
            # While we read, the loop may have switched the partition: what it says stands.
            program = await self.load(name)
            self._current.setdefault(partition, program)

    async def load(self, name: str) -> Program:
        """Return the program of a manifest; a version that does not load any more is left out, and said."""
        known = self._programs.get(name)
        if known is not None:
            return known
        text = await self._store.version(name)
        if text is None:
            raise StoreError(
                f"the manifest {name} of the live workflows is not in the store: activate them again"
            )
        workflows = [await self._workflow(each) for each in _decode(text).workflows]
        program = Program(workflow for workflow in workflows if workflow is not None)
        self._programs[name] = program
        return program

    async def pin(self, partition: int, kind: KeyKind, version: str, workflow: str) -> None:
        """Have the version a run began with at hand."""
        program = self._current[partition].of(kind)
        if program.version(version, workflow) is None:
            found = await self._workflow(Listed(workflow, version, Mode.LIVE))
            if found is not None:
                program.pin(found)

    async def _workflow(self, listed: Listed) -> Workflow | None:
        workflow = self._workflows.get(listed.hash)
        if workflow is None:
            text = await self._store.version(listed.hash)
            try:
                if text is None:
                    raise StoreError("its text is not in the store")
                workflow = self._workflows[listed.hash] = self._compile(text, listed.id)
            except HubError as problem:
                log.warning(
                    "workflow.not_loaded", workflow=listed.id, version=listed.hash, reason=str(problem)
                )
                return None
        return workflow if workflow.mode is listed.mode else replace(workflow, mode=listed.mode)
