from dataclasses import replace

import pytest

from benchmarks.cases import CASES, GRPCIO, HUB, WIRE, Case, Dialect, named
from benchmarks.plan import FULL, QUICK, Pace, Stage, make_plan, quick_cases

CASE = Case("case", "", (WIRE, GRPCIO, HUB), rooms=1, streams=10, connections=1)


def measured(stage: Stage) -> list[tuple[str, str]]:
    return [(each.case.name, each.server) for each in stage.measurements]


@pytest.mark.parametrize(
    ("cases", "pace"), [(CASES, FULL), (quick_cases(CASES), QUICK)], ids=["full", "quick"]
)
def test_everything_is_planned_to_end_within_the_limit(cases: tuple[Case, ...], pace: Pace) -> None:
    assert sum(stage.seconds for stage in make_plan(cases, pace)) < pace.limit


def test_the_servers_of_a_case_take_turns() -> None:
    (stage,) = make_plan([replace(CASE, rounds=3)], FULL)
    assert [server for _, server in measured(stage)] == [
        *(WIRE, GRPCIO, HUB),
        *(HUB, GRPCIO, WIRE),
        *(WIRE, GRPCIO, HUB),
    ]


def test_cases_that_are_compared_take_turns() -> None:
    few, many = (
        replace(CASE, name=name, servers=(WIRE,), rounds=3, compared_as="rooms")
        for name in ("few", "many")
    )
    (stage,) = make_plan([CASE, few, many, replace(CASE, name="last", servers=(HUB,))], FULL)
    assert [name for name, _ in measured(stage)] == [
        *("case", "case", "case"),
        *("few", "many"),
        *("many", "few"),
        *("few", "many"),
        "last",
    ]


def test_cases_share_running_servers_where_they_can() -> None:
    other = replace(CASE, name="other", servers=(HUB,))
    (stage,) = make_plan([CASE, other], FULL)
    assert stage.servers == (WIRE, GRPCIO, HUB)
    assert measured(stage)[-1] == ("other", HUB)


def test_another_number_of_gateways_or_another_service_takes_servers_of_its_own() -> None:
    more = replace(CASE, name="more", gateways=2)
    tutorial = replace(CASE, name="tutorial", dialect=Dialect.TUTORIAL)
    stages = make_plan([CASE, more, tutorial], FULL)
    assert [stage.gateways for stage in stages] == [1, 2, 1]
    assert [{name for name, _ in measured(stage)} for stage in stages] == [
        {"case"},
        {"more"},
        {"tutorial"},
    ]


def test_memory_is_measured_of_servers_that_did_nothing_before() -> None:
    stages = make_plan([replace(CASE, alone=True)], FULL)
    assert [(stage.servers, len(stage.measurements)) for stage in stages] == [
        ((WIRE,), 1),
        ((GRPCIO,), 1),
        ((HUB,), 1),
    ]


def test_peers_take_part_where_it_is_the_load_that_counts() -> None:
    shared, several, alone = (
        CASE,
        replace(CASE, name="several", gateways=2),
        replace(CASE, name="alone", servers=(WIRE,), alone=True),
    )
    stages = make_plan([shared, several, alone], FULL, ["peer"])
    assert ["peer" in stage.servers for stage in stages] == [True, False, False]


def test_a_quick_run_measures_its_servers_once() -> None:
    (quick,) = quick_cases(named("hot-room-own,rooms-10"))
    assert (quick.name, quick.servers, quick.rounds) == ("hot-room-own", (WIRE, HUB), 1)
