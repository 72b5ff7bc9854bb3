"""Where the API takes what people start: checked, then into the log, for the owner of the key's partition."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import final

from typing_extensions import override

from hub import ids
from hub.api.ports import StartAsked, Starts
from hub.desks import Inputs
from hub.engine import keys
from hub.engine.keys import KeyKind
from hub.engine.programs import Programs
from hub.engine.rows import EngineStore
from hub.engine.starting import AskedFor, StartRefused, asked_for, manual_of
from hub.engine.starts import decode_start
from hub.engine.values import Kind
from hub.errors import StoreUnavailable


@final
class StartDesk(Starts):
    def __init__(self, programs: Programs, store: EngineStore, inputs: Inputs) -> None:
        self._programs = programs
        self._store = store
        self._inputs = inputs

    @override
    async def start(
        self,
        workflow: str,
        key: str,
        *,
        trigger: str | None,
        inputs: Mapping[str, str],
        name: str,
        by: str,
        permits: Callable[[str], bool],
    ) -> StartAsked | None:
        live = await self._programs.live() or ()
        found = next((each for each in live if each.id == workflow), None)
        if found is None:
            return None
        wanted = manual_of(found, trigger)
        if wanted.permission is not None and not permits(wanted.permission):
            raise StartRefused("permission", f"this key lacks {wanted.permission}", "use a key that has it")
        asked = asked_for(found, key, trigger=trigger, inputs=inputs, name=name, by=by)
        if (known := await self._told_before(asked)) is not None:
            return known
        await self._see_that_it_is_known(key, asked.input.partition)
        await self._inputs.append((), inputs=(asked.input,))
        # Two at once found nothing before them, and one of them stands: who gave other inputs hears that it is not his.
        with suppress(
            StoreUnavailable
        ):  # what is in the log counts, and nobody may think that nothing was done
            await self._told_before(asked)
        return StartAsked(asked.run, duplicate=False)

    async def _told_before(self, asked: AskedFor) -> StartAsked | None:
        assert asked.input.unique is not None
        row = await self._inputs.find(ids.hashed(0, asked.input.unique))
        if row is None:
            return None
        if decode_start(row.body).inputs != decode_start(asked.input.body).inputs:
            raise StartRefused(
                "idempotency_key",
                "it was used before, with other inputs",
                "give every request its own, and repeat one only with the same inputs",
            )
        return StartAsked(asked.run, duplicate=True)

    async def _see_that_it_is_known(self, key: str, partition: int) -> None:
        if keys.kind_of(key) is KeyKind.ALL:
            return
        states = (await self._store.load([(partition, key)]))[key].states
        heard = {kind for kind, _, _ in states}
        if Kind.ACCOUNT in heard if keys.kind_of(key) is KeyKind.ACCOUNT else heard:
            return
        raise StartRefused("key", f"nothing was ever heard of {key}", "look at how it is written")
