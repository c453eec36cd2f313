"""The record of a run: a JSON file that holds everything the table and the plot show."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.cases import Case
from benchmarks.figures import Results
from benchmarks.goals import GOALS
from benchmarks.plan import Pace


def record_of(
    machine: Mapping[str, str], pace: Pace, cases: Sequence[Case], results: Results
) -> dict[str, Any]:
    """Everything about a run, ready for JSON.

    Args:
        machine: where, when and with what it was measured.
        pace: how long each measurement took.
        cases: what was measured.
        results: what came of it.
    """
    titles = {case.name: case.title for case in cases}
    return {
        "machine": dict(machine),
        "seconds": {"warm": pace.warm, "measured": pace.measured},
        "goals": [
            {
                "name": goal.name,
                "measured": goal.measure(results),
                "at_least" if goal.is_floor else "at_most": goal.bound,
                "aim": goal.aim,
                "unit": goal.unit.value,
            }
            for goal in GOALS
        ],
        "figures": [
            {"title": titles[figures.case], **figures.as_dict()} for figures in results.values()
        ],
    }


def write_record(record: Mapping[str, Any], path: Path) -> None:
    """Writes it for people to read, too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n")
