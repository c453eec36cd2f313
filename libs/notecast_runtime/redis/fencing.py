"""What this process has seen of each partition, so that older data are told from newer ones. Pure.

A run of Redis can come back with older data than it has shown: after a failback by address, from
a machine's snapshot, by replicating a backup. Its run id says nothing then. What does is what the
process has seen: the latest epoch, and in it the newest entry of the outbox. Entries have ids by
Redis's clock, and none is ever made twice, so an entry that is missing among those around it was
never written to these data.
"""

from typing import NamedTuple

from notecast_runtime.outbox import OutboxId

NOTHING = OutboxId(0, 0)
"""Comes before every entry."""

_MOST_SUSPECTS = 8
"""Of a partition, at once: where data are older, each that was lost shows it."""

_BEGINS_REMEMBERED = 16
"""Of each partition, as many as there are past epochs in Redis."""


class Begin(NamedTuple):
    """How an epoch began, in the data of which it is one."""

    epoch: int
    previous: int
    """The epoch before it in these data."""

    entry: OutboxId
    """The newest entry of the outbox at that moment."""

    @classmethod
    def parse(cls, epoch: int, text: bytes) -> "Begin":
        """Reads what is kept in Redis with an epoch: the previous one, and the entry.

        Raises:
            ValueError: that is not what the text holds.
        """
        previous, _, entry = text.partition(b" ")
        return cls(epoch, int(previous), OutboxId.parse(entry))


class Seen(NamedTuple):
    """The newest that was seen of a partition."""

    epoch: int
    newest: OutboxId = NOTHING
    """The newest entry of the outbox that was seen in this epoch; NOTHING where none was."""

    begins: tuple[Begin, ...] = ()
    """How epochs began, oldest first, as far as that is known."""

    def fork(self, epoch: int) -> OutboxId:
        """The last entry that data of this epoch can have in common with what was seen.

        Args:
            epoch: of the data; at most the one seen.

        Returns:
            NOTHING where it is not known. So it is also where no later epoch began in data that
            went on from this one: those of an empty Redis have nothing in common with it.
        """
        if epoch == self.epoch:
            return self.newest
        return next((each.entry for each in self.begins if each.previous == epoch), NOTHING)


class Expected(NamedTuple):
    """An entry of the outbox that Redis has to hold, as long as its epoch goes on."""

    partition: int
    epoch: int
    """The one that it was seen in; a later one may have begun without it."""

    entry: OutboxId


class Fence:
    """The newest that was seen of each partition. It never falls."""

    def __init__(self) -> None:
        self._seen: dict[int, Seen] = {}
        self._suspects: dict[int, list[OutboxId]] = {}

    @property
    def has_suspects(self) -> bool:
        """Whether there are entries that Redis may no longer hold."""
        return bool(self._suspects)

    def see(self, partition: int, epoch: int, newest: OutboxId = NOTHING) -> None:
        """Learns that this epoch, and this entry of the outbox in it, were there."""
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
        """Has this entry looked for too: one that is newer may be of other data already."""
        self.see(partition, epoch)
        if epoch < self._seen[partition].epoch or entry == NOTHING:
            return
        suspects = self._suspects.setdefault(partition, [])
        if entry not in suspects and len(suspects) < _MOST_SUSPECTS:
            suspects.append(entry)

    def seen(self, partition: int) -> Seen:
        """The newest of a partition; epoch 0 where nothing was seen."""
        return self._seen.get(partition) or Seen(0)

    def expected(self) -> list[Expected]:
        """All that Redis has to hold."""
        suspects = [(p, entry) for p, entries in self._suspects.items() for entry in entries]
        newest = [(p, seen.newest) for p, seen in self._seen.items() if seen.newest != NOTHING]
        return [Expected(p, self._seen[p].epoch, entry) for p, entry in [*suspects, *newest]]

    def still_expects(self, expected: Expected) -> bool:
        """Whether no later epoch was seen since: that one began by itself where an entry was lost.

        Other connections of this process may have seen it while this one waited for an answer.
        """
        return expected.epoch == self.seen(expected.partition).epoch

    def found(self, expected: Expected) -> None:
        """Learns that Redis holds the entry."""
        self.see(*expected)
        self.settle(expected.partition, expected.entry)

    def settle(self, partition: int, entry: OutboxId) -> None:
        """Learns that an entry that is not there was trimmed, or was seen to."""
        suspects = self._suspects.get(partition, [])
        if entry in suspects:
            suspects.remove(entry)
        if not suspects:
            self._suspects.pop(partition, None)

    def newest(self) -> tuple[int, OutboxId] | None:
        """The newest entry of all partitions, behind its partition; None where none was seen."""
        newest = max(self.expected(), key=lambda each: each.entry, default=None)
        return newest and (newest.partition, newest.entry)
