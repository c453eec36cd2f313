"""The parts that take part in a run."""

import json

from hypothesis import given
from hypothesis import strategies as st

from notecast_client.cursors import Position
from tests.chaos.cast import draw_cast
from tests.chaos.orders import Begin, Finish, Order, Pause, decode_order, encode
from tests.chaos.plan import Plan

plans = st.builds(
    Plan,
    seed=st.integers(0, 1_000_000),
    readers=st.integers(1, 50),
    busy_rooms=st.integers(1, 5),
    quiet_rooms=st.integers(0, 5),
)


@given(plans)
def test_the_same_plan_gives_the_same_cast(plan: Plan) -> None:
    assert draw_cast(plan) == draw_cast(plan)


@given(plans)
def test_every_room_that_is_read_is_written_and_looked_at_in_the_end(plan: Plan) -> None:
    cast = draw_cast(plan)
    written = {writer.room for writer in cast.writers}
    assert {room for reader in cast.readers for room in reader.rooms} <= written
    assert {r.rooms[0] for r in cast.readers if r.joins_after is None} == written


@given(plans)
def test_names_are_unique_because_files_are_named_so(plan: Plan) -> None:
    cast = draw_cast(plan)
    names = [r.name for r in cast.readers] + [w.name for w in cast.writers]
    assert len(names) == len(set(names))


@given(plans)
def test_the_paces_of_writers_add_up(plan: Plan) -> None:
    quiet = plan.quiet_notes if plan.quiet_rooms else 0
    paces = sum(writer.notes_per_second for writer in draw_cast(plan).writers)
    assert abs(paces - plan.busy_notes - quiet) < 1e-6


def test_orders_come_through_a_pipe_as_they_were_given() -> None:
    cast = draw_cast(Plan(readers=20))
    given_orders: list[Order] = [
        Begin("/files", {"gateway-1": 4711}, cast.readers, cast.writers),
        Pause(0.25, 1.5, 7),
        Finish({"room": Position(3, 14)}, 20.0),
    ]
    assert [decode_order(encode(order)) for order in given_orders] == given_orders


def test_a_plan_comes_back_from_its_file_as_it_was() -> None:
    plan = Plan(seed=7, kinds=("redis-cut",), without="head-check")
    assert Plan.from_fields(json.loads(json.dumps(plan.as_fields()))) == plan
