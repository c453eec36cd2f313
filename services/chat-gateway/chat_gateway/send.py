"""Makes a note of a request and puts it into its room."""

import time
import uuid

from google.protobuf.timestamp_pb2 import Timestamp

from chat_gateway.accept import Acceptor
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
            RedisUnavailableError: no answer in time; the note may be stored or not.
            OverloadedError: too many notes wait; the note is not stored.
        """
        check_send(request, self._limits)
        now = Timestamp()
        now.FromNanoseconds(time.time_ns())
        note = Note(
            room=request.room,
            note_id=request.note_id or uuid.uuid4().hex,
            author=request.author,
            text=request.text,
            create_time=now,
            labels=request.labels,
        )
        place = await self._acceptor.accept(request.room, note.SerializeToString(), timeout_seconds)
        cursor = Cursor(epoch=place.epoch, sequence=place.sequence)
        return SendNoteResponse(cursor=cursor, note_id=note.note_id, create_time=now)
