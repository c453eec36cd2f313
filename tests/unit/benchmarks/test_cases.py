import pytest

from benchmarks.cases import CASES, HUB, SERVERS, WIRE, named
from benchmarks.goals import HUB_FLOORS


def test_no_two_cases_have_one_name() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def test_all_servers_of_a_case_can_be_started() -> None:
    for case in CASES:
        assert set(case.servers) <= SERVERS
        assert set(case.quick) <= set(case.servers)


def test_every_floor_compares_servers_that_the_case_measures() -> None:
    for case in named(",".join(HUB_FLOORS)):
        assert {WIRE, HUB} <= set(case.servers)
        assert {WIRE, HUB} <= set(case.quick)


def test_cases_are_chosen_by_name_in_the_order_given() -> None:
    assert [case.name for case in named(" join-storm, hot-room ")] == ["join-storm", "hot-room"]
    assert named("") == CASES


def test_an_unknown_case_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="no case is called warm-room; there are hot-room, "):
        named("hot-room,warm-room")
