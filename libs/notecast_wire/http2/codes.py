"""The numbers of HTTP/2: error codes, frame types, flags and settings (RFC 9113, 6 and 7).

Only the error codes are an enumeration, since they leave this package. What is compared for
every frame is plain integers: looking up a member of an enumeration costs more than the frame.
"""

from enum import IntEnum
from typing import Final


class ErrorCode(IntEnum):
    """Why a stream was reset or a connection ended (RFC 9113, 7)."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


_ERROR_CODES: Final = {int(code): code for code in ErrorCode}


def error_code(number: int) -> ErrorCode:
    """The code of a number from the wire; INTERNAL_ERROR for an unknown one (RFC 9113, 7)."""
    return _ERROR_CODES.get(number, ErrorCode.INTERNAL_ERROR)


MAX_STREAM_ID: Final = 2**31 - 1
"""Of 31 bits; the one above them is ignored (RFC 9113, 5.1.1 and 4.1)."""


class FrameType:
    """The types of frames (RFC 9113, 6). Others are ignored."""

    DATA: Final = 0x0
    HEADERS: Final = 0x1
    PRIORITY: Final = 0x2
    RST_STREAM: Final = 0x3
    SETTINGS: Final = 0x4
    PUSH_PROMISE: Final = 0x5
    PING: Final = 0x6
    GOAWAY: Final = 0x7
    WINDOW_UPDATE: Final = 0x8
    CONTINUATION: Final = 0x9


class Flag:
    """The flags of frames; their meaning depends on the type (RFC 9113, 6)."""

    ACK: Final = 0x1
    END_STREAM: Final = 0x1
    END_HEADERS: Final = 0x4
    PADDED: Final = 0x8
    PRIORITY: Final = 0x20


class SettingId:
    """The settings of RFC 9113, 6.5.2. Others are ignored."""

    HEADER_TABLE_SIZE: Final = 0x1
    ENABLE_PUSH: Final = 0x2
    MAX_CONCURRENT_STREAMS: Final = 0x3
    INITIAL_WINDOW_SIZE: Final = 0x4
    MAX_FRAME_SIZE: Final = 0x5
    MAX_HEADER_LIST_SIZE: Final = 0x6
