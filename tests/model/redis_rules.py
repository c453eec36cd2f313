"""What the Lua scripts do to one partition that holds one room, restated in Python.

The models need these rules as pure functions. `test_scripts_match.py` runs the scripts themselves
and these functions side by side, so that neither can change alone. Redis's clock and the ids that
it gives out are arguments here.
"""

from typing import NamedTuple, TypeVar

from chat_gateway.log.epochs import EpochEnd
from notecast_runtime.outbox import OutboxId
from notecast_runtime.redis.fencing import Begin

BEGIN = OutboxId(0, 0)

Item = TypeVar("Item")


class Note(NamedTuple):
    """An accepted note: `body` stands for its id, author and text."""

    epoch: int
    sequence: int
    body: str
    floor: int = 0
    """At which Redis had nothing of the room when it came; 0: it had, or there was none."""


class Entry(NamedTuple):
    """A note in the outbox."""

    outbox_id: OutboxId
    note: Note


class SeenId(NamedTuple):
    """A note's id within the window, and what was answered."""

    note_id: str
    body: str
    epoch: int
    sequence: int


class Forgotten(NamedTuple):
    """What is remembered of a room that was forgotten."""

    last: int
    """Its last sequence."""

    lived_through: int = 0
    """The latest epoch at the end of which it was there; 0: none."""


class Data(NamedTuple):
    """What Redis holds."""

    run: int | None = None
    """The run of Redis that wrote last."""

    epoch: int | None = None
    began: Begin | None = None

    ends: tuple[EpochEnd, ...] = ()
    """The room's head when each of these epochs ended; the floor where Redis has none."""

    end_floors: tuple[int, ...] = ()
    """The floor when each of these epochs ended."""

    was_there: tuple[bool, ...] = ()
    """Whether Redis has a head of the room from when each of them ended."""

    forgotten: Forgotten | None = None
    """The last of the room that was forgotten."""

    known_from: int | None = None
    """The floor since which each forgotten room is remembered; None: since now."""

    head: int = 0
    """0: Redis has nothing of the room, which then stands at the floor."""

    floor: int = 0
    outbox: tuple[Entry, ...] = ()
    last_id: OutboxId = BEGIN
    """The newest id that the outbox ever gave out; what is trimmed counts."""

    added: int = 0
    """How many entries the outbox ever had."""

    persisted: OutboxId = BEGIN
    stream: tuple[Note, ...] = ()
    last_sequence: int = 0
    """The last id that the room's stream ever had; what is trimmed counts."""

    seen: tuple[SeenId, ...] = ()


class Answer(NamedTuple):
    """What a sender is told."""

    epoch: int
    sequence: int
    duplicate: bool


def begin_epoch(data: Data, clock: int, remembered: int) -> Data:
    """A new epoch, with the end of the one before on record; none where there was none.

    Args:
        data: as it is.
        clock: the new epoch's number: later than every epoch that ever was, also than
            those that Redis has forgotten.
        remembered: how many past epochs are kept.
    """
    if data.epoch is None:
        return data
    ends = (*data.ends, EpochEnd(data.epoch, stands_at(data)))[-remembered:]
    end_floors = (*data.end_floors, data.floor)[-remembered:]
    epoch = max(clock, data.epoch + 1)
    began = Begin(epoch, data.epoch, data.last_id)
    was_there = (*data.was_there, bool(data.head))[-remembered:]
    data = data._replace(epoch=epoch, began=began, ends=ends, end_floors=end_floors)
    return data._replace(was_there=was_there)


class Fence(NamedTuple):
    """What a process has seen of the partition."""

    epoch: int = 0
    newest: OutboxId = BEGIN
    """The newest entry of the outbox that it has seen in that epoch."""

    fork: OutboxId | None = None
    """What data of an earlier epoch have in common with what was seen; None: the rule is off."""

    begins: tuple[Begin, ...] | None = ()
    """How epochs began that were seen; None: the rule is off."""


NOTHING_SEEN = Fence()


