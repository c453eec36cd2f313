"""Makes a note of a request and puts it into its room."""

import time
import uuid
from hashlib import blake2b

from google.protobuf.timestamp_pb2 import Timestamp

from chat_gateway.accept import Acceptor, Submission
from chat_gateway.validation import RequestLimits, check_send
from notecast.v1.chat_pb2 import SendNoteRequest, SendNoteResponse
from notecast.v1.note_pb2 import Cursor, Note


class Sender:
    """What every service that sends notes shares.

    Args:
        acceptor: stores and announces.
        limits: bounds on requests.
    """

    def __init__(self, acceptor: Acceptor, limits: RequestLimits) -> None:
        self._acceptor = acceptor
        self._limits = limits

    async def send(self, request: SendNoteRequest, timeout_seconds: float) -> SendNoteResponse:
        """Stores the note, and says where it stands.

        Args:
            request: as it came from the client.
            timeout_seconds: bound on the wait.

        Raises:
            InvalidRequestError: a field is out of its bounds; nothing is stored.
            NoteIdTakenError: the id was used for another note; nothing is stored.
            RedisUnavailableError: no answer in time; the note may be stored or not.
            OverloadedError: too many notes wait; the note is not stored.
        """
        check_send(request, self._limits)
        made_ns = time.time_ns()
        note = Note(
            room=request.room,
            note_id=request.note_id or uuid.uuid4().hex,
            author=request.author,
            text=request.text,
            create_time=_timestamp(made_ns),
            labels=request.labels,
        )
        submission = Submission(
            request.room, request.note_id, note.SerializeToString(), _digest(request), made_ns
        )
        accepted = await self._acceptor.accept(submission, timeout_seconds)
        return SendNoteResponse(
            cursor=Cursor(epoch=accepted.epoch, sequence=accepted.sequence),
            note_id=note.note_id,
            create_time=_timestamp(accepted.made_ns),
            duplicate=accepted.duplicate,
        )


def _timestamp(nanoseconds: int) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromNanoseconds(nanoseconds)
    return timestamp


def _digest(request: SendNoteRequest) -> bytes:
    # Deterministic is enough within one release of protobuf; across two, a retry that
    # comes amid an upgrade may be refused, and never stored twice.
    return blake2b(request.SerializeToString(deterministic=True), digest_size=16).digest()
