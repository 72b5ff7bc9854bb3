"""What a workflow needs of the configuration and does not find there: told before a run fails for it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from hub.engine.check_channels import Channels, unset_channels
from hub.engine.check_crms import Crms, unknown_crms
from hub.engine.load import LoadedSet
from hub.engine.problems import Problem, Severity
from hub.engine.program import Workflow
from hub.engine.program_steps import steps_of


@dataclass(frozen=True, slots=True)
class Setup:
    """What is configured; None where nobody knows, and then nothing is said.

    `secrets` by name, `channels` by the section of hub.yaml with their teams, `crms` with what each takes and keeps.
    """

    secrets: frozenset[str] | None = None
    channels: Channels | None = None
    crms: Crms | None = None

    def problems(self, workflow: Workflow) -> Iterator[Problem]:
        """Yield what would be refused, or fail."""
        steps = list(steps_of((*workflow.steps, *workflow.on_error)))
        if self.secrets is not None:
            yield from missing_secrets(workflow, self.secrets)
        if self.channels is not None:
            yield from unset_channels(workflow.id, steps, self.channels)
        if self.crms is not None:
            yield from unknown_crms(steps, self.crms)

    def told(self, loaded: LoadedSet) -> LoadedSet:
        """Return the set with a warning wherever a workflow does not find what it needs."""
        reports = tuple(
            replace(report, problems=(*report.problems, *self.problems(report.workflow)))
            if report.workflow is not None
            else report
            for report in loaded.reports
        )
        return replace(loaded, reports=reports)


def missing_secrets(workflow: Workflow, known: frozenset[str]) -> Iterator[Problem]:
    """Yield the secrets a workflow names and the configuration does not have: the steps would fail."""
    for step in steps_of((*workflow.steps, *workflow.on_error)):
        for name in sorted(step.secrets - known):
            yield Problem(
                step.place or workflow.place,
                f"the secret {name} is not set: add it under `secrets` in hub.yaml, or set HUB_SECRETS__{name.upper()}",
                Severity.WARNING,
            )
