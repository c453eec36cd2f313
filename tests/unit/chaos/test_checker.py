"""The checker, given made-up files: it says what is wrong with them, and nothing else."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from notecast_client.cursors import Position
from tests.chaos.findings import CALM, Breach
from tests.chaos.folder import RunFolder
from tests.chaos.plan import Plan
from tests.chaos.records import (
    Acknowledged,
    Begins,
    Broken,
    Connects,
    Done,
    Injected,
    Journal,
    Leaves,
    Noted,
    Record,
    Refused,
    Retried,
    Returns,
    Sent,
)

EPOCH = 17
ROOM = "room"
NOTES = 10
READERS = ("ann", "bob")


class Run(NamedTuple):
    """The records of a run, to be spoilt."""

    faults: list[Injected]
    writer: list[Record]
    readers: dict[str, list[Record]]

    def write(self, root: Path) -> RunFolder:
        """Writes them as a run does."""
        folder = RunFolder(root)
        folder.begin(Plan())
        _write(folder.faults, list(self.faults))
        _write(folder.writers / "wendy.jsonl", self.writer)
        for name, records in self.readers.items():
            _write(folder.readers / f"{name}.jsonl", records)
        return folder

    def breaches(self, root: Path) -> dict[Breach, int]:
        """What the checker says of its files."""
        return self.write(root).check().breaches


def _write(path: Path, records: list[Record]) -> None:
    journal = Journal(path)
    for record in records:
        journal.write(record)
    journal.close()


def sent_at(sequence: int) -> float:
    return 100.0 + sequence


def noted(sequence: int, delay: float = 0.05, epoch: int = EPOCH) -> Noted:
    place = Position(epoch, sequence)
    return Noted(sent_at(sequence) + delay, ROOM, place, f"note-{sequence}", sequence)


def acknowledged(sequence: int, epoch: int = EPOCH) -> Acknowledged:
    place = Position(epoch, sequence)
    return Acknowledged(sent_at(sequence), ROOM, place, f"note-{sequence}", duplicate=False)


def reader() -> list[Record]:
    begin: list[Record] = [Begins(100.0, ROOM, Position(0, 0)), Connects(100.0, "gateway-1")]
    return [*begin, *(noted(n) for n in range(1, NOTES + 1)), Done(120.0, reached=True)]


@pytest.fixture
def run() -> Run:
    """One writer's ten notes, a second apart, seen by both readers at once; no fault."""
    writer: list[Record] = []
    for number in range(1, NOTES + 1):
        writer.append(Sent(sent_at(number) - 0.1, ROOM, f"note-{number}", number))
        writer.append(acknowledged(number))
    writer.append(Done(119.0, reached=True))
    return Run([], writer, {name: reader() for name in READERS})


def position(records: list[Record], sequence: int) -> int:
    """Where the delivery of a note is among a reader's records."""
    return records.index(noted(sequence))


def lose(run: Run) -> None:
    run.readers["ann"].remove(noted(4))


def lose_the_last_one(run: Run) -> None:
    run.readers["ann"].remove(noted(NOTES))


def repeat(run: Run) -> None:
    run.readers["ann"].insert(position(run.readers["ann"], 6), noted(4, 2.0))


def store_twice(run: Run) -> None:
    """The note of place 10 is the one of place 9 again, for all."""
    again = noted(10)._replace(note_id="note-9", digest=9)
    for records in run.readers.values():
        records[position(records, 10)] = again
    run.writer.remove(acknowledged(10))


def reorder(run: Run) -> None:
    records = run.readers["ann"]
    late = records.pop(position(records, 4))
    records.insert(position(records, 5) + 1, late)


def be_late(run: Run) -> None:
    records = run.readers["ann"]
    records[position(records, NOTES)] = noted(NOTES, 2.6)


def show_another_content(run: Run) -> None:
    records = run.readers["ann"]
    records[position(records, 4)] = noted(4)._replace(digest=4711)


def show_another_note(run: Run) -> None:
    run.writer.insert(0, Sent(99.0, ROOM, "note-x", 4711))
    records = run.readers["ann"]
    records[position(records, 4)] = noted(4)._replace(note_id="note-x", digest=4711)


