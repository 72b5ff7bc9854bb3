"""The check of repeated copies goes red for what it is there to find."""

from chaos.repeats import Kill, unexplained

KILLS = [Kill(10.0, 11.0), Kill(20.0, 21.0)]


def told(copies: dict[str, list[float]], recorded: dict[str, int], most_a_kill: int = 16) -> list[str]:
    return list(unexplained(copies, recorded, KILLS, most_a_kill=most_a_kill))


def test_copies_that_are_all_on_record_need_no_kill() -> None:
    assert told({"evt_a": [1.0], "evt_b": [2.0, 2.5, 3.0]}, {"evt_a": 1, "evt_b": 3}) == []


def test_a_copy_in_flight_when_a_kill_struck_is_explained_by_it() -> None:
    in_time, read_late, sent_early = [9.99, 11.5], [10.01, 11.5], [9.99, 10.9]

    assert told({"a": in_time, "b": read_late, "c": sent_early}, {"a": 1, "b": 1, "c": 1}) == []


def test_one_kill_explains_one_copy_of_an_event() -> None:
    assert told({"evt_a": [9.9, 11.5, 19.9, 21.5]}, {"evt_a": 2}) == []
    assert "evt_a arrived 4 times" in told({"evt_a": [9.9, 11.5, 12.0, 12.5]}, {"evt_a": 2})[0]


def test_a_copy_sent_twice_by_one_hub_is_found() -> None:
    assert "evt_a arrived 2 times, 1 attempts are on record" in told({"evt_a": [12.0, 12.1]}, {"evt_a": 1})[0]


def test_a_copy_of_an_event_nobody_is_owed_is_found() -> None:
    assert "evt_a arrived 1 times, 0 attempts" in told({"evt_a": [12.0]}, {})[0]


def test_kills_that_repeat_more_than_was_in_flight_are_found() -> None:
    names = [f"evt_{number}" for number in range(9)]
    copies, recorded = {name: [9.0, 11.5] for name in names}, dict.fromkeys(names, 1)

    assert told(copies, recorded, 5) == []
    assert told(copies, recorded, 4) == ["2 kills repeated 9 attempts, more than 4 each"]
