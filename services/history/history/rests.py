"""Partitions that failed are let alone for a while; the others go on. No I/O."""

from collections.abc import Collection
from typing import NamedTuple

from notecast_runtime.backoff import Backoff


class _Rest(NamedTuple):
    backoff: Backoff
    until: float


class Rests:
    """Which partitions rest, and until when. Times are in seconds, by any one clock."""

    def __init__(self) -> None:
        self._rests: dict[int, _Rest] = {}

    def __len__(self) -> int:
        return len(self._rests)

    def begin(self, partition: int, now: float) -> None:
        """It has failed; each failure in a row makes its rest longer."""
        rest = self._rests.get(partition)
        backoff = rest.backoff if rest else Backoff()
        self._rests[partition] = _Rest(backoff, now + backoff.next_delay())

    def end(self, partition: int) -> None:
        """It works again."""
        self._rests.pop(partition, None)

    def keep(self, partitions: Collection[int]) -> list[int]:
        """All others are somebody else's now; gives those of them that rested."""
        dropped = [n for n in self._rests if n not in partitions]
        self._rests = {n: rest for n, rest in self._rests.items() if n in partitions}
        return dropped

    def asleep(self, now: float) -> dict[int, float]:
        """Those that are not to be touched yet, each with the seconds until it is."""
        return {n: rest.until - now for n, rest in self._rests.items() if rest.until > now}