def show_what_nobody_sent(run: Run) -> None:
    for records in run.readers.values():
        records[position(records, 4)] = noted(4)._replace(note_id="note-x")
    run.writer.remove(acknowledged(4))


def go_back_untold(run: Run) -> None:
    """A new epoch takes sequence 8 again, and ann is not told that it did."""
    run.writer.insert(0, Sent(99.0, ROOM, "note-x", 4711))
    again = Noted(110.5, ROOM, Position(EPOCH + 1, 8), "note-x", 4711)
    told = Broken(110.4, ROOM, "REASON_EPOCH", Position(EPOCH, 10), Position(EPOCH + 1, 8))
    run.readers["ann"].insert(-1, again)
    run.readers["bob"][-1:-1] = [told, again]


def refuse(run: Run) -> None:
    run.writer.insert(0, Refused(99.0, ROOM, "note-x", "ALREADY_EXISTS"))


def refuse_what_is_stored(run: Run) -> None:
    run.writer.insert(2, Retried(105.5, "note-5", "UNAVAILABLE", "WRITES_REFUSED"))


def break_off_a_reader(run: Run) -> None:
    run.readers["ann"].pop()


def break_off_the_writer(run: Run) -> None:
    run.writer.pop()


def leave_a_reader_without_a_place(run: Run) -> None:
    run.readers["eve"] = [Connects(100.0, "gateway-1"), Done(120.0, reached=False)]


@pytest.mark.parametrize(
    ("spoil", "breach"),
    [
        (lose, Breach.LOST),
        (lose_the_last_one, Breach.LOST),
        (repeat, Breach.REPEATED),
        (store_twice, Breach.REPEATED),
        (reorder, Breach.REORDERED),
        (be_late, Breach.LATE),
        (show_another_content, Breach.DIFFERENT),
        (show_another_note, Breach.DIFFERENT),
        (show_what_nobody_sent, Breach.DIFFERENT),
        (go_back_untold, Breach.UNANNOUNCED),
        (refuse, Breach.REFUSED),
        (refuse_what_is_stored, Breach.STORED),
        (break_off_a_reader, Breach.UNFINISHED),
        (break_off_the_writer, Breach.UNFINISHED),
        (leave_a_reader_without_a_place, Breach.UNFINISHED),
    ],
)
def test_it_reports_just_that_breach(
    tmp_path: Path, run: Run, spoil: Callable[[Run], None], breach: Breach
) -> None:
    assert run.breaches(tmp_path) == {}
    spoil(run)
    assert run.breaches(tmp_path) == {breach: 1}


@pytest.mark.parametrize(
    "answers",
    [
        [(104.95, "WRITES_REFUSED")],
        [(104.95, "WRITES_REFUSED"), (105.2, "REDIS_UNAVAILABLE")],
        [(105.2, ""), (105.5, "WRITES_REFUSED")],
    ],
)
def test_a_send_that_is_refused_may_be_stored_by_another_attempt(
    tmp_path: Path, run: Run, answers: list[tuple[float, str]]
) -> None:
    for time, reason in answers:
        run.writer.insert(-1, Retried(time, "note-5", "UNAVAILABLE", reason))
    assert run.breaches(tmp_path) == {}


def test_a_note_that_many_readers_lack_counts_once(tmp_path: Path, run: Run) -> None:
    for records in run.readers.values():
        records.remove(noted(4))
    assert run.breaches(tmp_path) == {Breach.LOST: 1}


def test_a_reader_is_owed_what_was_seen_by_others_and_never_acknowledged(
    tmp_path: Path, run: Run
) -> None:
    run.writer.remove(acknowledged(4))
    lose(run)
    assert run.breaches(tmp_path) == {Breach.LOST: 1}


def test_a_reader_is_owed_nothing_from_before_its_coming(tmp_path: Path, run: Run) -> None:
    records = run.readers["ann"]
    records[0] = Begins(104.5, ROOM, Position(EPOCH, 4))
    for number in range(1, 5):
        records.remove(noted(number))
    assert run.breaches(tmp_path) == {}


