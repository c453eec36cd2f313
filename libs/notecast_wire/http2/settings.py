"""The values of SETTINGS: the peer's, checked, and ours (RFC 9113, 6.5)."""

import struct
from typing import Final

from notecast_wire.http2.codes import ErrorCode, SettingId
from notecast_wire.http2.errors import H2ConnectionError
from notecast_wire.http2.frames import MAX_FRAME_BYTES
from notecast_wire.http2.limits import ConnectionLimits

DEFAULT_WINDOW_BYTES: Final = 65_535
"""Of streams before a SETTINGS says else, and of every connection (RFC 9113, 6.9.2)."""
MAX_WINDOW_BYTES: Final = 2**31 - 1
DEFAULT_TABLE_BYTES: Final = 4_096
_SETTING: Final = struct.Struct(">HI")
_LARGEST_FRAME_BYTES: Final = 2**24 - 1


def our_settings(limits: ConnectionLimits) -> dict[int, int]:
    """Settings that we announce; for the rest, the defaults of RFC 9113, 6.5.2, suit us."""
    return {
        SettingId.MAX_CONCURRENT_STREAMS: limits.max_concurrent_streams,
        SettingId.INITIAL_WINDOW_SIZE: limits.stream_window_bytes,
        SettingId.MAX_HEADER_LIST_SIZE: limits.max_header_list_bytes,
    }


def parse_settings(payload: bytes) -> list[tuple[int, int]]:
    """The ids and values of a client's SETTINGS frame, in their order, unknown ones too.

    Raises:
        H2ConnectionError: for a length that is none, and values out of range.
    """
    if len(payload) % _SETTING.size:
        raise H2ConnectionError(
            ErrorCode.FRAME_SIZE_ERROR, "SETTINGS payload is not a multiple of 6 octets"
        )
    values = list(_SETTING.iter_unpack(payload))
    for setting, value in values:
        _check(setting, value)
    return values


def _check(setting: int, value: int) -> None:
    if setting == SettingId.INITIAL_WINDOW_SIZE and value > MAX_WINDOW_BYTES:
        raise H2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE above 2^31-1")
    if setting == SettingId.ENABLE_PUSH and value > 1:
        raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")
    if setting == SettingId.MAX_FRAME_SIZE and not (
        MAX_FRAME_BYTES <= value <= _LARGEST_FRAME_BYTES
    ):
        raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "MAX_FRAME_SIZE out of range")
