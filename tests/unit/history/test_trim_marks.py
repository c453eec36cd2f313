"""How far persisting had come a margin ago."""

from history.trim_marks import TrimMarks

EPOCH = b"1"
MARGIN = 80.0


def position(at: int) -> bytes:
    return b"%d-0" % at


def marks_of_each_second(seconds: int) -> TrimMarks:
    marks = TrimMarks(MARGIN)
    for at in range(seconds):
        marks.note(3, EPOCH, position(at), float(at))
    return marks


def test_nothing_is_due_before_a_margin_has_passed() -> None:
    marks = marks_of_each_second(10)
    assert marks.due(3, EPOCH, MARGIN - 1) == b""
    assert marks.due(3, EPOCH, MARGIN) == position(0)


def test_what_is_due_is_a_margin_old_and_hardly_more() -> None:
    marks = marks_of_each_second(1_000)
    assert position(900) <= marks.due(3, EPOCH, 990.0) <= position(910)


def test_partitions_have_their_own() -> None:
    assert marks_of_each_second(1_000).due(4, EPOCH, 990.0) == b""


def test_nothing_of_another_epoch_is_due() -> None:
    marks = marks_of_each_second(1_000)
    assert marks.due(3, b"2", 2_000.0) == b""
    marks.note(3, b"2", position(7), 2_000.0)
    assert marks.due(3, b"2", 2_000.0 + MARGIN - 1) == b""
    assert marks.due(3, b"2", 2_000.0 + MARGIN) == position(7)


def test_what_is_remembered_is_bounded() -> None:
    marks = TrimMarks(MARGIN)
    for at in range(10_000):
        marks.due(3, EPOCH, float(at))
        marks.note(3, EPOCH, position(at), float(at))
        assert len(marks._marks[3]) <= 10
