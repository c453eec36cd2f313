"""Which part of a cursor's past the log still agrees with: pure arithmetic over epochs.

An epoch begins when Redis may have lost its newest writes. When it begins, each room's
newest surviving sequence is recorded as the end of the epoch before. Up to that end, what a
client saw is still what the log holds; behind it, sequences are taken again.
"""

from collections.abc import Sequence
from typing import NamedTuple


class EpochEnd(NamedTuple):
    """Where a room stood when an epoch was over."""

    epoch: int
    end: int
    """The newest sequence that survived it; 0 where none did."""


def surviving_sequence(
    epoch: int, sequence: int, current_epoch: int, ends: Sequence[EpochEnd]
) -> int | None:
    """The last sequence up to which a reader's past is still the log's.

    Args:
        epoch: of the reader's cursor.
        sequence: of the reader's cursor.
        current_epoch: the room's.
        ends: of the epochs before the current one that are remembered, oldest first.

    Returns:
        None where nothing is known of the reader's past: its epoch is older than all that
        are remembered. One that is not remembered and lies between others was begun by a
        Redis that then came back with data from before: up to where the epoch before it
        ended in those data, the two logs are the same.
    """
    if epoch == current_epoch:
        return sequence
    common = common_sequence(epoch, ends)
    return None if common is None else min(sequence, common)


def common_sequence(epoch: int, ends: Sequence[EpochEnd]) -> int | None:
    """The last sequence of an earlier epoch that is still the log's, whoever has seen how much.

    Args:
        epoch: earlier than the current one.
        ends: as for surviving_sequence.

    Returns:
        None where nothing is known of that epoch.
    """
    begun_before = [end.epoch for end in ends if end.epoch <= epoch]
    if not begun_before:
        return None
    return min(end.end for end in ends if end.epoch >= begun_before[-1])
