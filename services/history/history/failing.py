"""Logs partitions that fail, once for each cause and not at each attempt."""

from collections import defaultdict

import structlog

_log = structlog.get_logger(__name__)


class Failing:
    """Collects failures until `tell`, which logs the new ones.

    Partitions that fail for the same reason share a line. It is logged again when other partitions
    join them, or the reason changes.

    Args:
        event: the event name of the lines.
    """

    def __init__(self, event: str) -> None:
        self._event = event
        self._errors: dict[int, str] = {}
        self._untold: set[int] = set()

    def failed(self, partition: int, error: str) -> None:
        """Records that a partition has failed, for the first time or again."""
        if self._errors.get(partition) != error:
            self._errors[partition] = error
            self._untold.add(partition)

    def ended(self, partition: int) -> None:
        """Records that a partition works again, or belongs to another replica."""
        self._errors.pop(partition, None)
        self._untold.discard(partition)

    def tell(self) -> None:
        """Logs a line for each new reason, with its partitions."""
        if not self._untold:
            return
        partitions = defaultdict(list)
        for partition in sorted(self._untold):
            partitions[self._errors[partition]].append(partition)
        self._untold.clear()
        for error, those in partitions.items():
            _log.error(self._event, partitions=those, error=error)
