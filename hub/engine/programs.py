"""Which workflows decide which partition: manifests, versions, and the programs built of them."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import PurePath
from secrets import token_hex

import msgspec
import structlog
from msgspec import UNSET, UnsetType

from hub.bus.log import InputKind, NewInput
from hub.engine.index import Program
from hub.engine.keys import KeyedBy
from hub.engine.ledgers import workflow_of
from hub.engine.manifest import Manifest
from hub.engine.program import Mode, Unread, Workflow
from hub.engine.program_timed import Trip
from hub.engine.rows import EngineStore
from hub.engine.state import KeyState
from hub.engine.values import Kind, decode_value
from hub.errors import HubError, StoreError
from hub.ids import PARTITIONS

# From a stored text and its workflow's id to the workflow; raises HubError when this hub cannot load it any more.
Compile = Callable[[str, str], Workflow]

log = structlog.get_logger(__name__)


class Listed(msgspec.Struct, frozen=True):
    """One workflow of a manifest; `mode` stands beside the text because an operator may set it apart from the file.

    `stopped` is written only where it is so: a manifest that says nothing new stays the same, byte for byte.
    """

    id: str
    hash: str
    mode: Mode
    file: str = ""  # its name: which workflow a file held that cannot be read any more
    trip: Trip | None = None  # here as well, for those who count and compile nothing
    stopped: bool | UnsetType = UNSET


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
        # What the store said of each partition, for whoever takes up its work.
        self.stands: dict[int, Manifest] = {}
        self._activated: frozenset[str] = frozenset()

    async def activate(
        self,
        workflows: Sequence[Workflow],
        unread: Sequence[Unread] = (),
        stopped: Collection[str] | None = None,
    ) -> bool:
        """Store the versions and their manifest, and tell every partition; False when just these are live already.

        What was live of a file that cannot be read now stays live: an error in typing takes no limit away. Of those
        `stopped` says which are in shadow because of their breakers; None: as they were.
        """
        active = await self._store.active()
        was = _decode(active).workflows if active is not None else []
        self._activated = frozenset(workflow.hash for workflow in workflows)
        for workflow in workflows:
            self._workflows[workflow.hash] = workflow
            if all(each.hash != workflow.hash for each in was):
                await self._store.save_version(workflow.hash, workflow.id, workflow.text)
        listed = [
            Listed(
                each.id,
                each.hash,
                each.mode,
                PurePath(each.place.path).name,
                each.trip,
                each.stopped or UNSET,
            )
            for each in workflows
        ] + [_as_stopped(each, stopped) for each in _kept(was, unread, {each.id for each in workflows})]
        manifest = _encode(ManifestText(sorted(listed, key=lambda each: each.id))).decode()
        if active == manifest:
            return False
        name = sha256(manifest.encode()).hexdigest()
        await self._store.save_version(name, "", manifest)
        # One word for all partitions: the same set may be activated again, and each time is another.
        word = token_hex(8).encode()
        inputs = [NewInput(partition, InputKind.ACTIVATED, "", name, word) for partition in range(PARTITIONS)]
        await self._store.activate(manifest, inputs)
        return True

    async def live(self) -> Sequence[Workflow] | None:
        """Return the workflows last activated, in order of id; None before anybody has activated any."""
        active = await self._store.active()
        if active is None:
            return None
        found = [await self._workflow(each) for each in _decode(active).workflows]
        return [workflow for workflow in found if workflow is not None]

    async def trips(self) -> Mapping[str, Trip]:
        """Return the circuit breakers of the workflows last activated, by id."""
        active = await self._store.active()
        listed = _decode(active).workflows if active is not None else ()
        return {each.id: each.trip for each in listed if each.trip is not None}

    def of(self, partition: int) -> Program:
        return self._current[partition]

    def forget(self) -> None:
        self._current.clear()
        self.stands.clear()

    def switch(self, partition: int, program: Program, stands: Manifest) -> None:
        self._current[partition], self.stands[partition] = program, stands

    async def ready(self, partitions: Iterable[int]) -> None:
        """Read which program each partition had when we last stopped; for the loop alone, which hears of what comes after."""
        for partition in partitions:
            if partition not in self._current:
                self._current[partition], self.stands[partition] = await self._stored(partition)

    async def standing(self, partition: int) -> tuple[Program, Manifest]:
        """Return what decides a partition, for whoever is not the loop, and may be in a process that has none."""
        known = self._current.get(partition)
        return (known, self.stands[partition]) if known is not None else await self._stored(partition)

    async def _stored(self, partition: int) -> tuple[Program, Manifest]:
        rows = (await self._store.load([(partition, "")])).get("")
        stands = Manifest("")
        for kind, _, value in rows.states if rows is not None else ():
            found = decode_value(kind, value) if kind == Kind.PROGRAM else None
            if isinstance(found, Manifest):
                stands = found
        return await self.load(stands.hash), stands

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
        self._drop_unused()
        self._programs[name] = program
        return program

    def _drop_unused(self) -> None:
        """Forget programs no partition has or is about to have; files may be edited all day."""
        used = {""}
        for stands in self.stands.values():
            used |= {stands.hash, stands.to_come, *(each.hash for each in stands.behind)}
        self._programs = {name: self._programs[name] for name in self._programs if name in used}
        needed = set(self._activated).union(
            *(each.hashes for program in self._programs.values() for each in program.all_kinds)
        )
        self._workflows = {name: each for name, each in self._workflows.items() if name in needed}

    async def pin(self, program: Program, kind: KeyedBy, version: str, workflow: str) -> None:
        """Have the version a run or a ledger began with at hand."""
        program = program.keep(kind)
        if program.version(version, workflow) is None:
            found = await self._workflow(Listed(workflow, version, Mode.LIVE))
            if found is not None:
                program.pin(found)

    async def pin_ledgers(self, program: Program, state: KeyState) -> None:
        """Have at hand the versions the ledgers of a key were booked by."""
        own = program.of(state.kind)
        for name, ledger in state.ledgers:
            if own.version(ledger.version, workflow_of(name)) is None:
                await self.pin(program, state.kind, ledger.version, workflow_of(name))

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
        stands = (listed.mode, listed.stopped is True)
        if (workflow.mode, workflow.stopped) == stands:
            return workflow
        return replace(workflow, mode=listed.mode, stopped=listed.stopped is True)


def _as_stopped(listed: Listed, stopped: Collection[str] | None) -> Listed:
    """Return a workflow nobody can read now as its breaker has it."""
    if stopped is not None and listed.mode is Mode.LIVE and listed.id in stopped:
        return msgspec.structs.replace(listed, mode=Mode.SHADOW, stopped=True)
    if stopped is not None and listed.stopped is True and listed.id not in stopped:
        return msgspec.structs.replace(listed, mode=Mode.LIVE, stopped=UNSET)
    return listed


def _kept(was: Iterable[Listed], unread: Sequence[Unread], loaded: Collection[str]) -> list[Listed]:
    """Return what was live and comes from a file that cannot be read: known by its id, or else by the file's name."""
    ids = {each.workflow for each in unread if each.workflow is not None}
    nameless = {each.file for each in unread if each.workflow is None}
    return [each for each in was if each.id not in loaded and (each.id in ids or each.file in nameless)]
