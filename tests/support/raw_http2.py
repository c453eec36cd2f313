"""HTTP/2 frames made by hand, and a socket to send them on: for peers that no library would be.

Nothing here is shared with the server under test (RFC 9113 and RFC 7541 are the only source), and
nothing is checked: what is sent is what the test says.
"""

import select
import socket
import struct
from collections.abc import Iterable
from types import TracebackType
from typing import Final, NamedTuple, Self

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY = range(8)
WINDOW_UPDATE, CONTINUATION = 8, 9

END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8

NO_ERROR, PROTOCOL_ERROR, _, FLOW_CONTROL_ERROR, _, STREAM_CLOSED, FRAME_SIZE_ERROR = range(7)
REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, _, ENHANCE_YOUR_CALM = range(7, 12)

INITIAL_WINDOW_SIZE: Final = 4
LARGEST_WINDOW: Final = 2**31 - 1

_READ_BYTES = 262_144
_LITTLE_BYTES = 4_096


class Frame(NamedTuple):
    """A frame that came."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes

    @property
    def code(self) -> int:
        """The error code of RST_STREAM or GOAWAY."""
        return int.from_bytes(self.payload[-4:] if self.kind == RST_STREAM else self.payload[4:8])


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """Any frame."""
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream_id.to_bytes(4) + payload


def frame_head(kind: int, flags: int, stream_id: int, length: int) -> bytes:
    """The head of a frame that says it is of a length, whatever follows."""
    return length.to_bytes(3) + bytes((kind, flags)) + stream_id.to_bytes(4)


def settings(*values: tuple[int, int]) -> bytes:
    """SETTINGS."""
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *value) for value in values))


def window_update(stream_id: int, increment: int) -> bytes:
    """WINDOW_UPDATE."""
    return frame(WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4))


def rst_stream(stream_id: int, code: int = CANCEL) -> bytes:
    """RST_STREAM."""
    return frame(RST_STREAM, 0, stream_id, code.to_bytes(4))


def ping(data: bytes = bytes(8)) -> bytes:
    """PING."""
    return frame(PING, 0, 0, data)


def data(stream_id: int, payload: bytes, *, end: bool = False) -> bytes:
    """DATA."""
    return frame(DATA, END_STREAM if end else 0, stream_id, payload)


def headers(stream_id: int, block: bytes, *, end: bool = False) -> bytes:
    """HEADERS, whole."""
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream_id, block)


def literal(name: bytes, value: bytes) -> bytes:
    """A header field without indexing, its strings not compressed (RFC 7541, 6.2.2)."""
    return b"\0" + _string(name) + _string(value)


def compressed_literal(name: bytes, value: bytes) -> bytes:
    """As `literal`, of a value that is a Huffman string already (RFC 7541, 5.2)."""
    size = _integer(len(value), 7)
    return b"\0" + _string(name) + bytes((0x80 | size[0],)) + size[1:] + value


def indexed_literal(name: bytes, value: bytes) -> bytes:
    """A header field that goes into the dynamic table (RFC 7541, 6.2.1)."""
    return b"\x40" + _string(name) + _string(value)


def block(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A header block of literals."""
    return b"".join(literal(name, value) for name, value in pairs)


def request(path: str, *more: tuple[bytes, bytes]) -> bytes:
    """The header block of a gRPC call."""
    return block(
        (
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", path.encode()),
            (b":authority", b"localhost"),
            (b"content-type", b"application/grpc"),
            (b"te", b"trailers"),
            *more,
        )
    )


def message(payload: bytes, *, compressed: bool = False) -> bytes:
    """A message as gRPC puts it into DATA: a flag and the length before it."""
    return bytes((compressed,)) + len(payload).to_bytes(4) + payload


def _string(text: bytes) -> bytes:
    return _integer(len(text), 7) + text


def _integer(value: int, bits: int) -> bytes:
    """RFC 7541, 5.1, with all higher bits 0."""
    most = (1 << bits) - 1
    if value < most:
        return bytes((value,))
    out = [most]
    value -= most
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


class RawConnection:
    """A socket that HTTP/2 is spoken on, word by word.

    Args:
        port: of the server, on this machine.
        reads: whether what comes is read; else it stays in the kernel, where little fits.
        source: the address to connect from; any of 127.0.0.0/8.

    Attributes:
        closed: whether the server has closed the connection, as far as we have noticed.
    """

    def __init__(self, port: int, *, reads: bool = True, source: str = "") -> None:
        self._socket = socket.socket()
        if source:
            self._socket.bind((source, 0))
        if not reads:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _LITTLE_BYTES)
        self._socket.connect(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)  # noqa: FBT003 - positional by its nature
        self._reads = reads
        self._rest = bytearray()
        self.closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    @property
    def address(self) -> str:
        """Its own end: `127.0.0.1:12345`."""
        host, port = self._socket.getsockname()
        return f"{host}:{port}"

    def open(self, *values: tuple[int, int]) -> None:
        """Sends the preface and SETTINGS, as every client must first."""
        self.send(PREFACE + settings(*values))

    def send(self, octets: bytes, seconds: float = 5.0) -> None:
        """Sends all, or what goes out before the server closes; reads meanwhile.

        Raises:
            TimeoutError: the server took nothing for some seconds.
        """
        rest = memoryview(octets)
        while rest and not self.closed:
            happened = self._wait(select.POLLOUT, seconds)
            if not happened:
                raise TimeoutError("the server takes no more")
            if happened & select.POLLOUT and not self.closed:
                try:
                    rest = rest[self._socket.send(rest) :]
                except BlockingIOError:
                    continue
                except OSError:
                    self.closed = True

    def frames(self, seconds: float = 0.0) -> list[Frame]:
        """What has come, in whole frames; waits so long for the first octets."""
        if not self.closed:
            self._wait(0, seconds)
        found = []
        start = 0
        while (behind := start + 9) <= len(self._rest):
            end = behind + int.from_bytes(self._rest[start : start + 3])
            if end > len(self._rest):
                break
            kind, flags = self._rest[start + 3 : start + 5]
            stream_id = int.from_bytes(self._rest[start + 5 : behind])
            found.append(Frame(kind, flags, stream_id, bytes(self._rest[behind:end])))
            start = end
        del self._rest[:start]
        return found

    def _wait(self, wanted: int, seconds: float) -> int:
        """Waits for something, and reads what is there; tells what happened."""
        poll = select.poll()
        read = select.POLLIN if self._reads else select.POLLRDHUP
        poll.register(self._socket, wanted | read)
        happened = sum(events for _, events in poll.poll(seconds * 1_000))
        if happened & select.POLLIN:
            self._receive()
        elif happened & (select.POLLHUP | select.POLLERR | select.POLLRDHUP):
            self.closed = True
        return happened

    def _receive(self) -> None:
        try:
            octets = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            octets = b""
        self.closed = not octets
        self._rest += octets
