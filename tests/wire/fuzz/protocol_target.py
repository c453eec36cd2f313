"""Feeds a server with any bytes, in any pieces, as a socket would, and checks what it leaves.

Calls run and answer as they do in earnest; only the socket is none.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from structlog.testing import capture_logs

from notecast_wire.calls.server_state import OpenConnections, ServerState
from notecast_wire.fairness.clients import NO_PROXIES, TrustedProxies
from notecast_wire.http2.limits import ConnectionLimits
from notecast_wire.rpc.options import ServerOptions
from notecast_wire.server.dispatch import Dispatcher
from notecast_wire.server.protocol import ServerProtocol
from tests.support import bytes_service

_OPTIONS: Final = ServerOptions(
    max_receive_message_bytes=100_000,
    max_held_request_bytes=200_000,
    limits=ConnectionLimits(max_concurrent_streams=50, reset_burst=100, noop_frame_burst=500),
)
_PROXY: Final = TrustedProxies.parse("127.0.0.1")
_TURNS_A_PIECE: Final = 3
_LAST_TURNS: Final = 10

_loop = asyncio.new_event_loop()
"""Of all inputs: to make one costs more than most inputs do."""


class _Transport(asyncio.Transport):
    """A socket whose peer is a file: takes what is written, and closes when it is told to."""

    def __init__(self, protocol: ServerProtocol) -> None:
        super().__init__()
        self._protocol = protocol
        self._closing = False

    def write(self, _: bytes | bytearray | memoryview) -> None:
        assert not self._closing

    def set_write_buffer_limits(self, high: int | None = None, _: int | None = None) -> None:
        assert high is not None

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("127.0.0.1", 1) if name in {"peername", "sockname"} else default

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        assert not self._closing

    def resume_reading(self) -> None:
        assert not self._closing

    def can_write_eof(self) -> bool:
        return False

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            _loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()


def feed(pieces: Iterable[bytes]) -> None:
    """Feeds pieces to a server's connection, until it or the input ends.

    The socket fills and empties in between, and the server leaves; the pieces' lengths say when.
    All that comes once from a client and once from a proxy, where other counts are kept.

    Raises:
        AssertionError: something that holds for all input does not hold for this.
        Exception: anything else that escapes is a fault as well.
    """
    faults: list[dict[str, Any]] = []
    _loop.set_exception_handler(lambda _, context: faults.append(context))
    pieces = tuple(pieces)
    with capture_logs() as logs:
        for proxies in (NO_PROXIES, _PROXY):
            _loop.run_until_complete(_feed(pieces, proxies))
    assert not faults
    assert not [entry for entry in logs if entry["log_level"] in {"error", "critical"}], logs


async def _feed(pieces: Iterable[bytes], proxies: TrustedProxies) -> None:
    dispatcher = Dispatcher()
    dispatcher.add_generic((bytes_service.handler(),))
    state = ServerState(_loop, replace(_OPTIONS, trusted_proxies=proxies), gzip=False)
    connections = OpenConnections()
    protocol = ServerProtocol(state, dispatcher, connections)
    transport = _Transport(protocol)
    protocol.connection_made(transport)
    for piece in pieces:
        if transport.is_closing():
            break
        protocol.data_received(piece)
        _act(protocol, len(piece))
        await _turns(_TURNS_A_PIECE)
        assert state.held_requests.total <= _OPTIONS.max_held_request_bytes
        assert state.held_output.total <= _OPTIONS.max_held_output_bytes
    transport.close()
    await _turns(_LAST_TURNS)
    assert not connections
    assert not state.running
    assert state.open_calls == 0
    assert (state.held_requests.total, state.held_output.total) == (0, 0)
    assert (len(state.deadlines), len(state.request_timeouts)) == (0, 0)
    assert not protocol.connection.streams
    shares = protocol.connection.sender.shares
    assert (shares is not None) == protocol.connection.peer.proxied
    assert shares is None or (shares.held, shares.clients) == (0, 0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


def _act(protocol: ServerProtocol, size: int) -> None:
    match size % 64:
        case 1:
            protocol.pause_writing()
        case 2 | 3:
            protocol.resume_writing()
        case 4:
            protocol.leave()
        case 5:
            protocol.end()
        case _:
            pass


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
