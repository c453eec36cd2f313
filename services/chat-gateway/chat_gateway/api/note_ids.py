"""Makes ids for notes whose senders gave none."""

import os

_ID_BYTES = 16
_IDS_AT_A_TIME = 256
"""Asking the system for each id would take a twentieth of the cost of a send."""


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
