"""The gateway's room in the relay: what `room.py` makes of notes, heads and epochs."""

from chat_gateway.log.epochs import common_sequence
from chat_gateway.log.positions import EpochHistory, Head
from chat_gateway.log.room_log import SequenceRange
from notecast_runtime.outbox import OutboxId
from notecast_runtime.redis.fencing import Seen
from tests.model import log_states, redis_rules
from tests.model.log_states import RING_NOTES, LogState
from tests.model.redis_rules import BEGIN, Data, Note
from tests.model.relay_client import frame
from tests.model.relay_state import Gateway, Reader, Rule


def hear(gateway: Gateway, note: Note, rules: frozenset[Rule]) -> Gateway:
    """Models `Room.on_announcement`."""
    log = gateway.log
    if log is None:
        return gateway._replace(early=(*gateway.early, note)[-RING_NOTES:])
    if note.epoch > log.epoch:
        early = (*gateway.early, note)[-RING_NOTES:]
        return see(gateway._replace(early=early, enters=True), note.epoch)
    if note.epoch < log.epoch:
        return gateway
    outbox_id = id_of(note)
    if note.sequence == log.newest + 1:
        gateway = gateway._replace(outbox_id=outbox_id)
    elif Rule.SUSPECTS in rules and (note.sequence > log.newest or outbox_id > gateway.outbox_id):
        gateway = suspect(suspect(gateway, log.epoch, outbox_id), log.epoch, gateway.outbox_id)
    if Rule.GAPS not in rules and note.sequence > log.newest:
        log = log_states.filled(log, SequenceRange(log.newest, note.sequence - 1), ())
    return gateway._replace(log=log_states.heard(log, note.sequence, frame(note)))


def id_of(note: Note) -> OutboxId:
    """The note's id in the outbox: by a clock, which is why none is ever made twice."""
    return OutboxId(ord(note.body), 0)


def see(gateway: Gateway, epoch: int, newest: OutboxId = BEGIN) -> Gateway:
    """Models `Fence.see`."""
    seen = gateway.seen
    if epoch > seen.epoch:
        return gateway._replace(seen=Seen(epoch, newest, seen.begins), suspects=frozenset())
    if epoch == seen.epoch and newest > seen.newest:
        return gateway._replace(seen=seen._replace(newest=newest))
    return gateway


def suspect(gateway: Gateway, epoch: int, outbox_id: OutboxId) -> Gateway:
    """Models `Fence.suspect`."""
    gateway = see(gateway, epoch)
    if epoch < gateway.seen.epoch or outbox_id == BEGIN:
        return gateway
    return gateway._replace(suspects=gateway.suspects | {outbox_id})


def is_doubtful(gateway: Gateway, data: Data) -> bool:
    """As DataCheck.look: whether there are suspects, or the newest that was seen is missing."""
    there = {BEGIN, *(entry.outbox_id for entry in data.outbox)}
    return bool(gateway.suspects) or gateway.seen.newest not in there


def recalled(gateway: Gateway, data: Data) -> Seen:
    """What the guard is asked with: as DataCheck.recall, and what it does not find at once."""
    if gateway.log is not None:
        gateway = suspect(gateway, gateway.log.epoch, gateway.outbox_id)
    there = {entry.outbox_id for entry in data.outbox}
    missing = sorted({gateway.seen.newest, *gateway.suspects} - {BEGIN} - there)
    lost = (entry for entry in missing if redis_rules.was_never_here(data, entry))
    return gateway.seen._replace(newest=next(lost, BEGIN))


def hear_early(gateway: Gateway, rules: frozenset[Rule]) -> Gateway:
    """Models `Room._take_early`."""
    early = gateway.early
    gateway = gateway._replace(early=())
    for note in early:
        gateway = hear(gateway, note, rules)
    return gateway


def enter(
    gateway: Gateway, log: LogState, history: EpochHistory, rules: frozenset[Rule]
) -> Gateway:
    """As Room._enter, once it knows the history."""
    head, ends = history
    common = common_sequence(log.epoch, ends) or 0
    survived = min(log.newest, common)
    kept = survived if Rule.RING_CUT in rules else log.newest
    if survived < log.newest:
        gateway = gateway._replace(outbox_id=BEGIN)
    log = log_states.entered_epoch(log, head.epoch, kept)
    gateway = gateway._replace(log=log)
    if Rule.READS_CUT in rules:
        gateway = gateway._replace(repair=None)
    if gateway.reader is not None:
        reader = _reader_enters(gateway.reader, head, common, rules)
        gateway = gateway._replace(reader=reader)
    return hear_early(hear_head(gateway, head), rules)


def _reader_enters(reader: Reader, head: Head, survived: int, rules: frozenset[Rule]) -> Reader:
    """Models `RoomCursor.enter_epoch`."""
    place = reader.next_sequence
    to_tell = None
    if reader.to_tell is not None and Rule.TELLING_KEPT in rules:
        place = to_tell = min(reader.to_tell, survived + 1)
    if place - 1 > survived:
        place = to_tell = survived + 1
    caught_up_at = None if reader.caught_up_at is None else head.sequence
    if Rule.TELLING not in rules:
        return Reader(place, caught_up_at)
    # The place moves when the client is told.
    return Reader(reader.next_sequence, caught_up_at, to_tell)


def hear_head(gateway: Gateway, head: Head) -> Gateway:
    """Models `Room.on_head`."""
    log = gateway.log
    assert log is not None
    if head.epoch > log.epoch:
        return see(gateway._replace(enters=True), head.epoch)
    if head.epoch < log.epoch:
        return gateway
    if head.is_floor:
        gateway, log = _passed_over(gateway, log, head.sequence)
    if head.sequence == log.newest:
        gateway = see(gateway, head.epoch, head.outbox_id)  # as Room._agreed_id
    return gateway._replace(log=log_states.heard_head(log, head.sequence))


def _passed_over(gateway: Gateway, log: LogState, floor: int) -> tuple[Gateway, LogState]:
    """As Room.pass_over: who has been sent all stays so."""
    if floor <= log.newest:
        return gateway, log
    reader = gateway.reader
    if reader is not None and reader.to_tell is None and reader.next_sequence == log.newest + 1:
        gateway = gateway._replace(reader=reader._replace(next_sequence=floor + 1))
    return gateway, log_states.filled(log, SequenceRange(floor, floor), ())
