"""The run on a cluster: what it is told, what it tells, and what it lets pass."""

import io
from pathlib import Path

import pytest
import rich.console
from pydantic import ValidationError

from notecast_client.cursors import Position
from tests.chaos.breaks import Breaks
from tests.chaos.checker import check
from tests.chaos.faults import EVERYONE, Kind
from tests.chaos.findings import Breach
from tests.chaos.records import (
    Acknowledged,
    Begins,
    Connects,
    Done,
    Ends,
    Injected,
    Noted,
    Record,
    Retried,
    Sent,
)
from tests.chaos.stories import reader_story, writer_story
from tests.e2e.kubernetes.disturbances import KINDS, ORDERLY, REDIS_RESTARTED, ROLLED
from tests.e2e.kubernetes.settings import RunSettings
from tests.e2e.kubernetes.steps import Steps
from tests.support.spread import is_even

PLACE = Position(7, 1)


async def outcome(text: str) -> str:
    return text


async def failure() -> None:
    raise OSError("no disk")


def quiet_steps() -> Steps:
    return Steps(rich.console.Console(file=io.StringIO(), width=100), lambda: "")


async def test_a_step_gives_its_outcome_and_its_time_is_kept() -> None:
    steps = quiet_steps()
    assert await steps.take("first", outcome("all of it")) == "all of it"
    (step,) = steps.taken
    assert (step.name, step.detail, step.failed) == ("first", "all of it", False)
    assert step.seconds >= 0


async def test_a_step_that_fails_says_so_and_hands_on_why() -> None:
    output = io.StringIO()
    steps = Steps(rich.console.Console(file=output, width=100), lambda: "")
    with pytest.raises(OSError, match="no disk"):
        await steps.take("second", failure())
    assert steps.taken[0].failed
    assert "FAILED after" in output.getvalue()


def test_an_empty_variable_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER_TOOL", "")
    monkeypatch.setenv("KUBECONFIG", "")
    settings = RunSettings()
    assert settings.cluster_tool is None
    assert settings.kubeconfig is None


def test_the_command_that_loads_images_may_have_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER_LOAD", "kind load docker-image --name 'my cluster'")
    loads = ("kind", "load", "docker-image", "--name", "my cluster")
    assert RunSettings().cluster_load == loads


def test_a_setting_out_of_bounds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER_STREAMS", "0")
    with pytest.raises(ValidationError, match=r"(?i)cluster_streams"):
        RunSettings()


def breaches(kind: Kind, over: float, delivered: float) -> set[Breach]:
    """What is said of a note that was acknowledged at 1 s, in a disturbance that began at 0.5 s."""
    writer = writer_story(
        "wendy",
        [
            Sent(0.9, "room", "note-1", 5),
            Acknowledged(1, "room", PLACE, "note-1", duplicate=False),
            Done(1, reached=True),
        ],
    )
    reader = reader_story(
        "ann",
        [
            Connects(0, "door-1"),
            Begins(0, "room", Position(0, 0)),
            Noted(delivered, "room", PLACE, "note-1", 5),
            Done(delivered, reached=True),
        ],
    )
    injected = Injected(0.5, over, kind.name, EVERYONE, hit=True)
    return set(check([injected], [writer], [reader], KINDS).breaches)


@pytest.mark.parametrize("kind", KINDS.values(), ids=str)
def test_a_note_may_take_a_while_whatever_was_disturbed_but_not_for_ever(kind: Kind) -> None:
    assert breaches(kind, over=2.0, delivered=10) == set()
    assert breaches(kind, over=2.0, delivered=40) == {Breach.LATE}


def test_only_without_redis_is_a_note_not_expected_before_the_disturbance_is_over() -> None:
    assert breaches(ROLLED["envoy"], over=30, delivered=25) == {Breach.LATE}
    assert breaches(REDIS_RESTARTED, over=30, delivered=25) == set()


def test_no_file_of_a_run_lies_in_the_tree_that_is_kept() -> None:
    assert RunSettings().folder == Path(".run/kubernetes")


def test_what_clients_mended_is_put_down_to_what_was_disturbed_last() -> None:
    disturbances = [
        Injected(10, 20, "envoy-rolled", EVERYONE, hit=True),
        Injected(30, 40, "redis-restarted", EVERYONE, hit=True),
    ]
    records: list[Record] = [
        *(Ends(5, "UNAVAILABLE"), Ends(12, "UNAVAILABLE"), Ends(13, "OK"), Ends(14, "left")),
        *(Retried(31, "note-1", "UNAVAILABLE"), Retried(50, "note-2", "DEADLINE_EXCEEDED")),
    ]
    breaks = Breaks(disturbances, records)
    assert breaks.streams == {"none": 1, "envoy-rolled": 1}
    assert breaks.sends == {"redis-restarted": 2}
    assert breaks.among({"envoy-rolled", "redis-restarted"}) == {
        "envoy-rolled": 1,
        "redis-restarted": 2,
    }
    assert breaks.among(ORDERLY) == {}


def test_no_client_may_notice_that_gateways_come_and_go() -> None:
    assert {"chat-gateway-rolled", "gateways-scaled-up", "gateways-scaled-down"} < ORDERLY
    assert KINDS.keys() > ORDERLY


@pytest.mark.parametrize(
    ("counts", "even"),
    [([50, 50], True), ([40, 60], True), ([39, 61], False), ([0, 25, 75], False)],
)
def test_streams_are_even_within_a_fifth_of_their_mean(counts: list[int], even: bool) -> None:  # noqa: FBT001
    assert is_even(counts) is even
