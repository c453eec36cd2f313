"""Attacks a server, as a process of its own, and says as JSON how it was received.

python -m tests.wire.hostility.attacker NAME PORT
"""

import json
import sys
import time
from dataclasses import asdict, dataclass, field

from hpack import Decoder

from tests.support import raw_http2 as raw
from tests.support.raw_http2 import RawConnection
from tests.wire.hostility.attack import Attack
from tests.wire.hostility.bombs import BOMBS
from tests.wire.hostility.floods import FLOODS
from tests.wire.hostility.waits import WAITS

ATTACKS = {**FLOODS, **BOMBS, **WAITS}

_STATUSES = (b":status", b"grpc-status")
# So long after its last word, the server has said all that it has to say.
_QUIET_SECONDS = 0.5
# And so long after ours, to a peer that can't hear it, it has closed the connection.
_CLOSE_SECONDS = 5.0


@dataclass
class Reception:
    """How an attack was received.

    Attributes:
        cut_off: the server closed the connection.
        completed: all was sent before that.
        goaway: the last GOAWAY's error code; None where none was seen, which a close may hide.
        resets: streams that were reset, by error code.
        statuses: answers by `:status` and `grpc-status`.
        octets: what was sent.
        seconds: how long the attack lasted.
    """

    cut_off: bool = False
    completed: bool = False
    goaway: int | None = None
    resets: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    octets: int = 0
    seconds: float = 0.0


def attack(name: str, port: int) -> Reception:
    """Makes one attack, to its end or the server's."""
    chosen = ATTACKS[name]
    seen = Reception()
    began = time.monotonic()
    with RawConnection(port, reads=chosen.reads) as connection:
        if chosen.greets:
            connection.open()
        _send(chosen, connection, seen)
        while chosen.reads and (frames := connection.frames(_QUIET_SECONDS)):
            _note(frames, seen)
        if not chosen.reads:
            connection.frames(_CLOSE_SECONDS)
        seen.cut_off = connection.closed
    seen.seconds = time.monotonic() - began
    return seen


def _send(chosen: Attack, connection: RawConnection, seen: Reception) -> None:
    try:
        for piece in chosen.pieces():
            seen.octets += len(piece)
            connection.send(piece)
            _note(connection.frames(), seen)
            if connection.closed:
                return
    except TimeoutError:
        return
    seen.completed = True


_decoder = Decoder()


def _note(frames: list[raw.Frame], seen: Reception) -> None:
    for frame in frames:
        match frame.kind:
            case raw.GOAWAY:
                seen.goaway = frame.code
            case raw.RST_STREAM:
                _count(seen.resets, str(frame.code))
            case raw.HEADERS:
                for name, value in _decoder.decode(frame.payload, raw=True):
                    if name in _STATUSES:
                        _count(seen.statuses, f"{name.decode()} {value.decode()}")
            case _:
                pass


def _count(counts: dict[str, int], what: str) -> None:
    counts[what] = counts.get(what, 0) + 1


if __name__ == "__main__":
    print(json.dumps(asdict(attack(sys.argv[1], int(sys.argv[2])))))
