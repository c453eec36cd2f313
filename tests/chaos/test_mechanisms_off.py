"""The proof can fail: with a mechanism switched off, the checker says which promise is broken."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.chaos.findings import Breach
from tests.chaos.folder import RunFolder
from tests.chaos.plan import Plan
from tests.chaos.run import run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


class Case(NamedTuple):
    """A run in which one mechanism is needed, and what comes of its absence."""

    without: str
    plan: Mapping[str, object]
    breaches: set[Breach]
    beside: str = ""
    """What is off anyway: another mechanism, that would heal the same."""


_BUSY = {"seconds": 12.0, "readers": 40, "busy_rooms": 3, "quiet_rooms": 0, "pause_seconds": 0.8}
_QUIET = {"seconds": 18.0, "readers": 80, "busy_rooms": 0, "quiet_rooms": 80, "quiet_notes": 14.0}

CASES = {
    case.without: case
    for case in (
        Case("gap-repair", _BUSY | {"kinds": ("feed-deaf", "pubsub-killed")}, {Breach.LOST}),
        Case("head-check", _QUIET | {"kinds": ("feed-deaf",), "hops": 0.0}, {Breach.LATE}),
        # In a room that is opened while the connection of the subscription is slow, a note
        # comes after the head was read and before Redis knows of the subscription. That is rare:
        # of so many rooms that are opened again and again, ten to thirty notes are late.
        Case(
            "confirmation",
            _QUIET
            | {"kinds": ("feed-stalled",), "pause_seconds": 0.3, "gateways": 1}
            | {"quiet_rooms": 200, "readers": 200, "quiet_notes": 50.0, "seconds": 24.0}
            | {"hops": 1.0, "hop_seconds": 3.5},
            {Breach.LATE},
            beside="head-check",
        ),
        Case("trimming-rule", _BUSY | {"kinds": ("history-paused",)}, {Breach.LOST}),
        Case(
            "idempotency",
            _BUSY | {"kinds": ("redis-reply-lost", "send-reply-lost")},
            {Breach.REPEATED},
        ),
        # Sequences are taken twice in one epoch: to those who saw the first notes the others
        # never come, or come as repetitions.
        Case(
            "epoch-guard",
            _BUSY | {"kinds": ("redis-forgets",)},
            {Breach.DIFFERENT, Breach.LOST, Breach.REPEATED, Breach.REORDERED},
        ),
        # The epoch goes back with the data. Whoever has seen the later one waits for it for good.
        Case(
            "fencing",
            _BUSY | {"kinds": ("redis-failback",)},
            {Breach.LOST, Breach.REPEATED, Breach.REORDERED, Breach.UNANNOUNCED, Breach.LATE}
            | {Breach.UNFINISHED, Breach.UNHEALED},
        ),
        # Until somebody ends their connections, gateways send to a replica.
        Case(
            "primary-watch",
            _BUSY | {"kinds": ("redis-failover",)},
            {Breach.LOST, Breach.UNFINISHED, Breach.UNHEALED},
        ),
        Case(
            "trim-marks",
            _BUSY | {"kinds": ("clock-ahead",), "busy_rooms": 2, "seconds": 16.0},
            {Breach.UNHEALED},
        ),
    )
}


async def _breaches(case: Case, without: str, folder: Path) -> set[Breach]:
    plan = Plan.from_fields(Plan(without=without).as_fields() | dict(case.plan))
    findings = await run(plan, RunFolder(folder))
    return set(findings.breaches)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_without_it_the_checker_reports_just_that_violation(
    case: Case, tmp_path: Path
) -> None:
    without = ",".join(filter(None, (case.without, case.beside)))
    found = await _breaches(case, without, tmp_path / "off")
    assert found
    assert found <= case.breaches


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_with_it_the_same_faults_do_no_harm(case: Case, tmp_path: Path) -> None:
    assert await _breaches(case, case.beside, tmp_path / "on") == set()
