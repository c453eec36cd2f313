"""Partitions that fail, told once for each cause and not each time that they are tried."""

from collections import defaultdict

import structlog

_log = structlog.get_logger(__name__)


class Failing:
    """Gathers failures until `tell`, which logs what is new of them.

    Partitions that fail for the same reason make one line; it comes again where others join
    them, or the reason is another one.

    Args:
        event: the name of the lines.
    """

    def __init__(self, event: str) -> None:
        self._event = event
        self._errors: dict[int, str] = {}
        self._untold: set[int] = set()

    def failed(self, partition: int, error: str) -> None:
        """It has failed, for the first time or again."""
        if self._errors.get(partition) != error:
            self._errors[partition] = error
            self._untold.add(partition)

    def ended(self, partition: int) -> None:
        """It works again, or is somebody else's."""
        self._errors.pop(partition, None)
        self._untold.discard(partition)

    def tell(self) -> None:
        """Logs a line for each new reason, with the partitions that it concerns."""
        if not self._untold:
            return
        partitions = defaultdict(list)
        for partition in sorted(self._untold):
            partitions[self._errors[partition]].append(partition)
        self._untold.clear()
        for error, those in partitions.items():
            _log.error(self._event, partitions=those, error=error)
