"""A journal taken of the demo, decided again: the same intents as then, and the same bytes under any hash seed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from journals import journal
from journals.journal import Journal

from hub.bus.log import InputKind
from hub.engine.alone import load_alone
from hub.engine.backtest import Tally
from hub.engine.misses import misses
from hub.engine.rehearsal import Rehearsal

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def stored() -> Journal:
    return journal.load()


def decided_under(seed: int) -> bytes:
    return subprocess.run(
        [sys.executable, str(ROOT / "tests" / "journals" / "journal.py")],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
    ).stdout


def test_two_interpreters_with_other_hash_seeds_decide_the_same_bytes():
    first, second = decided_under(1), decided_under(2)

    assert first == second
    assert len(first.splitlines()) > 20  # intents, one a line, and the digest of everything


def test_it_leads_to_the_intents_the_hub_decided_when_it_was_taken(stored):
    found = sorted(intent.key for decision in journal.decided(stored) for intent in decision.intents)

    assert tuple(found) == stored.intents


def test_every_outcome_in_it_is_of_an_intent_that_is_decided_again(stored):
    outcomes = {row.ref for row in stored.rows if row.kind == InputKind.OUTCOME}

    assert outcomes
    assert outcomes <= set(stored.intents)


def test_it_holds_what_a_hub_decides_about(stored):
    kinds = {InputKind(row.kind) for row in stored.rows}

    assert kinds >= {InputKind.EVENT, InputKind.OUTCOME, InputKind.ACTIVATED, InputKind.COMMAND}
    assert len(stored.rows) > 300


def test_the_same_events_told_to_other_workflows_lead_to_something(stored):
    assert journal.rehearsed(stored).count(b"Touch(") > 10


SHIPPED = [
    path for path in sorted((ROOT / "workflows").glob("*.yaml")) if not path.name.endswith(".test.yaml")
]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_workflow_can_be_told_the_journal(stored, path):
    workflow = load_alone(path).workflow
    assert workflow is not None
    rehearsal = Rehearsal([workflow], Tally(), people="approve")

    rehearsal.tell(stored.rows)
    rehearsal.until(stored.rows[-1].at + 90 * 86_400_000_000)

    assert rehearsal.broken == []
    # Nobody in the journal asks for money, so what is kept by request has nobody to be asked of.
    by_request = {"deposit-approval", "withdrawal-approval"}
    assert (misses(rehearsal, workflow).asked > 0) is (path.stem not in by_request)
