"""Remembers what was seen of each partition, to tell older data from newer ones. Pure.

A run of Redis can come back with older data than it has shown: after a failback by address, from a
machine's snapshot, by replicating a backup. Its run id does not show that. What shows it is what
the process has seen: the latest epoch, and its newest outbox entry. Entry ids come from Redis's
clock, and none is made twice. So an entry that is missing was never written to these data.
"""

from typing import NamedTuple

from notecast_runtime.outbox import OutboxId

NOTHING = OutboxId(0, 0)
"""An id before every entry."""

_MOST_SUSPECTS = 8
"""Bound for a partition: if data are older, any lost entry shows it."""

_BEGINS_REMEMBERED = 16
"""For each partition; as many as Redis keeps past epochs."""


class Begin(NamedTuple):
    """The beginning of an epoch, in its data."""

    epoch: int
    previous: int
    """The epoch before it in these data."""

    entry: OutboxId
    """The newest entry of the outbox at that moment."""

    @classmethod
    def parse(cls, epoch: int, text: bytes) -> "Begin":
        """Parses what Redis keeps with an epoch: the previous one, and the entry.

        Raises:
            ValueError: the text holds something else.
        """
        previous, _, entry = text.partition(b" ")
        return cls(epoch, int(previous), OutboxId.parse(entry))


class Seen(NamedTuple):
    """The newest that was seen of a partition."""

    epoch: int
    newest: OutboxId = NOTHING
    """The newest outbox entry that was seen in this epoch; `NOTHING` if none was."""

    begins: tuple[Begin, ...] = ()
    """The known beginnings of epochs, oldest first."""

    def fork(self, epoch: int) -> OutboxId:
        """The last entry that data of this epoch can have in common with what was seen.

        Args:
            epoch: the epoch of the data; at most the one seen.

        Returns:
            `NOTHING` if it is not known. Also if no later epoch began in data that continued from
            this one: the data of an empty Redis have nothing in common with it.
        """
        if epoch == self.epoch:
            return self.newest
        return next((each.entry for each in self.begins if each.previous == epoch), NOTHING)


class Expected(NamedTuple):
    """An outbox entry that Redis must hold as long as its epoch lasts."""

    partition: int
    epoch: int
    """The epoch in which it was seen; a later one may have begun without it."""

    entry: OutboxId


class Fence:
    """Remembers the newest that was seen of each partition. It never goes back."""

    def __init__(self) -> None:
        self._seen: dict[int, Seen] = {}
        self._suspects: dict[int, list[OutboxId]] = {}

    @property
    def has_suspects(self) -> bool:
        """Whether there are entries that Redis may no longer hold."""
        return bool(self._suspects)

    def see(self, partition: int, epoch: int, newest: OutboxId = NOTHING) -> None:
        """Learns that this epoch was seen, and this outbox entry in it."""
        seen = self._seen.get(partition)
        if seen is None or epoch > seen.epoch:
            self._seen[partition] = Seen(epoch, newest, seen.begins if seen else ())
            self._suspects.pop(partition, None)
        elif epoch == seen.epoch and newest > seen.newest:
            self._seen[partition] = seen._replace(newest=newest)

    def see_begin(self, partition: int, begin: Begin) -> None:
        """Learns how an epoch began."""
        self.see(partition, begin.epoch)
        seen = self._seen[partition]
        if begin.epoch == seen.epoch and all(each.epoch != begin.epoch for each in seen.begins):
            begins = (*seen.begins, begin)[-_BEGINS_REMEMBERED:]
            self._seen[partition] = seen._replace(begins=begins)

    def suspect(self, partition: int, epoch: int, entry: OutboxId) -> None:
        """Adds an entry to look for: a newer one may already belong to other data."""
        self.see(partition, epoch)
        if epoch < self._seen[partition].epoch or entry == NOTHING:
            return
        suspects = self._suspects.setdefault(partition, [])
        if entry not in suspects and len(suspects) < _MOST_SUSPECTS:
            suspects.append(entry)

    def seen(self, partition: int) -> Seen:
        """The newest that was seen of a partition; epoch 0 if nothing was."""
        return self._seen.get(partition) or Seen(0)

    def expected(self) -> list[Expected]:
        """All entries that Redis must hold."""
        suspects = [(p, entry) for p, entries in self._suspects.items() for entry in entries]
        newest = [(p, seen.newest) for p, seen in self._seen.items() if seen.newest != NOTHING]
        return [Expected(p, self._seen[p].epoch, entry) for p, entry in [*suspects, *newest]]

    def still_expects(self, expected: Expected) -> bool:
        """Whether no later epoch was seen since: a later one explains a lost entry.

        Other connections of this process may have seen one while this one waited for an answer.
        """
        return expected.epoch == self.seen(expected.partition).epoch

    def found(self, expected: Expected) -> None:
        """Learns that Redis holds the entry."""
        self.see(*expected)
        self.settle(expected.partition, expected.entry)

    def settle(self, partition: int, entry: OutboxId) -> None:
        """Stops looking for an entry that was trimmed, or whose loss was handled."""
        suspects = self._suspects.get(partition, [])
        if entry in suspects:
            suspects.remove(entry)
        if not suspects:
            self._suspects.pop(partition, None)

    def newest(self) -> tuple[int, OutboxId] | None:
        """The newest entry of all partitions, with its partition; None if none was seen."""
        newest = max(self.expected(), key=lambda each: each.entry, default=None)
        return newest and (newest.partition, newest.entry)
