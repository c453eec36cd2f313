"""The lines of a run's files."""

from pathlib import Path

import pytest

from notecast_client.cursors import Position
from tests.chaos.records import (
    Acknowledged,
    Begins,
    Broken,
    Connects,
    Done,
    Ends,
    Injected,
    Journal,
    Leaves,
    Looked,
    Noted,
    Record,
    Refused,
    Retried,
    Returns,
    Sent,
    WentBack,
    read_records,
)

EVERY_KIND: list[Record] = [
    Begins(1.0, "a room", Position(0, 0)),
    Connects(1.1, "gateway-1"),
    Noted(1.2, "a room", Position(17, 1), "note-1", 4711),
    Broken(1.3, "a room", "REASON_EPOCH", Position(17, 1), Position(18, 1)),
    Leaves(1.4),
    Returns(1.5),
    Ends(1.6, "UNAVAILABLE"),
    Done(1.7, reached=True),
    Sent(1.0, "a room", "note-1", 4711),
    Retried(1.1, "note-1", "UNAVAILABLE"),
    Refused(1.2, "a room", "note-2", "ALREADY_EXISTS"),
    Acknowledged(1.3, "a room", Position(17, 1), "note-1", duplicate=True),
    Injected(1.0, 2.0, "redis-cut", "all", hit=True),
    WentBack(2.0, "a room", 18, Position(17, 1)),
    Looked(2.1, "gateway-1 is ready", well=True),
]


def test_records_are_read_as_they_were_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "file.jsonl")
    for record in EVERY_KIND:
        journal.write(record)
    journal.close()
    assert list(read_records(tmp_path / "file.jsonl")) == EVERY_KIND


@pytest.mark.parametrize(
    "line",
    ["{", "{}", "[]", '{"is": "told"}', '{"is": "sent"}', '{"is": "leaves", "time": 1, "x": 1}'],
)
def test_a_line_that_is_no_record_is_an_error(tmp_path: Path, line: str) -> None:
    (tmp_path / "file.jsonl").write_text(line + "\n")
    with pytest.raises(ValueError, match=r"record|Expecting"):
        list(read_records(tmp_path / "file.jsonl"))
