"""The schedule of faults, drawn from the seed."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chaos.faults import EVERYONE, KINDS, Site
from tests.chaos.injector import INJECTIONS
from tests.chaos.plan import Plan
from tests.chaos.schedule import CALM_SECONDS, Fault, draw_schedule

plans = st.builds(
    Plan,
    seed=st.integers(0, 1_000_000),
    seconds=st.floats(1, 300),
    kinds=st.lists(st.sampled_from(list(KINDS)), unique=True).map(tuple),
    gateways=st.integers(1, 4),
    histories=st.integers(1, 3),
)


def _active(faults: list[Fault], time: float) -> list[Fault]:
    return [fault for fault in faults if fault.at <= time < fault.at + fault.seconds]


@settings(deadline=None)
@given(plans)
def test_the_same_plan_gives_the_same_schedule(plan: Plan) -> None:
    assert draw_schedule(plan) == draw_schedule(plan)


def test_another_seed_gives_another_schedule() -> None:
    schedules = {tuple(draw_schedule(Plan(seed=seed))) for seed in range(20)}
    assert len(schedules) == 20


@settings(deadline=None)
@given(plans)
def test_faults_come_in_order_after_a_calm_begin_and_are_over_by_the_end(plan: Plan) -> None:
    faults = draw_schedule(plan)
    assert all(first.at < second.at for first, second in pairwise(faults))
    for fault in faults:
        assert fault.at >= CALM_SECONDS
        assert fault.at + fault.seconds <= plan.seconds


@settings(deadline=None)
@given(plans)
def test_at_most_two_faults_are_active_and_never_two_on_one_target(plan: Plan) -> None:
    faults = draw_schedule(plan)
    for fault in faults:
        active = _active(faults, fault.at)
        assert len(active) <= 2
        if len(active) == 2:
            targets = {each.target for each in active}
            assert len(targets) == 2
            assert EVERYONE not in targets


@settings(deadline=None)
@given(plans)
def test_a_fault_is_of_a_kind_asked_for_and_hits_what_there_is(plan: Plan) -> None:
    for fault in draw_schedule(plan):
        kind = KINDS[fault.kind]
        assert fault.kind in plan.kinds
        assert kind.shortest <= fault.seconds <= kind.longest
        match kind.site:
            case Site.REDIS | Site.READERS | Site.HISTORIES:
                assert fault.target == EVERYONE
            case Site.HISTORY:
                assert fault.target in plan.history_names
            case Site.LINK:
                assert fault.target in (EVERYONE, *plan.gateway_names, *plan.history_names)
            case Site.GATEWAY_LINK:
                assert fault.target in (EVERYONE, *plan.gateway_names)
            case _:
                assert fault.target in plan.gateway_names


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_a_run_of_the_usual_length_holds_every_kind(seed: int) -> None:
    assert {fault.kind for fault in draw_schedule(Plan(seed=seed))} == set(KINDS)


def test_every_kind_of_fault_can_be_injected() -> None:
    assert set(INJECTIONS) == set(KINDS)
