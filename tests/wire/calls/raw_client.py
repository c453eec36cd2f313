"""A client that is the `h2` library and a socket: it does what gRPC's clients will not do."""

import asyncio
import struct
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import h2.config
import h2.connection
import h2.events
import h2.settings
from grpc import Compression, aio

from tests.wire.calls.serving import SERVICE, Handler, Served, serving

SECONDS = 10.0


def message(data: bytes, flag: int = 0) -> bytes:
    """A length-prefixed message."""
    return struct.pack(">BI", flag, len(data)) + data


def grpc_headers(name: str, *more: tuple[str, str]) -> list[tuple[str, str]]:
    """The headers of a call to the tests' service."""
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", f"/{SERVICE}/{name}"),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        *more,
    ]


class Response:
    """What has come on one stream."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.trailers: dict[str, str] = {}
        self.data = b""
        self.taken = 0  # flow-controlled bytes that were not given back
        self.ended = False
        self.reset: int | None = None

    @property
    def status(self) -> str | None:
        return {**self.headers, **self.trailers}.get("grpc-status")

    @property
    def messages(self) -> list[bytes]:
        """The whole messages among the data."""
        found, rest = [], self.data
        while len(rest) >= 5 and len(rest) >= 5 + int.from_bytes(rest[1:5]):
            size = int.from_bytes(rest[1:5])
            found.append(rest[5 : 5 + size])
            rest = rest[5 + size :]
        return found


class Goaway(NamedTuple):
    """What a GOAWAY said."""

    last_stream_id: int
    error_code: int
    debug: bytes


class RawClient:
    """One connection. It reads all the time, and opens no window by itself.

    `h2` never hears a GOAWAY, after which it would say nothing more.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        self.responses: defaultdict[int, Response] = defaultdict(Response)
        self.goaways: list[Goaway] = []
        self._unread = b""
        self._may_read = asyncio.Event()
        self._may_read.set()
        self.pings = 0
        self.closed = False
        self._changed = asyncio.Condition()
        self._reading: asyncio.Task[None] | None = None

    def start(self, settings: Mapping[int, int]) -> None:
        """Says hello."""
        begin(self.h2, settings)
        self.flush()
        self._reading = asyncio.get_running_loop().create_task(self._read())

    def flush(self) -> None:
        """Writes what h2 has to say."""
        self._writer.write(self.h2.data_to_send())

    def send_raw(self, data: bytes) -> None:
        """Writes bytes that h2 knows nothing of."""
        self._writer.write(data)

    def begin(
        self, headers: Iterable[tuple[str, str]], body: bytes | None = b"", *, end: bool = True
    ) -> int:
        """Sends a request, whole unless `end` is False; a body of None sends no DATA."""
        stream_id = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream_id, list(headers), end_stream=body is None and end)
        if body is not None:
            self.h2.send_data(stream_id, body, end_stream=end)
        self.flush()
        return stream_id

    def call(self, name: str, request: bytes = b"", *more: tuple[str, str]) -> int:
        """Calls a method of the tests' service with one message."""
        return self.begin(grpc_headers(name, *more), message(request))

    def open_window(self, size: int, stream_id: int | None = None) -> None:
        """Allows the server so many bytes more, of a stream or of the connection."""
        self.h2.increment_flow_control_window(size, stream_id)
        self.flush()

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Waits until something holds of what has come."""
        async with self._changed:
            try:
                await asyncio.wait_for(
                    self._changed.wait_for(lambda: bool(condition()) or self.closed), SECONDS
                )
            except TimeoutError:
                raise AssertionError(f"not within {SECONDS} s: {what}") from None
        assert condition(), f"the connection is closed: {what}"

    async def ended(self, stream_id: int) -> Response:
        """The response, once it has ended."""
        response = self.responses[stream_id]
        await self.until(lambda: response.ended or response.reset is not None, "the response ends")
        return response

    async def settled(self) -> None:
        """Returns once the server has dealt with all that was sent before, and been heard."""
        await self.ended(self.begin(grpc_headers("Unknown"), None))

    async def pinged(self) -> None:
        """As `settled`, without a call; the answer may be late, since PINGs wait for each other."""
        before = self.pings
        self.h2.ping(b"settled?")
        self.flush()
        await self.until(lambda: self.pings > before, "an answer to a PING")

    def hold(self) -> None:
        """Reads nothing, until `go_on`."""
        self._may_read.clear()

    def go_on(self) -> None:
        """Reads again."""
        self._may_read.set()

    def fall_silent(self) -> None:
        """Reads nothing more and says nothing more, with the socket still open."""
        if self._reading is not None:
            self._reading.cancel()

    async def close(self) -> None:
        """Hangs up."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        self._writer.close()

    async def _read(self) -> None:
        try:
            while data := await self._reader.read(65_536):
                await self._may_read.wait()
                for event in self.h2.receive_data(self._without_goaways(data)):
                    self._take(event)
                self.flush()
                async with self._changed:
                    self._changed.notify_all()
            self._writer.close()
        except ConnectionError:
            pass
        finally:
            self.closed = True
            async with self._changed:
                self._changed.notify_all()

    def _without_goaways(self, data: bytes) -> bytes:
        """The whole frames that have come, apart from those that are kept for `goaways`."""
        self._unread += data
        others = b""
        while len(self._unread) >= 9:
            end = 9 + int.from_bytes(self._unread[:3])
            if len(self._unread) < end:
                break
            octets, self._unread = self._unread[:end], self._unread[end:]
            if octets[3] == 7:
                last, code = int.from_bytes(octets[9:13]), int.from_bytes(octets[13:17])
                self.goaways.append(Goaway(last, code, octets[17:]))
            else:
                others += octets
        return others

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived():
                self.responses[event.stream_id].headers = fields(event)
            case h2.events.TrailersReceived():
                self.responses[event.stream_id].trailers = fields(event)
            case h2.events.DataReceived():
                self.responses[event.stream_id].data += event.data
                self.responses[event.stream_id].taken += event.flow_controlled_length
            case h2.events.StreamEnded():
                self.responses[event.stream_id].ended = True
            case h2.events.StreamReset():
                self.responses[event.stream_id].reset = int(event.error_code)
            case h2.events.PingAckReceived():
                self.pings += 1


