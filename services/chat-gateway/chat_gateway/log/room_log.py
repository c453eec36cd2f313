"""A gateway's view of a room's log: its newest part, and the ranges that are missing.

Pure: it is told what was received live and what was read, and says what is missing. Pub/Sub is only
a hint that the log grew. A hint may be lost, come late, or come before the log was opened.
"""

from collections.abc import Iterable
from typing import NamedTuple

from chat_gateway.log.ring import Ring, Run
from chat_gateway.log.ring_budget import RingBudget


class SequenceRange(NamedTuple):
    """The sequences in (`after`, `through`]."""

    after: int
    through: int


class RoomLog:
    """A room's ring, filled strictly in order of sequence.

    Args:
        epoch: the epoch of the sequences.
        head: the newest sequence when the log was opened; the ring begins after it.
        max_notes: bound on the notes of the ring, and on those parked ahead of it.
        max_bytes: bound on the bytes of the ring, and on those parked ahead of it.
        run_bytes: bound on one run, in bytes.
        budget: bound on all rings; see `Ring`.
    """

    __slots__ = (
        "_known",
        "_max_notes",
        "_max_parked_bytes",
        "_parked",
        "_parked_bytes",
        "_ring",
        "epoch",
    )

    def __init__(
        self,
        epoch: int,
        head: int,
        *,
        max_notes: int,
        max_bytes: int,
        run_bytes: int,
        budget: RingBudget | None = None,
    ) -> None:
        self.epoch = epoch
        self._ring = Ring(head, max_notes, max_bytes, run_bytes, budget)
        self._max_notes = max_notes
        self._max_parked_bytes = max_bytes
        self._parked: dict[int, bytes] = {}
        self._parked_bytes = 0
        self._known = head

    @property
    def newest(self) -> int:
        """The last sequence that can be read."""
        return self._ring.newest

    @property
    def oldest(self) -> int:
        """The first sequence that can be read; `newest + 1` if none can."""
        return self._ring.oldest

    def missing(self) -> SequenceRange | None:
        """The range that is known to exist and must be fetched before anything newer is delivered.

        If it is longer than the ring, this is only its newest part. Readers at an earlier position
        read the rest themselves, like all readers that have fallen behind the ring.
        """
        if self._known == self.newest:
            return None
        through = min(self._parked) - 1 if self._parked else self._known
        return SequenceRange(max(self.newest, through - self._max_notes), through)

    def append_live(self, sequence: int, frame: bytes) -> None:
        """Appends a live note if it is the next one; parks it if it is ahead.

        Ignores one that is already there. If too many are parked, only remembers that the note is
        missing.
        """
        if sequence == self.newest + 1:
            self._ring.append(frame)
            self._known = max(self._known, sequence)
            self._unpark()
        elif sequence > self.newest:
            self._known = max(self._known, sequence)
            self._park(sequence, frame)

    def has_all(self, epoch: int, sequence: int) -> bool:
        """Whether the log is complete, at least up to this sequence of this epoch."""
        newest = self._ring.newest
        return sequence <= newest == self._known and epoch == self.epoch

    def on_head(self, sequence: int) -> None:
        """Learns from Redis that the log reaches this sequence."""
        self._known = max(self._known, sequence)

    def enter_epoch(self, epoch: int, survived: int) -> None:
        """Continues in a new epoch with the part of the log that survived.

        Args:
            epoch: the new one.
            survived: the last sequence that both epochs have in common, at most `newest`.
        """
        self.epoch = epoch
        self._ring.truncate(survived)
        self._parked.clear()
        self._parked_bytes = 0
        self._known = survived

    def fill(self, sequences: SequenceRange, frames: Iterable[tuple[int, bytes]]) -> None:
        """Adds the notes that were read of a missing range.

        A sequence without a frame is gone from the log for good; it becomes an empty frame.
        Notes that were received live in the meantime are not added again.

        Args:
            sequences: the range that was asked for, or its first part. All of it was read.
            frames: sequence and frame, in order of sequence.
        """
        found = dict(frames)
        if sequences.after > self.newest:
            self._ring.skip_to(sequences.after)
        for sequence in range(self.newest + 1, sequences.through + 1):
            self._ring.append(found.get(sequence, b""))
        self._known = max(self._known, self.newest)
        self._unpark()

    def extend_back(self, sequences: SequenceRange, frames: Iterable[tuple[int, bytes]]) -> None:
        """Keeps older notes that were read and end where the ring begins, if there is room.

        Args:
            sequences: the range that was asked for; all of it was read. Nothing is kept unless
                it ends at `oldest - 1`: otherwise the ring has moved on since.
            frames: sequence and frame, in order of sequence.
        """
        if sequences.through != self.oldest - 1:
            return
        found = dict(frames)
        first = min(found, default=self.oldest)
        while self.oldest > first and self._ring.extend_back(found.get(self.oldest - 1, b"")):
            pass

    def close(self) -> None:
        """Drops the ring's frames, and gives their bytes back to the budget."""
        self._ring.skip_to(self.newest)

    def run_from(self, sequence: int) -> Run | None:
        """Joins the frames from a sequence on; see `Ring.run_from`."""
        return self._ring.run_from(sequence)

    def _park(self, sequence: int, frame: bytes) -> None:
        size = self._parked_bytes + len(frame)
        if sequence not in self._parked and (
            len(self._parked) < self._max_notes and size <= self._max_parked_bytes
        ):
            self._parked[sequence] = frame
            self._parked_bytes = size

    def _unpark(self) -> None:
        while (frame := self._parked.pop(self.newest + 1, None)) is not None:
            self._ring.append(frame)
        if self._parked and min(self._parked) <= self.newest:
            self._parked = {s: f for s, f in self._parked.items() if s > self.newest}
        self._parked_bytes = sum(map(len, self._parked.values())) if self._parked else 0