def guard(data: Data, run: int, clock: int, remembered: int, fence: Fence = NOTHING_SEEN) -> Data:
    """`guard.lua`, the first command on every new connection.

    Another run begins a new epoch, and so do data that are older than what was seen of them.
    """
    older = data.epoch is not None and is_older(data, fence)
    if not older:
        data = part_ways(data, fence)
    if data.run == run and not older:
        return data
    begun = begin_epoch(data, max(clock, fence.epoch + 1), remembered)._replace(run=run)
    if not older:
        return begun
    fork = fence.newest if fence.epoch == data.epoch else fence.fork
    return begun if fork is None else end_at_the_fork(begun, len(begun.ends) - 1, fork)


def part_ways(data: Data, fence: Fence) -> Data:
    """Where the data never had the epoch that was seen, and a later one has begun there."""
    if fence.begins is None or fence.epoch >= (data.epoch or 0):
        return data
    epochs = [end.epoch for end in data.ends]
    before = [epoch for epoch in epochs if epoch < fence.epoch]
    if fence.epoch in epochs or not before:
        return data
    forks = (begin.entry for begin in fence.begins if begin.previous == before[-1])
    return end_at_the_fork(data, len(before) - 1, next(forks, BEGIN))


def is_older(data: Data, fence: Fence) -> bool:
    """Whether the data are of before what was seen of them."""
    epoch = data.epoch or 0
    if fence.epoch != epoch or fence.newest == BEGIN:
        return fence.epoch > epoch
    return was_never_here(data, fence.newest)


def was_never_here(data: Data, outbox_id: OutboxId) -> bool:
    """Whether an entry was never written to the outbox; or was trimmed with all before it."""
    ids = [entry.outbox_id for entry in data.outbox]
    if data.last_id < outbox_id or outbox_id in ids:
        return outbox_id not in ids
    return (bool(ids) and ids[0] < outbox_id) or data.added == len(ids)


def end_at_the_fork(data: Data, at: int, fork: OutboxId) -> Data:
    """Where notes came after the fork, the common past of a past epoch ends before them.

    And at nothing where the room stood at the floor, which may have risen since.
    """
    if not data.ends or not data.added:
        return data
    after = [entry.note for entry in data.outbox if entry.outbox_id > fork]
    stood, is_there = data.ends[at].end, data.was_there[at]
    if not tells_all_after(data, fork):
        end, is_there = 0, False
    elif after:
        common = min(0 if note.floor else note.sequence - 1 for note in after)
        known = is_there or data.end_floors[at]
        end, is_there = min(common, stood) if is_there else common if known else 0, True
    else:
        end = stood if is_there else 0
    return data._replace(
        ends=_with(data.ends, at, data.ends[at]._replace(end=end)),
        end_floors=_with(data.end_floors, at, 0),
        was_there=_with(data.was_there, at, is_there),
    )


def _with(items: tuple[Item, ...], at: int, item: Item) -> tuple[Item, ...]:
    return (*items[:at], item, *items[at + 1 :])


def tells_all_after(data: Data, entry: OutboxId) -> bool:
    """Whether the outbox still has all that was written to it after an entry."""
    ids = [each.outbox_id for each in data.outbox]
    return entry >= data.last_id or (bool(ids) and entry >= ids[0]) or data.added == len(ids)


def stands_at(data: Data) -> int:
    """The room's head, as `heads.lua` and `epoch_ends.lua` give it."""
    return data.head or data.floor


def ensure_epoch(data: Data, clock: int) -> Data:
    """`heads.lua` and `accept.lua`: where the data vanished with their epoch, another begins."""
    return data if data.epoch is not None else data._replace(epoch=clock)


def accept(data: Data, body: str, outbox_id: OutboxId, clock: int) -> tuple[Data, Note]:
    """`accept.lua`, of a note that was not seen before."""
    data = ensure_epoch(data, clock)
    floor = 0 if data.head else data.floor
    note = Note(data.epoch or clock, stands_at(data) + 1, body, floor)
    outbox = (*data.outbox, Entry(outbox_id, note))
    data = data._replace(outbox=outbox, last_id=outbox_id, added=data.added + 1)
    return data._replace(head=note.sequence), note