def begin(connection: h2.connection.H2Connection, settings: Mapping[int, int]) -> None:
    """Says hello with settings other than the defaults."""
    values = {int(key): value for key, value in connection.local_settings.items()}
    connection.local_settings = h2.settings.Settings(
        client=True,
        initial_values={h2.settings.SettingCodes(key): value for key, value in values.items()}
        | {h2.settings.SettingCodes(key): value for key, value in settings.items()},
    )
    connection.initiate_connection()


def fields(
    event: h2.events.ResponseReceived | h2.events.TrailersReceived,
) -> dict[str, str]:
    """The headers of an event, the last of each name."""
    return {str(name): str(value) for name, value in event.headers or ()}


@asynccontextmanager
async def raw_client(port: int, initial_window: int = 65_535) -> AsyncIterator[RawClient]:
    """A connection whose streams have this window at first."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    client = RawClient(reader, writer)
    client.start({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: initial_window})
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def connected(
    methods: Mapping[str, Handler],
    options: Iterable[tuple[str, int]] = (),
    *,
    initial_window: int = 65_535,
    compression: Compression | None = None,
    interceptors: Sequence[aio.ServerInterceptor] = (),
) -> AsyncIterator[tuple[Served, RawClient]]:
    """A server and a raw client of it."""
    async with (
        serving(methods, options, compression=compression, interceptors=interceptors) as served,
        raw_client(served.port, initial_window) as client,
    ):
        yield served, client
