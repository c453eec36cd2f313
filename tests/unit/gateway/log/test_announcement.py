import struct

import pytest

from chat_gateway.log.announcement import Announcement, decode_announcement
from notecast_runtime.outbox import OutboxId


def test_a_message_is_a_header_and_then_the_note() -> None:
    payload = struct.pack(">QQQQ", 7, 12, 1_000, 3) + b"note"
    assert decode_announcement(payload) == Announcement(7, 12, OutboxId(1_000, 3), b"note")


def test_a_message_that_is_shorter_than_its_header_is_refused() -> None:
    with pytest.raises(ValueError, match="31 bytes"):
        decode_announcement(bytes(31))