def accept_once(
    data: Data, note_id: str, body: str, outbox_id: OutboxId, clock: int
) -> tuple[Data, Answer | None]:
    """`accept.lua`, where the id may be in the window; no answer: it was another note's."""
    for seen in data.seen:
        if seen.note_id == note_id:
            same = seen.body == body
            return data, Answer(seen.epoch, seen.sequence, duplicate=True) if same else None
    data, note = accept(data, body, outbox_id, clock)
    seen = SeenId(note_id, body, note.epoch, note.sequence)
    return data._replace(seen=(*data.seen, seen)), Answer(
        note.epoch, note.sequence, duplicate=False
    )


def persist(
    data: Data,
    batch_epoch: int | None,
    batch: tuple[Entry, ...],
    retention_notes: int,
    trim: OutboxId,
) -> Data | None:
    """`persist.lua`; None where it refuses the batch of another epoch, or of newer data."""
    if data.epoch != batch_epoch or is_of_newer_data(data, batch):
        return None
    if batch[-1].outbox_id <= data.persisted:
        return data
    return write_batch(data, batch, retention_notes, trim)


def is_of_newer_data(data: Data, batch: tuple[Entry, ...]) -> bool:
    """Whether the batch was read from data that have since gone back."""
    first, last = batch[0].outbox_id, batch[-1].outbox_id
    behind = [entry.outbox_id for entry in data.outbox if entry.outbox_id > data.persisted]
    return last > data.persisted and (last not in behind or behind[0] < first)


def write_batch(
    data: Data,
    batch: tuple[Entry, ...],
    retention_notes: int,
    trim: OutboxId,
    *,
    passes_over: bool = True,
) -> Data:
    """What `persist.lua` does after its refusal; it trims to the position at most.

    Args:
        data: as they are.
        batch: read from the outbox.
        retention_notes: how many notes the room keeps.
        trim: up to where the outbox may be trimmed.
        passes_over: whether what is not after the position is passed over.
    """
    stream, last = data.stream, data.last_sequence
    for outbox_id, note in batch:
        is_new = outbox_id > data.persisted or not passes_over
        if (
            is_new and last < note.sequence <= data.head
        ):  # one that was never given out is set aside
            stream, last = (*stream, note), note.sequence
    persisted = max(data.persisted, batch[-1].outbox_id)
    data = data._replace(stream=stream[-retention_notes:], last_sequence=last, persisted=persisted)
    return trim_outbox(data, min(trim, persisted))


def trim_outbox(data: Data, oldest_kept: OutboxId) -> Data:
    """XTRIM MINID of the outbox; the entry with that very id stays."""
    return data._replace(outbox=tuple(e for e in data.outbox if e.outbox_id >= oldest_kept))


def retire(data: Data, count: int) -> Data:
    """`age_retention.lua`, where the first `count` notes of the stream are too old."""
    data = data._replace(stream=data.stream[count:])
    is_done = data.head and not data.stream and data.last_sequence == data.head
    return forget(data) if is_done else data


def forget(data: Data) -> Data:
    """What `age_retention.lua` does with a room of which no note is left."""
    ends = tuple(
        end._replace(end=floor) for end, floor in zip(data.ends, data.end_floors, strict=True)
    )
    known = data.forgotten or Forgotten(0)
    there = [end.epoch for end, was in zip(data.ends, data.was_there, strict=True) if was]
    forgotten = Forgotten(max(known.last, data.head), max(known.lived_through, *there, 0))
    known_from = data.floor if data.known_from is None else data.known_from
    floor = max(data.floor, data.head) + 1
    data = data._replace(ends=ends, was_there=(False,) * len(ends), head=0, last_sequence=0)
    return data._replace(floor=floor, forgotten=forgotten, known_from=known_from)


def told_ends(data: Data) -> tuple[EpochEnd, ...]:
    """`epoch_ends.lua`: nothing is known to be left where the room may be forgotten since."""
    lived_through = data.forgotten.lived_through if data.forgotten else 0
    known_from = data.known_from or 0
    return tuple(
        end if was or (end.epoch > lived_through and floor >= known_from) else end._replace(end=0)
        for end, was, floor in zip(data.ends, data.was_there, data.end_floors, strict=True)
    )
