"""The one file format of `make fuzz`: what is fed, and in which pieces.

A byte for how many sizes follow, a byte for each size, and then the octets, which are cut into
pieces of these sizes in turn. With 128 added to the first byte, a client's greeting comes first.
Every file is one of these, and so is whatever becomes of it.
"""

from itertools import cycle

from tests.support import raw_http2 as raw
from tests.wire.fuzz.sessions import recorded

_GREETED = 128
_WHOLE = 0
"""As a size, it stands for all that is left."""
_MOST_PIECES = 2_000
"""What is left then is the last one."""
_SEEDED_SIZES = ((_WHOLE,), (1,), (5, 3), (130, 24, 68))


def pieces_of(file: bytes) -> list[bytes]:
    """What a file says is to be fed."""
    first = file[0] if file else 0
    count = first % _GREETED
    sizes = file[1 : 1 + count] or bytes((_WHOLE,))
    octets = file[1 + count :]
    pieces = [raw.PREFACE + raw.settings()] if first >= _GREETED else []
    start = 0
    for size in cycle(sizes):
        end = start + size if size and len(pieces) < _MOST_PIECES else len(octets)
        pieces.append(octets[start:end])
        start = end
        if start >= len(octets):
            break
    return pieces


def seeds() -> dict[str, bytes]:
    """A file for each recorded session: as it is, and after another greeting in pieces."""
    files = {name: b"\0" + octets for name, octets in recorded().items()}
    for name, octets in recorded().items():
        for number, sizes in enumerate(_SEEDED_SIZES):
            head = bytes((_GREETED + len(sizes), *sizes))
            files[f"{name}-{number}"] = head + octets[len(raw.PREFACE) :]
    return files
