"""The message that the accept script publishes: a note, with its position in front.

It begins with a header of four unsigned 64-bit numbers, big-endian: epoch, sequence, and the two
halves of the note's outbox id. The serialised note follows, without its position. The script
`accept.lua` writes it.
"""

import struct
from typing import NamedTuple

from notecast_runtime.outbox import OutboxId

_HEADER = struct.Struct(">QQQQ")


class Announcement(NamedTuple):
    """A note that was accepted, as it was received live."""

    epoch: int
    sequence: int
    outbox_id: OutboxId
    note: bytes


def decode_announcement(payload: bytes) -> Announcement:
    """Decodes a message of a room's channel.

    Raises:
        ValueError: it is too short to be one.
    """
    if len(payload) < _HEADER.size:
        raise ValueError(f"{len(payload)} bytes; the header alone has {_HEADER.size}")
    epoch, sequence, milliseconds, counter = _HEADER.unpack_from(payload)
    return Announcement(epoch, sequence, OutboxId(milliseconds, counter), payload[_HEADER.size :])
