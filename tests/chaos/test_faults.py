"""What the faults read in a log is what a process believes."""

from chaos.faults import held

GAINED = '{"kind": "endpoint", "names": 2, "event": "ownership.gained", "level": "info"}'
LOST = '{"kind": "endpoint", "names": 1, "event": "ownership.lost", "level": "info"}'


def test_a_process_holds_what_it_gained_and_did_not_lose() -> None:
    assert held("") == 0
    assert held(f"hub is ready at …\n{GAINED}\nnoise\n{LOST}\n") == 1
    assert held(f"{GAINED}\n{LOST}\n{LOST}\n") == 0
