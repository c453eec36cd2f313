"""Ids for notes whose senders have given none."""

import os

_ID_BYTES = 16
_IDS_AT_A_TIME = 256
"""To ask the system for each by itself would be a twentieth of what a send costs."""


class NoteIds:
    """Makes ids that are unique, and that nobody can guess."""

    def __init__(self) -> None:
        self._bytes = b""
        self._next = 0

    def make(self) -> str:
        """An id: 32 hexadecimal digits."""
        begin = self._next
        if begin == len(self._bytes):
            self._bytes, begin = os.urandom(_ID_BYTES * _IDS_AT_A_TIME), 0
        self._next = end = begin + _ID_BYTES
        return self._bytes[begin:end].hex()
