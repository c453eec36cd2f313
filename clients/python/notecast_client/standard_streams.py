"""Prepares the standard streams, whatever started the command."""

import codecs
import os
import sys
from io import TextIOWrapper
from typing import Literal, TextIO

_SIGNS = "notecast.signs"
_PICTURES_OF_CONTROLS = range(0x2400, 0x2422)


def prepare() -> None:
    """Makes the three streams usable. Call it first, before any file is opened.

    A closed stream gets a descriptor on which every use fails, like on a closed one. Otherwise the
    first file or connection that is opened would get its number, and be written to. Only output to
    a closed standard error is dropped. Characters that an encoding lacks are written as signs.
    """
    for descriptor, wrong_way in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, wrong_way)  # takes the lowest number that is free: this one
    # They are None where they were closed.
    sys.stdin = sys.stdin or _stream(0, "r")
    sys.stdout = sys.stdout or _stream(1, "w")
    sys.stderr = sys.stderr or _stream(2, "w")
    codecs.register_error(_SIGNS, _as_signs)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=_SIGNS)


def drop(descriptor: int) -> None:
    """Redirects unwritten output to nowhere: it must not fail again when Python exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _stream(descriptor: int, mode: Literal["r", "w"]) -> TextIO:
    # Not closed before Python is.
    return open(descriptor, mode, encoding="utf-8", closefd=False)


def _as_signs(error: UnicodeError) -> tuple[str | bytes, int]:
    """An error handler of codecs: `<U+1F469>` for each character that the encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = "".join(map(_sign_for, error.object[error.start : error.end]))
    return signs, error.end


def _sign_for(character: str) -> str:
    code = ord(character)
    if code in _PICTURES_OF_CONTROLS:  # itself a sign, for a control character
        code = 0x7F if code == 0x2421 else code - 0x2400
    return f"<U+{code:04X}>"
