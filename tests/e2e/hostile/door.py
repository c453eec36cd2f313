"""What a hostile client has in hand: connections to Envoy, and calls made frame by frame."""

from collections import Counter
from collections.abc import Iterator
from itertools import count

from google.protobuf.message import Message

from tests.support import raw_http2 as raw
from tests.support.raw_http2 import Frame, RawConnection

CHAT = "/notecast.v1.ChatService/"
FIRST_WINDOW = 65_535


class Client:
    """One connection. It answers SETTINGS and PING, so that nothing but its attack ends it.

    Args:
        port: Envoy's.
        source: the address to connect from.
        settings: what its SETTINGS say.
        greets: whether it begins as a client must.
        reads: whether it reads what comes.

    Attributes:
        seen: how many frames of each kind came.
        windows: what may be sent on each stream that was asked about, and on the connection (0).
    """

    def __init__(
        self,
        port: int,
        source: str,
        *settings: tuple[int, int],
        greets: bool = True,
        reads: bool = True,
    ) -> None:
        self.seen: Counter[int] = Counter()
        self.windows: Counter[int] = Counter({0: FIRST_WINDOW})
        self._ids = count(1, 2)
        self._first_window = FIRST_WINDOW
        self._connection = RawConnection(port, reads=reads, source=source)
        if greets:
            self._connection.open(*settings)

    @property
    def closed(self) -> bool:
        """Whether Envoy has ended it."""
        return self._connection.closed

    def close(self) -> None:
        """Leaves without a word."""
        self._connection.__exit__(None, None, None)

    def send(self, octets: bytes) -> None:
        """Sends octets as they are; less of them where Envoy takes no more."""
        try:
            self._connection.send(octets, seconds=0.2)
        except TimeoutError:
            return

    def next_id(self) -> int:
        """Of the next stream."""
        return next(self._ids)

    def begin(self, method: str, *more: tuple[bytes, bytes], end: bool = False) -> int:
        """Begins a call; gives its stream."""
        stream_id = self.next_id()
        path = method if method.startswith("/") else CHAT + method
        self.send(raw.headers(stream_id, raw.request(path, *more), end=end))
        self.windows[stream_id] = self._first_window
        return stream_id

    def call(self, method: str, request: Message, *more: tuple[bytes, bytes]) -> int:
        """Makes a call with its whole request; gives its stream."""
        stream_id = self.begin(method, *more)
        self.send(raw.data(stream_id, raw.message(request.SerializeToString()), end=True))
        return stream_id

    def reset(self, stream_id: int) -> None:
        """Gives a call up."""
        self.send(raw.rst_stream(stream_id))

    def pump(self, seconds: float = 0.0) -> list[Frame]:
        """Reads what has come, and answers what wants an answer."""
        frames = self._connection.frames(seconds)
        for frame in frames:
            self.seen[frame.kind] += 1
            if frame.kind == raw.WINDOW_UPDATE:
                self.windows[frame.stream_id] += int.from_bytes(frame.payload)
            elif frame.kind == raw.SETTINGS and not frame.flags & raw.ACK:
                self._settle(frame.payload)
            elif frame.kind == raw.PING and not frame.flags & raw.ACK:
                self.send(raw.frame(raw.PING, raw.ACK, 0, frame.payload))
        return frames

    def _settle(self, payload: bytes) -> None:
        for at in range(0, len(payload), 6):
            if int.from_bytes(payload[at : at + 2]) == raw.INITIAL_WINDOW_SIZE:
                self._first_window = int.from_bytes(payload[at + 2 : at + 6])
        self.send(raw.frame(raw.SETTINGS, raw.ACK, 0))


class Door:
    """Where a hostile client goes in, time and again.

    Args:
        port: Envoy's.
        source: the address that it comes from.
        most: the connections that it has at most at a time.

    Attributes:
        clients: its connections, the oldest first.
        cut_off: how many of them Envoy has ended.
        refused: how many could not be made.
    """

    def __init__(self, port: int, source: str, most: int) -> None:
        self.clients: list[Client] = []
        self.cut_off = 0
        self.refused = 0
        self._port = port
        self._source = source
        self._most = most

    @property
    def is_open(self) -> bool:
        """Whether there may be another connection."""
        return len(self.clients) < self._most

    def connect(
        self, *settings: tuple[int, int], greets: bool = True, reads: bool = True
    ) -> Client | None:
        """Another connection; None where it is not to be had."""
        if not self.is_open:
            return None
        try:
            client = Client(self._port, self._source, *settings, greets=greets, reads=reads)
        except OSError:
            self.refused += 1
            return None
        self.clients.append(client)
        client.pump(0.05)
        return client

    def again(self, client: Client | None, *settings: tuple[int, int]) -> Client | None:
        """The same connection, or a new one where that has ended."""
        if client is not None and not client.closed:
            return client
        return self.connect(*settings)

    def pump(self) -> None:
        """Reads on all connections, and forgets those that have ended."""
        for client in self.clients:
            client.pump()
        ended = [client for client in self.clients if client.closed]
        self.cut_off += len(ended)
        for client in ended:
            client.close()
        self.clients = [client for client in self.clients if not client.closed]

    def close(self) -> None:
        """Leaves with all of them."""
        for client in self.clients:
            client.close()


Steps = Iterator[float]
"""An attack, step by step: after each, it pauses for so many seconds."""
