"""Finds how far the log still agrees with what a client saw: pure arithmetic over epochs.

An epoch begins when Redis may have lost its newest writes. At that moment each room's newest
surviving sequence is recorded as the end of the epoch before. Up to that end the log still holds
what clients saw. After it, sequences are given to other notes.
"""

from collections.abc import Sequence
from typing import NamedTuple


class EpochEnd(NamedTuple):
    """The end of an epoch in one room."""

    epoch: int
    end: int
    """The newest sequence that survived the epoch; 0 if none did."""


def surviving_sequence(
    epoch: int, sequence: int, current_epoch: int, ends: Sequence[EpochEnd]
) -> int | None:
    """The last sequence up to which the log still holds what a reader saw.

    Args:
        epoch: of the reader's cursor.
        sequence: of the reader's cursor.
        current_epoch: the room's.
        ends: the ends of remembered epochs before the current one, oldest first.

    Returns:
        None if nothing is known: the reader's epoch is older than all remembered ones. An epoch
        that is missing between two remembered ones was begun by a Redis that later came back with
        older data. The two logs are then equal up to the end, in those data, of the epoch before
        the missing one.
    """
    if epoch == current_epoch:
        return sequence
    common = common_sequence(epoch, ends)
    return None if common is None else min(sequence, common)


def common_sequence(epoch: int, ends: Sequence[EpochEnd]) -> int | None:
    """The last sequence that an earlier epoch and the current log have in common.

    Args:
        epoch: earlier than the current one.
        ends: see `surviving_sequence`.

    Returns:
        None if nothing is known of that epoch.
    """
    begun_before = [end.epoch for end in ends if end.epoch <= epoch]
    if not begun_before:
        return None
    return min(end.end for end in ends if end.epoch >= begun_before[-1])
