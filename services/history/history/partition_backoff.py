"""Leaves partitions that failed alone for a while; the others go on. No I/O."""

from collections.abc import Collection
from typing import NamedTuple

from notecast_runtime.backoff import Backoff


class _Pause(NamedTuple):
    backoff: Backoff
    until: float


class PartitionBackoff:
    """Which partitions are paused, and until when. Times are in seconds, all by one clock.

    Its length is the number of partitions that failed and have not recovered yet.
    """

    def __init__(self) -> None:
        self._pauses: dict[int, _Pause] = {}

    def __len__(self) -> int:
        return len(self._pauses)

    def fail(self, partition: int, now: float) -> None:
        """Pauses a partition that has failed; each failure in a row makes the pause longer."""
        pause = self._pauses.get(partition)
        backoff = pause.backoff if pause else Backoff()
        self._pauses[partition] = _Pause(backoff, now + backoff.next_delay())

    def recover(self, partition: int) -> None:
        """Ends the pause of a partition that works again."""
        self._pauses.pop(partition, None)

    def keep(self, partitions: Collection[int]) -> list[int]:
        """Forgets all other partitions: another replica has them now.

        Returns:
            Those of them that had failed.
        """
        dropped = [n for n in self._pauses if n not in partitions]
        self._pauses = {n: pause for n, pause in self._pauses.items() if n in partitions}
        return dropped

    def paused(self, now: float) -> dict[int, float]:
        """The partitions that must not be touched yet, each with the seconds until then."""
        return {n: pause.until - now for n, pause in self._pauses.items() if pause.until > now}