def test_a_run_in_which_nothing_happened_shows_nothing(tmp_path: Path) -> None:
    nothing = Run([], [Done(1.0, reached=True)], {})
    assert nothing.breaches(tmp_path) == {Breach.UNFINISHED: 2}


def test_a_breach_is_put_down_to_the_fault_that_began_last(tmp_path: Path, run: Run) -> None:
    run.faults[:] = [
        Injected(102.5, 103.0, "redis-cut", "all", hit=True),
        Injected(103.5, 103.6, "gateway-killed", "gateway-1", hit=True),
        Injected(105.5, 106.0, "redis-stalled", "all", hit=True),
    ]
    lose(run)
    findings = run.write(tmp_path).check()
    lost = {name: tally.breaches[Breach.LOST] for name, tally in findings.tallies.items()}
    assert lost == {CALM: 0, "redis-cut": 0, "gateway-killed": 1, "redis-stalled": 0}
    assert sum(tally.acknowledged for tally in findings.tallies.values()) == NOTES


def test_what_redis_was_made_to_forget_is_counted_apart(tmp_path: Path, run: Run) -> None:
    for number in (9, 10):
        run.readers["ann"].remove(noted(number))
    assert run.breaches(tmp_path) == {Breach.LOST: 2}
    run.faults.append(Injected(108.5, 111.0, "redis-forgets", "all", hit=True))
    findings = run.write(tmp_path).check()
    assert findings.breaches == {}
    assert findings.forgotten == 2


@pytest.mark.parametrize(
    ("fault", "excused"),
    [
        (Injected(109.9, 112.0, "redis-stalled", "all", hit=True), True),
        (Injected(109.9, 112.0, "gateway-paused", "gateway-1", hit=True), True),
        (Injected(109.9, 112.0, "gateway-paused", "gateway-2", hit=True), False),
        (Injected(109.9, 112.0, "redis-half-open", "all", hit=True), False),
        (Injected(90.0, 92.0, "redis-stalled", "all", hit=True), False),
    ],
)
def test_silence_is_excused_while_a_fault_blocks_the_reader(
    tmp_path: Path, run: Run, fault: Injected, *, excused: bool
) -> None:
    be_late(run)
    run.faults.append(fault)
    assert run.breaches(tmp_path) == ({} if excused else {Breach.LATE: 1})


def test_silence_does_not_count_while_the_reader_is_away(tmp_path: Path, run: Run) -> None:
    be_late(run)
    run.readers["ann"][-2:-2] = [Leaves(109.0), Returns(112.5)]
    assert run.breaches(tmp_path) == {}


def test_the_longest_silence_is_told_for_each_kind_of_fault(tmp_path: Path, run: Run) -> None:
    be_late(run)
    run.faults.append(Injected(109.9, 112.0, "redis-stalled", "all", hit=True))
    tally = run.write(tmp_path).check().tallies["redis-stalled"]
    assert tally.silence == pytest.approx(2.6)
    assert tally.overdue == pytest.approx(0.6)


def _check(folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.chaos.check", str(folder)]
    root = Path(__file__).parents[3]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def test_the_command_exits_with_zero_where_nothing_is_wrong(tmp_path: Path, run: Run) -> None:
    folder = run.write(tmp_path)
    outcome = _check(folder.root)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert json.loads(folder.report.read_text())["passed"] is True


def test_the_command_exits_with_one_and_names_what_is_wrong(tmp_path: Path, run: Run) -> None:
    lose(run)
    folder = run.write(tmp_path)
    outcome = _check(folder.root)
    assert outcome.returncode == 1
    assert "1 lost" in outcome.stdout
    assert "note-4" in outcome.stdout
    report = json.loads(folder.report.read_text())
    assert report["passed"] is False
    assert report["total"]["lost"] == 1
    assert report["total"]["acknowledged"] == NOTES


def test_the_command_exits_with_two_where_there_is_no_run(tmp_path: Path) -> None:
    outcome = _check(tmp_path)
    assert outcome.returncode == 2
    assert "not a run" in outcome.stderr
