"""A connection's protocol, with a transport that is full, closed or slow when the test says so."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any, cast

import hpack
import pytest
from grpc import StatusCode

from notecast_wire import Audience, StreamOutlet
from notecast_wire.calls.server_state import OpenConnections, ServerState
from notecast_wire.http2.connection import PREFACE
from notecast_wire.rpc.options import read_options
from notecast_wire.server import protocol as server_protocol
from notecast_wire.server.dispatch import Dispatcher
from notecast_wire.server.protocol import ServerProtocol
from tests.support.waiting import eventually
from tests.wire.calls.raw_client import grpc_headers, message
from tests.wire.calls.serving import SERVICE, Context, Handler, echo, unary_stream, unary_unary

HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 1, 3, 4, 6, 7
MIB = 1_048_576


class Transport(asyncio.Transport):
    """Takes what is written, and is lost when it is closed, unless it is stuck."""

    def __init__(self, protocol: ServerProtocol) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.stuck = False
        self.aborted = False
        self.reading = True
        self.high = 0
        self.takes: int | None = None
        self._protocol = protocol
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self._closing
        self.written.append(bytes(data))
        if self.takes is not None and sum(map(len, self.written)) > self.takes:
            self.takes = None
            self._protocol.pause_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert low is None
        self.high = high or 0

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("127.0.0.1", 1) if name == "peername" else default

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """The client hangs up on that, unless it is stuck."""
        self._closing = True
        if not self.stuck:
            self._protocol.connection_lost(None)

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True
        self._protocol.connection_lost(None)

    def abort(self) -> None:
        self.aborted = True
        self.close()


class Wired:
    """A protocol and its transport, and what a client has to say."""

    def __init__(self, methods: dict[str, Handler], options: Iterable[tuple[str, int]]) -> None:
        dispatcher = Dispatcher()
        dispatcher.add_registered(
            {f"/{SERVICE}/{name}": handler for name, handler in methods.items()}
        )
        self.server = ServerState(asyncio.get_running_loop(), read_options(options), gzip=False)
        self.connections = OpenConnections()
        self.protocol = ServerProtocol(self.server, dispatcher, self.connections)
        self.transport = Transport(self.protocol)
        self._encoder = hpack.Encoder()
        self._next = 1

    def begin(self) -> None:
        """The client connects and says hello."""
        self.protocol.connection_made(self.transport)
        self.protocol.data_received(PREFACE + frame(SETTINGS, 0, 0))

    def request(self, name: str, body: bytes | None = None) -> bytes:
        """The bytes of a call with one message."""
        number, self._next = self._next, self._next + 2
        block = self._encoder.encode(grpc_headers(name))
        data = message(b"") if body is None else body
        return frame(HEADERS, 4, number, block) + frame(0, 1, number, data)

    async def turn(self) -> None:
        """Lets everything run that is due."""
        for _ in range(10):
            await asyncio.sleep(0)


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream_id.to_bytes(4) + payload


def kinds(written: list[bytes]) -> list[int]:
    """The types of the frames that were written."""
    octets, found = b"".join(written), []
    while octets:
        found.append(octets[3])
        octets = octets[9 + int.from_bytes(octets[:3]) :]
    return found


ran: list[str] = []


async def note(_: bytes, __: Context) -> bytes:
    ran.append("note")
    return b""


async def large(_: bytes, __: Context) -> bytes:
    return bytes(3 * MIB)


async def subscribe(_: bytes, context: Context) -> None:
    context.detach()


@pytest.fixture
async def wired() -> AsyncIterator[Wired]:
    ran.clear()
    methods = {
        "Echo": unary_unary(echo),
        "Note": unary_unary(note),
        "Large": unary_unary(large),
        "Subscribe": unary_stream(subscribe),
    }
    made = Wired(methods, (("grpc.http2.max_ping_strikes", 0),))
    yield made
    made.transport.abort()
    await made.turn()
    assert len(made.connections) == 0
    assert (made.server.open_calls, len(made.server.running)) == (0, 0)
    assert (made.server.held_requests.total, made.server.held_output.total) == (0, 0)


async def test_a_turn_of_the_loop_is_one_write(wired: Wired) -> None:
    wired.begin()
    await wired.turn()
    wired.transport.written.clear()
    wired.protocol.data_received(b"".join(wired.request("Echo") for _ in range(20)))
    await wired.turn()
    assert len(wired.transport.written) == 1
    assert kinds(wired.transport.written) == [HEADERS, 0, HEADERS] * 20


async def test_a_call_that_is_given_up_before_its_task_begins_never_runs(wired: Wired) -> None:
    wired.begin()
    wired.protocol.data_received(wired.request("Note"))
    assert len(wired.server.running) == 1
    wired.protocol.data_received(frame(RST_STREAM, 0, 1, (8).to_bytes(4)))
    assert len(wired.server.running) == 0
    await wired.turn()
    assert not ran


async def test_a_call_that_is_given_up_with_the_same_bytes_is_not_even_begun(
    wired: Wired,
) -> None:
    wired.begin()
    reset = frame(RST_STREAM, 0, 1, (8).to_bytes(4))
    wired.protocol.data_received(wired.request("Note") + reset)
    assert wired.protocol._taken == 0
    await wired.turn()
    assert not ran


async def test_a_client_that_reads_nothing_and_goes_on_asking_is_cut_off(wired: Wired) -> None:
    wired.begin()
    await wired.turn()
    wired.protocol.pause_writing()
    most = 0
    for _ in range(400):
        wired.protocol.data_received(b"".join(wired.request("Unknown") for _ in range(100)))
        await wired.turn()
        most = max(most, sum(map(len, wired.transport.written)))
        if wired.transport.aborted:
            break
    assert wired.transport.aborted
    assert MIB < most < 1.1 * MIB


async def test_a_client_that_reads_again_in_time_is_not_cut_off(wired: Wired) -> None:
    wired.begin()
    for _ in range(30):
        wired.protocol.pause_writing()
        for _ in range(10):
            wired.protocol.data_received(b"".join(wired.request("Unknown") for _ in range(100)))
            await wired.turn()
        wired.protocol.resume_writing()
    assert sum(map(len, wired.transport.written)) > 2 * MIB
    assert not wired.transport.aborted


async def test_data_waits_while_the_socket_is_full_and_headers_do_not(wired: Wired) -> None:
    wired.begin()
    await wired.turn()
    wired.transport.written.clear()
    wired.protocol.pause_writing()
    wired.protocol.data_received(wired.request("Echo", message(b"hello")))
    await wired.turn()
    assert kinds(wired.transport.written) == [HEADERS]
    wired.protocol.resume_writing()
    await wired.turn()
    assert kinds(wired.transport.written) == [HEADERS, 0, HEADERS]


async def test_an_answer_to_a_ping_that_had_to_wait_goes_with_what_is_written_next(
    wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    wired.begin()
    now = asyncio.get_running_loop().time()
    monkeypatch.setattr(wired.protocol.connection, "_clock", lambda: now)
    wired.protocol.data_received(frame(PING, 0, 0, b"notecast") + frame(PING, 0, 0, b"secondly"))
    await wired.turn()
    wired.transport.written.clear()
    wired.protocol.data_received(wired.request("Echo"))
    await wired.turn()
    assert kinds(wired.transport.written) == [HEADERS, 0, HEADERS]
    now += wired.server.options.limits.pong_spacing_seconds + 0.01
    wired.transport.written.clear()
    wired.protocol.data_received(wired.request("Echo"))
    await wired.turn()
    assert len(wired.transport.written) == 1
    assert kinds(wired.transport.written) == [HEADERS, 0, HEADERS, PING]


async def test_an_answer_to_a_ping_that_nothing_goes_along_with_comes_by_itself(
    wired: Wired,
) -> None:
    wired.begin()
    await wired.turn()
    wired.transport.written.clear()
    for _ in range(3):
        wired.protocol.data_received(frame(PING, 0, 0, b"notecast") * 2)
        await eventually(
            lambda: kinds(wired.transport.written)[-2:] == [PING, PING], "both were answered"
        )
        wired.transport.written.clear()


async def test_a_connection_that_ends_does_not_wait_for_its_client_to_read(
    wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_protocol, "_LINGER_SECONDS", 0.01)
    wired.begin()
    wired.protocol.data_received(wired.request("Subscribe"))
    await wired.turn()
    wired.transport.stuck = True
    wired.protocol.end()
    assert kinds(wired.transport.written)[-2:] == [HEADERS, GOAWAY]
    assert not wired.transport.aborted
    await asyncio.wait_for(wired.connections.empty.wait(), 10)
    assert wired.transport.aborted


async def test_a_client_that_connects_to_a_server_that_stops_is_hung_up_on(wired: Wired) -> None:
    wired.server.stopping = True
    wired.protocol.connection_made(wired.transport)
    assert wired.transport.aborted
    assert not wired.transport.written


async def test_a_client_that_sends_much_in_one_turn_waits_for_the_next(
    wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    wired.begin()
    await wired.turn()
    monkeypatch.setattr(wired.protocol, "_time", lambda: 1.0)  # one turn of uvloop's clock
    unknown = frame(0x20, 0, 0, bytes(16_000))
    for _ in range(4):
        wired.protocol.data_received(unknown)
    assert wired.transport.reading
    wired.protocol.data_received(unknown)
    assert not wired.transport.reading
    await wired.turn()
    assert wired.transport.reading


async def test_a_client_that_goes_on_sending_to_a_closed_connection_is_cut_off(
    wired: Wired,
) -> None:
    wired.begin()
    wired.transport.stuck = True
    wired.protocol.end()
    for _ in range(16):
        wired.protocol.data_received(bytes(65_536))
    assert not wired.transport.aborted
    wired.protocol.data_received(b"1")
    assert wired.transport.aborted


async def test_what_comes_after_a_fault_is_not_looked_at(wired: Wired) -> None:
    wired.begin()
    wired.transport.stuck = True
    wired.protocol.data_received(frame(PING, 0, 1, bytes(8)) + wired.request("Note"))
    wired.protocol.data_received(wired.request("Note"))
    await wired.turn()
    assert kinds(wired.transport.written)[-1] == GOAWAY
    assert not ran


async def wide_outlets(wired: Wired, count: int) -> list[StreamOutlet]:
    """Outlets of a client that has opened its windows as far as they go."""
    wired.begin()
    window = frame(8, 0, 0, (2**31 - 1 - 65_535).to_bytes(4))
    wired.protocol.data_received(window)
    for number in range(1, 2 * count, 2):
        window = frame(8, 0, number, (2**30).to_bytes(4))
        wired.protocol.data_received(wired.request("Subscribe") + window)
    await wired.turn()
    wired.transport.written.clear()
    streams = wired.protocol.connection.streams.values()
    return [cast(StreamOutlet, stream.call) for stream in streams]


async def test_a_client_that_is_sent_much_at_once_is_not_cut_off_for_it(wired: Wired) -> None:
    await wide_outlets(wired, 1)
    wired.transport.takes = 100_000
    wired.protocol.data_received(wired.request("Large") + frame(8, 0, 3, (2**30).to_bytes(4)))
    await wired.turn()
    assert not wired.transport.aborted
    assert sum(map(len, wired.transport.written)) > 3 * MIB


async def test_outlets_see_that_the_socket_is_full_amid_a_turn(wired: Wired) -> None:
    outlets = await wide_outlets(wired, 100)
    wired.transport.takes = 200_000
    taken = sum(outlet.write(bytes(10_000)) for outlet in outlets)
    assert 20 <= taken <= 28
    wired.protocol.resume_writing()
    assert all(outlet.write(bytes(10_000)) for outlet in outlets)


async def test_a_round_of_much_for_one_connection_is_written_at_once(wired: Wired) -> None:
    audience = Audience()
    for outlet in await wide_outlets(wired, 20):
        audience.add(outlet)
    assert audience.send(bytes(100)) == []
    assert not wired.transport.written
    await wired.turn()
    assert len(wired.transport.written) == 1
    assert audience.send(bytes(1_000)) == []
    assert len(wired.transport.written) == 2
    await wired.turn()
    assert kinds(wired.transport.written) == [0] * 40
    assert len(wired.transport.written) == 2


async def test_a_turn_with_much_to_say_is_written_in_pieces(wired: Wired) -> None:
    audience = Audience()
    for outlet in await wide_outlets(wired, 20):
        audience.add(outlet)
    assert audience.send(bytes(16_000)) == []
    await wired.turn()
    assert kinds(wired.transport.written) == [0] * 20
    assert max(map(len, wired.transport.written)) < 128 * 1024


async def test_more_may_wait_for_the_socket_the_more_streams_there_are(wired: Wired) -> None:
    wired.begin()
    few = wired.transport.high
    wired.protocol.data_received(b"".join(wired.request("Subscribe") for _ in range(500)))
    await wired.turn()
    assert few < 128 * 1024 < MIB <= wired.transport.high <= 2 * MIB


async def test_a_stream_that_has_ended_leaves_no_deadline(wired: Wired) -> None:
    wired.begin()
    block = hpack.Encoder().encode([*grpc_headers("Subscribe"), ("grpc-timeout", "1H")])
    wired.protocol.data_received(frame(HEADERS, 4, 1, block) + frame(0, 1, 1, message(b"")))
    await wired.turn()
    assert len(wired.server.deadlines) == 1
    outlet: Any = wired.protocol.connection.streams[1].call
    outlet.end(StatusCode.OK)
    assert len(wired.server.deadlines) == 0
