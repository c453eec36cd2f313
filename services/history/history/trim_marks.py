"""How far persisting had come a while ago, by this process's own clock. No I/O.

Outbox ids begin with Redis's time, and are no clock: where that was ahead once, all ids stay ahead
until real time gets there.
"""

from collections import deque
from typing import NamedTuple

_MARKS_PER_MARGIN = 8
"""How finely time is divided: bounds the marks of a partition, and what is kept too long."""


class _Mark(NamedTuple):
    at: float
    epoch: bytes
    position: bytes


class TrimMarks:
    """Remembers positions for as long as what came before them is to be kept.

    What is remembered begins anew with each process and each epoch: then the outbox is trimmed a
    margin later.

    Args:
        margin_seconds: for how long an entry is kept once its place was persisted. More than 0.
    """

    def __init__(self, margin_seconds: float) -> None:
        self._margin = margin_seconds
        self._marks: dict[int, deque[_Mark]] = {}

    def note(self, partition: int, epoch: bytes, position: bytes, now: float) -> None:
        """Learns that all up to a position is persisted.

        Args:
            partition: where.
            epoch: in which.
            position: an outbox id.
            now: seconds on a clock that only goes forward.
        """
        marks = self._marks.setdefault(partition, deque())
        if marks and marks[-1].epoch != epoch:
            marks.clear()
        if not marks or now - marks[-1].at >= self._margin / _MARKS_PER_MARGIN:
            marks.append(_Mark(now, epoch, position))

    def due(self, partition: int, epoch: bytes, now: float) -> bytes:
        """The outbox id up to which all was persisted a margin ago; empty where none is known."""
        marks = self._marks.get(partition)
        if not marks or marks[0].epoch != epoch:
            return b""
        while len(marks) > 1 and marks[1].at <= now - self._margin:
            marks.popleft()
        return marks[0].position if marks[0].at <= now - self._margin else b""
