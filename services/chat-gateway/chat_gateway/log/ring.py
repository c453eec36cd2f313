"""The newest frames of a room: contiguous by sequence, bounded in three ways."""

import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from chat_gateway.log.ring_budget import RingBudget

_SHARED_RUNS = 8
"""Maximum number of joined runs that are kept for other readers until the next append."""


class Run(NamedTuple):
    """Consecutive frames, joined."""

    body: bytes
    next_sequence: int
    """The sequence after the run."""


Encoding = Callable[[Run], Sequence[Run]]
"""Turns a run of frames into runs of one message each.

It returns at least one; the last one ends where the given run ends. A body is empty if there is
nothing to send up to there. Streams with the same encoding (the same function) share its results.
"""


def as_frames(run: Run) -> Sequence[Run]:
    """Returns the run itself: a run of frames is a serialised SubscribeResponse."""
    return (run,)


class Ring:
    """Holds the frames from `oldest` to `newest`; in an empty ring `oldest` is `newest + 1`.

    A sequence that the log does not have (it was set aside, or lost) is held as an empty frame,
    so that no reader waits for it.

    Args:
        newest: the sequence before the first frame that will be appended.
        max_notes: bound on the number of frames, at least 1.
        max_bytes: bound on the sum of their sizes. The newest frame is held whatever its size.
        run_bytes: bound on a run, in bytes. One frame is in it whatever its size.
        budget: bound on the bytes of all rings, joined runs included; None: no such bound.

    Attributes:
        newest: the sequence of the last frame; at first the one that was given.
    """

    __slots__ = (
        "_budget",
        "_bytes",
        "_frames",
        "_max_bytes",
        "_max_notes",
        "_run_bytes",
        "_runs",
        "newest",
    )

    def __init__(
        self,
        newest: int,
        max_notes: int,
        max_bytes: int,
        run_bytes: int,
        budget: RingBudget | None = None,
    ) -> None:
        # Made for the first frame: an empty deque takes 600 bytes, and most rooms are quiet.
        self._frames: deque[bytes] | tuple[()] = ()
        self.newest = newest
        self._max_notes = max_notes
        self._max_bytes = max_bytes
        self._run_bytes = run_bytes
        self._budget = RingBudget(sys.maxsize) if budget is None else budget
        self._bytes = 0
        self._runs: dict[int, Run] | None = None  # likewise

    @property
    def oldest(self) -> int:
        """The sequence of the first frame; `newest + 1` if there is none."""
        return self.newest - len(self._frames) + 1

    @property
    def size_bytes(self) -> int:
        """The sum of the sizes of all frames."""
        return self._bytes

    def append(self, frame: bytes) -> None:
        """Adds the frame of sequence `newest + 1`; drops the oldest frames to make room."""
        self._forget_runs()
        frames = self._own_frames()
        frames.append(frame)
        self.newest += 1
        self._take(frame)
        while len(frames) > self._max_notes or (
            (self._bytes > self._max_bytes or self._budget.exceeded) and len(frames) > 1
        ):
            self._give_back(frames.popleft())

    def truncate(self, newest: int) -> None:
        """Drops all frames after a sequence, which becomes the newest."""
        if newest < self.oldest:
            self.skip_to(newest)
            return
        self._forget_runs()
        frames = self._own_frames()
        while self.newest > newest:
            self._give_back(frames.pop())
            self.newest -= 1

    def skip_to(self, newest: int) -> None:
        """Drops all frames; the next one to append is that of `newest + 1`."""
        self._forget_runs()
        self._budget.give_back(self, self._bytes)
        self._frames, self._bytes = (), 0
        self.newest = newest

    def give_up_some(self) -> None:
        """Drops the joined runs, which can be joined again, or else the oldest frame."""
        if self._runs:
            self._forget_runs()
        elif self._frames:
            self._give_back(self._own_frames().popleft())

    def extend_back(self, frame: bytes) -> bool:
        """Adds the frame of sequence `oldest - 1`; returns False and does nothing if it is full."""
        if (
            len(self._frames) >= self._max_notes
            or self._bytes + len(frame) > self._max_bytes
            or self.oldest == 1
        ):
            return False
        frames = self._own_frames()
        frames.appendleft(frame)
        self._take(frame)
        if self._budget.exceeded:
            self._give_back(frames.popleft())
            return False
        return True

    def run_from(self, sequence: int) -> Run | None:
        """Joins the frames from a sequence on; readers at the same position share one run.

        Args:
            sequence: from 1 to `newest + 1`.

        Returns:
            None if the ring no longer holds that sequence.
        """
        if sequence < self.oldest:
            return None
        run = self._runs.get(sequence) if self._runs else None
        return self._share(sequence, self._join(sequence)) if run is None else run

    def _own_frames(self) -> deque[bytes]:
        if not isinstance(self._frames, deque):
            self._frames = deque()
        return self._frames

    def _share(self, sequence: int, run: Run) -> Run:
        size = _joined_bytes(sequence, run)
        if not size:
            return run  # a single frame is not copied, so nothing is shared
        if self._runs is None or len(self._runs) >= _SHARED_RUNS:
            self._forget_runs()
            self._runs = {}
        self._runs[sequence] = run
        self._budget.take(self, size)
        if self._budget.exceeded:
            self._forget_runs()
        return run

    def _take(self, frame: bytes) -> None:
        self._bytes += len(frame)
        self._budget.take(self, len(frame))

    def _give_back(self, frame: bytes) -> None:
        self._bytes -= len(frame)
        self._budget.give_back(self, len(frame))

    def _forget_runs(self) -> None:
        if self._runs is None:
            return
        for sequence, run in self._runs.items():
            self._budget.give_back(self, _joined_bytes(sequence, run))
        self._runs = None

    def _join(self, sequence: int) -> Run:
        frames = self._frames
        taken: list[bytes] = []
        size = 0
        # Indexing a deque is fast near its end, where the live tail is.
        for index in range(sequence - self.oldest, len(frames)):
            frame = frames[index]
            if taken and size + len(frame) > self._run_bytes:
                break
            taken.append(frame)
            size += len(frame)
        return Run(b"".join(taken), sequence + len(taken))


def _joined_bytes(sequence: int, run: Run) -> int:
    """The bytes of a run that are copies of frames; a single frame is not copied."""
    return len(run.body) if run.next_sequence > sequence + 1 else 0
