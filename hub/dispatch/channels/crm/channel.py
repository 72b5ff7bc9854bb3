"""What carries CRM verbs out: one notifier for each verb, over all the CRMs the settings name."""

from collections.abc import Mapping
from typing import Final, final

from pydantic import ValidationError
from typing_extensions import override

from hub.dispatch.channels.crm.answers import Made, told_of
from hub.dispatch.channels.crm.newest import Newest
from hub.dispatch.channels.crm.profile import Profile
from hub.dispatch.channels.crm.wanted import CLIENT, PARAMS, Misfit, Wanted, named, wanted_by
from hub.dispatch.effects.notifier import Declined, Notifier, SendsOnce, Sent, Told
from hub.intents.checks import without_checks
from hub.intents.intent import Intent
from hub.intents.verbs import ToCrm

UPSERT: Final = "crm.upsert"


@final
class CrmChannel(Notifier, SendsOnce):
    """`profiles` are the CRMs by name; `newest` is shared by all the channels over them."""

    def __init__(self, verb: str, profiles: Mapping[str, Profile], newest: Newest) -> None:
        self._verb = verb
        self._profiles = profiles
        self._newest = newest

    @property
    @override
    def offers(self) -> frozenset[str]:
        return frozenset({self._verb})

    @property
    @override
    def sends_once(self) -> bool:
        """Say so where for one of the CRMs doing it twice is not doing it once."""
        return not all(profile.repeatable(self._verb) for profile in self._profiles.values())

    @override
    async def send(self, intent: Intent) -> Told:
        try:
            params = PARAMS[self._verb].model_validate_json(without_checks(intent).params)
        except ValidationError as problem:
            return Declined(f"the step cannot be read: {problem.errors()[0]['msg']}")
        assert isinstance(params, ToCrm)
        name = params.profile or (next(iter(self._profiles)) if len(self._profiles) == 1 else "")
        profile = self._profiles.get(name)
        if profile is None:
            there = ", ".join(sorted(self._profiles))
            said = f"there is no CRM {name}" if name else "there are several CRMs and the step names none"
            return Declined(f"{said}: `profile` is one of {there}")
        of = params.object or CLIENT
        rule = profile.objects.get(of)
        if rule is None:
            return Declined(f"{name} keeps no {of}: add it under crm.{name}.objects in hub.yaml")
        if self._verb not in profile.offers:
            return Declined(
                f"{name} does not say how it takes {self._verb}: add it to crm.{name} in hub.yaml"
            )
        resting = profile.line.resting()
        if resting is not None:
            return told_of(resting, again=True)
        wanted = wanted_by(intent, params)
        try:
            if self._verb == UPSERT:
                return await self._upsert(profile, f"{name}/{of}/{wanted.id}", of, wanted)
            # The names of `fields` are those of the record, not of what is added to it.
            fields = named(type(rule).model_construct(fields={}), wanted.record)
        except Misfit as problem:
            return Declined(str(problem))
        done = await profile.attach(of, wanted, fields)
        if isinstance(done, Made):
            return Sent(f"{wanted.kind} {done.id} was added".replace("  ", " "), made=done.id)
        return told_of(done, again=profile.repeatable(self._verb))

    async def _upsert(self, profile: Profile, record: str, of: str, wanted: Wanted) -> Told:
        fields = named(profile.objects[of], wanted.record)
        async with self._newest.alone(record):
            left = self._newest.left_of(record, fields, wanted.at)
            if fields and not left:
                return Sent("a newer step has written all of it already")
            done = await profile.upsert(of, wanted, left)
            if not isinstance(done, Made):
                return told_of(done, again=profile.repeatable(UPSERT))
            self._newest.wrote(record, left, wanted.at)
        verb = {True: "made", False: "updated", None: "written"}[done.new]
        return Sent(f"record {done.id} was {verb}".replace("  ", " "), made=done.id)
