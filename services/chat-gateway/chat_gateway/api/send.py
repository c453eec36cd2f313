"""Makes a note from a request, and puts it into its room."""

import os
import time
from hashlib import blake2b

from google.protobuf.timestamp_pb2 import Timestamp

from chat_gateway.api.validation import RequestLimits, check_send
from chat_gateway.log.protobuf_fields import CREATE_TIME_TAG, varint
from chat_gateway.store.accept import Acceptor, Submission
from notecast.v1.chat_pb2 import SendNoteRequest, SendNoteResponse
from notecast.v1.note_pb2 import Cursor, Note

_ID_BYTES = 16
_IDS_AT_A_TIME = 256
"""Asking the system for each id would take a twentieth of the cost of a send."""


class Sender:
    """The part that all services that send notes share.

    Args:
        acceptor: stores and announces notes.
        limits: bounds on requests.
    """

    def __init__(self, acceptor: Acceptor, limits: RequestLimits) -> None:
        self._acceptor = acceptor
        self._limits = limits
        self._ids = NoteIds()

    async def send(self, request: SendNoteRequest, timeout_seconds: float) -> SendNoteResponse:
        """Stores the note, and returns its position.

        Args:
            request: the request as the client sent it.
            timeout_seconds: bound on the wait.

        Raises:
            InvalidRequestError: a field is out of its bounds; nothing is stored.
            NoteIdTakenError: the id was used for another note; nothing is stored.
            RedisUnavailableError: no answer in time; the note may be stored or not.
            WritesRefusedError: Redis takes no writes now; the note is not stored.
            OverloadedError: too many notes wait; the note is not stored.
        """
        check_send(request, self._limits)
        made_ns = time.time_ns()
        create_time = _timestamp(made_ns)
        note_id = request.note_id or self._ids.make()
        content = _content(request, note_id)
        submission = Submission(
            request.room,
            request.note_id,
            note=timed_note(content, create_time),
            digest=blake2b(content, digest_size=16).digest() if request.note_id else b"",
            made_ns=made_ns,
        )
        accepted = await self._acceptor.accept(submission, timeout_seconds)
        return SendNoteResponse(
            cursor=Cursor(epoch=accepted.epoch, sequence=accepted.sequence),
            note_id=note_id,
            create_time=_timestamp(accepted.made_ns) if accepted.duplicate else create_time,
            duplicate=accepted.duplicate,
        )


class NoteIds:
    """Makes ids that are unique and can't be guessed."""

    def __init__(self) -> None:
        self._bytes = b""
        self._next = 0

    def make(self) -> str:
        """Makes an id: 32 hexadecimal digits."""
        begin = self._next
        if begin == len(self._bytes):
            self._bytes, begin = os.urandom(_ID_BYTES * _IDS_AT_A_TIME), 0
        self._next = end = begin + _ID_BYTES
        return self._bytes[begin:end].hex()


def _content(request: SendNoteRequest, note_id: str) -> bytes:
    """The part that is equal for every retry: a serialised Note without position and time."""
    note = Note(room=request.room, note_id=note_id, author=request.author, text=request.text)
    if request.labels:
        note.labels.update(request.labels)
    # Deterministic is enough within one release of protobuf. During an upgrade of protobuf a retry
    # may be refused, but is never stored twice.
    return note.SerializeToString(deterministic=True)


def _timestamp(nanoseconds: int) -> Timestamp:
    seconds, nanos = divmod(nanoseconds, 1_000_000_000)
    return Timestamp(seconds=seconds, nanos=nanos)


def timed_note(note: bytes, create_time: Timestamp) -> bytes:
    """Adds the create_time to a serialised Note: concatenated messages merge."""
    field = create_time.SerializeToString()
    return b"".join((note, CREATE_TIME_TAG, varint(len(field)), field))
