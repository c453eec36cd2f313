"""The gateway's room in the relay: what `room.py` makes of notes, heads and epochs."""

from chat_gateway.epochs import surviving_sequence
from chat_gateway.heads import Head, Past
from chat_gateway.room_log import Stretch
from tests.model import log_states
from tests.model.log_states import RING_NOTES, LogState
from tests.model.redis_rules import Note
from tests.model.relay_client import frame
from tests.model.relay_state import Gateway, Reader, Rule


def hear(gateway: Gateway, note: Note, rules: frozenset[Rule]) -> Gateway:
    """As Room.hear."""
    log = gateway.log
    if log is None:
        return gateway._replace(early=(*gateway.early, note)[-RING_NOTES:])
    if note.epoch > log.epoch:
        early = (*gateway.early, note)[-RING_NOTES:]
        return gateway._replace(early=early, enters=True)
    if note.epoch < log.epoch:
        return gateway
    if Rule.GAPS not in rules and note.sequence > log.newest:
        log = log_states.filled(log, Stretch(log.newest, note.sequence - 1), ())
    return gateway._replace(log=log_states.heard(log, note.sequence, frame(note)))


def hear_early(gateway: Gateway, rules: frozenset[Rule]) -> Gateway:
    """As Room._hear_early."""
    early = gateway.early
    gateway = gateway._replace(early=())
    for note in early:
        gateway = hear(gateway, note, rules)
    return gateway


def enter(gateway: Gateway, log: LogState, past: Past, rules: frozenset[Rule]) -> Gateway:
    """As Room._enter, once it knows the past."""
    head, ends = past
    survived = surviving_sequence(log.epoch, log.newest, head.epoch, ends) or 0
    kept = survived if Rule.RING_CUT in rules else log.newest
    log = log_states.entered_epoch(log, head.epoch, kept)
    gateway = gateway._replace(log=log)
    if Rule.READS_CUT in rules:
        gateway = gateway._replace(repair=None)
    if gateway.reader is not None:
        reader = _reader_enters(gateway.reader, head, survived, rules)
        gateway = gateway._replace(reader=reader)
    return hear_early(hear_head(gateway, head), rules)


def _reader_enters(reader: Reader, head: Head, survived: int, rules: frozenset[Rule]) -> Reader:
    """As RoomCursor.enter_epoch."""
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
    """As Room.hear_head."""
    log = gateway.log
    assert log is not None
    if head.epoch > log.epoch:
        return gateway._replace(enters=True)
    if head.epoch < log.epoch:
        return gateway
    return gateway._replace(log=log_states.heard_head(log, head.sequence))
