"""A journal as it is stored, and the decisions it leads to when it is decided again, as bytes.

As a program it prints those decisions of the stored journal, for whoever compares what two interpreters make of it.
"""

import gzip
import json
import sys
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import msgspec

from hub.bus.log import Input, InputKind
from hub.engine.backtest import Tally
from hub.engine.decide import advance, realign
from hub.engine.decision import Decision, apply, to_batch
from hub.engine.index import Program
from hub.engine.load_text import load_text
from hub.engine.program import Mode, Workflow
from hub.engine.rehearsal import Rehearsal
from hub.engine.state import KeyState

STORED = Path(__file__).parent / "demo.ndjson.gz"
_encode = msgspec.json.Encoder().encode
# What the demo has not: other keys, waits, windows that slide, sets of words, and what is published and heard again.
BESIDE = """
schema: 1
id: beside-{kind}
title: beside
owner: tests
mode: live
key: {kind}
aggregates:
  lots: {{from: trade.closed, sum: event.lots, window: {{sliding: 5s}}}}
  symbols: {{from: trade.closed, distinct: event.symbol, window: {{calendar: day, tz: Europe/Nicosia}}}}
when:
  - {{id: many, becomes: lots > 2}}
  - {{id: broad, becomes: symbols > 1}}
  - {{id: told, event: custom.seen}}
steps:
  - if: trigger.id == "told"
    then: [{{stop: heard}}]
  - id: more
    wait: {{event: trade.closed, timeout: 3s}}
  - {{do: event.publish, with: {{type: custom.seen, data: {{lots: = lots, late: = steps.more.timed_out}}}}}}
"""


@dataclass(frozen=True, slots=True)
class Journal:
    workflows: tuple[Workflow, ...]
    rows: tuple[Input, ...]
    intents: tuple[str, ...]  # that the hub decided when it was taken


def load(path: Path = STORED) -> Journal:
    header, *lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    told = json.loads(header)
    listed = json.loads(told["manifest"])["workflows"]
    workflows = tuple(_workflow(told["versions"][each["hash"]], each["mode"]) for each in listed)
    rows = [json.loads(line) for line in lines]
    inputs = tuple(Input(**(row | {"body": row["body"].encode()})) for row in rows)
    return Journal(workflows, inputs, tuple(told["intents"]))


def _workflow(text: str, mode: str) -> Workflow:
    report = load_text(text, "journal.yaml")
    assert report.workflow is not None, [str(problem) for problem in report.problems]
    return replace(report.workflow, mode=Mode(mode))


def decided(journal: Journal) -> list[Decision]:
    """Decide every row in the order of the log."""
    programs: dict[int, Program] = {}
    states: dict[str, KeyState] = {}
    live, made = Program(journal.workflows), list[Decision]()
    for row in journal.rows:
        if row.kind == InputKind.ACTIVATED:
            programs[row.partition] = live
            for state in [state for state in states.values() if state.partition == row.partition]:
                made.append(realign(live, state, row))
                apply(state, made[-1])
        elif row.key:
            state = states.setdefault(row.key, KeyState(row.partition, row.key))
            made += advance(programs[row.partition], state, row)
    return made


def as_bytes(decisions: list[Decision]) -> bytes:
    """Return everything that would be written, in the order it was decided in."""
    return b"\n".join(_encode(to_batch(decision)) for decision in decisions)


def rehearsed(journal: Journal) -> bytes:
    """Return what other workflows make of the same events."""
    kinds = ("account", "client", "symbol", "group", "all")
    tally = Tally()
    rehearsal = Rehearsal([_workflow(BESIDE.format(kind=kind), "live") for kind in kinds], tally)
    rehearsal.tell(journal.rows)
    rehearsal.until(journal.rows[-1].at + 60_000_000)
    assert not rehearsal.broken, rehearsal.broken
    return repr((tally.touches, sorted(tally.held_back.items()))).encode()


def main() -> None:
    journal = load()
    decisions = decided(journal)
    for decision in decisions:
        for intent in decision.intents:
            print(intent.key)
    told = rehearsed(journal)
    print(
        len(decisions),
        sha256(as_bytes(decisions)).hexdigest(),
        told.count(b"Touch("),
        sha256(told).hexdigest(),
    )


if __name__ == "__main__":
    sys.exit(main())
