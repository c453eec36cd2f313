"""The gateway's own `RoomLog` as an immutable state: each function is a call of one method.

A walk goes on from each of its states many times, so the log is made anew from the state for every
call, and what a call makes of a state is remembered.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from chat_gateway.log.ring import Run
from chat_gateway.log.room_log import RoomLog, SequenceRange

RING_NOTES = 2
_AMPLE_BYTES = 1_000

Frames = tuple[tuple[int, bytes], ...]


class LogState(NamedTuple):
    """All that a `RoomLog` knows."""

    epoch: int
    oldest: int
    frames: tuple[bytes, ...]
    parked: Frames
    heard: int

    @property
    def newest(self) -> int:
        """Models `RoomLog.newest`."""
        return self.oldest + len(self.frames) - 1


def opened(epoch: int, head: int) -> LogState:
    """A log that begins after a head."""
    return LogState(epoch, head + 1, (), (), head)


@cache
def missing(state: LogState) -> SequenceRange | None:
    """Models `RoomLog.missing`."""
    return _log(state).missing()


@cache
def run_from(state: LogState, sequence: int) -> Run | None:
    """Models `RoomLog.run_from`."""
    return _log(state).run_from(sequence)


@cache
def heard(state: LogState, sequence: int, frame: bytes) -> LogState:
    """Models `RoomLog.append_live`."""
    return _after(state, lambda log: log.append_live(sequence, frame))


@cache
def heard_head(state: LogState, sequence: int) -> LogState:
    """Models `RoomLog.on_head`."""
    return _after(state, lambda log: log.on_head(sequence))


@cache
def filled(state: LogState, sequences: SequenceRange, frames: Frames) -> LogState:
    """Models `RoomLog.fill`."""
    return _after(state, lambda log: log.fill(sequences, frames))


@cache
def extended_back(state: LogState, sequences: SequenceRange, frames: Frames) -> LogState:
    """Models `RoomLog.extend_back`."""
    return _after(state, lambda log: log.extend_back(sequences, frames))


@cache
def entered_epoch(state: LogState, epoch: int, survived: int) -> LogState:
    """Models `RoomLog.enter_epoch`."""
    return _after(state, lambda log: log.enter_epoch(epoch, survived))


def _log(state: LogState) -> RoomLog:
    log = RoomLog(
        state.epoch,
        state.oldest - 1,
        max_notes=RING_NOTES,
        max_bytes=_AMPLE_BYTES,
        run_bytes=_AMPLE_BYTES,
    )
    for sequence, frame in (*enumerate(state.frames, start=state.oldest), *state.parked):
        log.append_live(sequence, frame)
    log.on_head(state.heard)
    return log


def _after(state: LogState, call: Callable[[RoomLog], None]) -> LogState:
    log = _log(state)
    call(log)
    return LogState(
        log.epoch,
        log.oldest,
        tuple(log._ring._frames),
        tuple(sorted(log._parked.items())),
        log._known,
    )
