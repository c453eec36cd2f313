"""Connects a socket with its HTTP/2 connection: reads, writes, keepalive and end."""

import asyncio
from typing import Final, cast

import structlog

from notecast_wire.calls.peers import Origin, peer_address, peer_name
from notecast_wire.calls.server_state import OpenConnections, ServerState
from notecast_wire.fairness.clients import ClientId
from notecast_wire.fairness.shares import ShareRefusal
from notecast_wire.http2.codes import MAX_STREAM_ID, ErrorCode
from notecast_wire.http2.connection import Connection
from notecast_wire.http2.events import (
    AnswerSent,
    ConnectionEnded,
    DataReceived,
    Event,
    PeerLeaving,
    PingReceived,
    Pong,
    RequestBegun,
    RequestEnded,
    StreamEnded,
    StreamWritable,
)
from notecast_wire.http2.stream import Stream
from notecast_wire.rpc.keepalive import Due, Keepalive
from notecast_wire.rpc.status import refuse_call
from notecast_wire.server.closing import abort, half_close
from notecast_wire.server.credentials import negotiated_http2
from notecast_wire.server.dispatch import Dispatcher
from notecast_wire.server.socket_reader import SocketReader
from notecast_wire.server.socket_writer import SocketWriter

_log = structlog.get_logger(__name__)

_FAREWELL_SECONDS: Final = 2.0
"""Bound on the wait for the answer to the PING between the two GOAWAYs."""

_LINGER_SECONDS: Final = 2.0
"""How long a client may take to read why its connection is closed."""

_READING_SECONDS: Final = 30.0
"""How long a client may take to read the rest, once all its calls have finished."""

_OVERHEAD_BYTES: Final = 64
_FAR_SECONDS: Final = 86_400.0


class ServerProtocol(asyncio.Protocol):
    """One client's connection.

    All output of a turn of the event loop is written together, at the end of the turn.

    Args:
        server: the server's state.
        dispatcher: begins calls.
        connections: the open connections; this one is added while it lives.

    Attributes:
        connection: its HTTP/2 connection.
        sender: sends its frames.
        transport: the socket's transport.
        origin: its names in the log.
    """

    transport: asyncio.Transport
    origin: Origin

    def __init__(
        self, server: ServerState, dispatcher: Dispatcher, connections: OpenConnections
    ) -> None:
        self.server = server
        self._reader = SocketReader(server.loop)
        self._writer = SocketWriter(server.loop)
        self.connection = Connection(
            server.options.limits,
            self._writer.schedule,
            budgets=server.client_budgets,
            refuse=refuse_call,
        )
        self.sender = self.connection.sender
        self.sender.held_output = server.held_output
        self._writer.connection = self.connection
        self._dispatcher = dispatcher
        self._connections = connections
        self._time = server.loop.time
        self._keepalive = Keepalive(server.options, self._time())
        self._timer: asyncio.TimerHandle | None = None
        self._pong_timer: asyncio.TimerHandle | None = None
        self._taken = 0
        self._bytes_at_ping = 0
        self._farewell: bytes | None = None
        self._last_said = False
        self._closing = False
        self._unfinished = 0
        self._place: ClientId | None = None

    # Called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greets the client, if there is a place for it and TLS (if any) has agreed on HTTP/2."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self._reader.transport = self._writer.transport = self.transport
        self._connections.add(self)
        tls = self.transport.get_extra_info("ssl_object")
        if self.server.stopping or (tls is not None and not negotiated_http2(tls)):
            self.transport.abort()
            return
        host, port = peer_address(self.transport)
        connection = self.server.next_connection()
        peer = self.server.options.trusted_proxies.peer(host, port or connection)
        self.origin = Origin(peer_name(host, port), connection, peer.proxied)
        self._writer.origin = self.origin
        self.connection.serve(peer)
        if not peer.proxied and (refusal := self._take_place(peer.own)):
            self._refuse(str(refusal))
            return
        self.make_room()
        self.connection.start()
        self._look_after()

    def data_received(self, data: bytes) -> None:
        """Takes received data."""
        if self._closing:
            self._reader.dropped(len(data))
            return
        now = self._time()
        self._keepalive.received(now)
        self._reader.took(len(data), now)
        self.server.read_batcher.add(self._take, data, len(self.server.running))

    def pause_writing(self) -> None:
        """Stops the output: the socket takes no more for now."""
        self.connection.pause()

    def resume_writing(self) -> None:
        """Resumes the output: the socket takes more."""
        self._writer.resume()
        self._handle(self.connection.resume())

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the interface's
        """Ends all calls and timers: the socket is closed."""
        self._closing = True
        self.server.request_timeouts.discard(self)
        self._connections.discard(self)
        self._leave_place()
        for timer in (self._timer, self._pong_timer):
            if timer is not None:
                timer.cancel()
        self._handle(self.connection.close())
        self.sender.output.clear()

    # Called by calls

    def wrote(self, size: int) -> bool:
        """Counts bytes that a handler has sent; returns True if it should yield to other tasks."""
        return self._writer.wrote(size)

    def flush(self) -> None:
        """Writes the output now, not at the end of the turn."""
        self._writer.flush()

    def make_room(self) -> None:
        """Raises the transport's buffer limit with the number of streams."""
        self._writer.make_room()

    # Called by the server

    def leave(self) -> None:
        """Asks the client to leave, and closes once its calls have finished.

        No request under way is lost: the first GOAWAY excludes no stream. A PING follows it. Once
        that is answered, the second GOAWAY names the last stream (RFC 9113, 6.8).
        """
        if self._farewell is not None or self._closing:
            return
        self.connection.goaway(ErrorCode.NO_ERROR, MAX_STREAM_ID)
        self._farewell = self.connection.ping()
        self.server.loop.call_later(_FAREWELL_SECONDS, self._say_last)

    def end(self, seconds: float = _LINGER_SECONDS) -> None:
        """Ends the connection, and its calls with UNAVAILABLE.

        Args:
            seconds: how long its client may take to read how they ended.
        """
        seconds = min(seconds, _LINGER_SECONDS)
        if self._closing:
            self._abort_after(seconds)
            return
        self._end(ErrorCode.NO_ERROR, "the server is stopping", seconds)

    def time_out(self) -> None:
        """Ends the connection: a frame or a header block is not complete in time."""
        if not self._closing:
            reason = "a frame or a header block that does not become whole"
            self._log_end(reason, ErrorCode.ENHANCE_YOUR_CALM)
            self._end(ErrorCode.ENHANCE_YOUR_CALM, reason, _LINGER_SECONDS)

    def _end(self, code: ErrorCode, why: str, seconds: float) -> None:
        for stream in list(self.connection.streams.values()):
            if stream.call is not None:
                stream.call.stop(why)
        self.connection.goaway(code, debug=why.encode())
        self._close(seconds)

    def _log_end(self, reason: str, code: ErrorCode | None = None) -> None:
        said = {"reason": reason} if code is None else {"code": code.name, "reason": reason}
        _log.info("connection_ended", **said, **self.origin.fields())

    # The bound on connections

    def _take_place(self, client: ClientId) -> ShareRefusal | None:
        """Counts the connection for its address; returns the bound that refuses it, if any."""
        place = ClientId(client.address, "")
        refusal = self.server.connection_shares.take(place)
        if refusal is None:
            self._place = place
        return refusal

    def _refuse(self, why: str) -> None:
        """Closes a connection over the bound, without sending anything.

        A gRPC client that has received SETTINGS counts itself as connected. Whatever comes after
        them, it connects again at once, and lets its calls wait. Without SETTINGS it waits longer
        each time, and its calls end with UNAVAILABLE.
        """
        client = self.connection.peer.own.address
        _log.info("connection_refused", client=client, reason=why, **self.origin.fields())
        self.transport.abort()

    def _leave_place(self) -> None:
        if self._place is not None:
            self.server.connection_shares.give_back(self._place)
        self._place = None

    # Received events

    def _take(self, data: bytes) -> None:
        if self._closing:
            return
        try:
            self._handle(self.connection.receive(data))
        except Exception:  # a bug: the state of the connection is unknown
            abort(self.transport)
            raise
        unfinished = self.connection.unfinished
        if unfinished != self._unfinished:
            self._await_rest(unfinished)

    def _await_rest(self, unfinished: int) -> None:
        """Bounds the time for a frame or a header block to be complete."""
        self._unfinished = unfinished
        if unfinished and not self._closing:
            self.server.request_timeouts.start(self)
        else:
            self.server.request_timeouts.discard(self)

    def _handle(self, events: list[Event]) -> None:
        unended: list[Stream] = []
        for event in events:
            if isinstance(event, DataReceived):
                call = event.stream.call
                if call is not None:
                    call.data_received(event.data, event.size, ended=event.ended)
            elif isinstance(event, RequestBegun):
                if not event.stream.over:  # otherwise the same bytes gave it up
                    self._taken += 1
                    self._dispatcher.begin(self, event)
                    if not event.ended:
                        unended.append(event.stream)
            else:
                self._handle_seldom(event)
        for stream in unended:
            if stream.call is not None:
                stream.call.await_request()
        if self._last_said:
            self._close_if_done()

    def _handle_seldom(self, event: Event) -> None:
        match event:
            case StreamEnded(stream) if stream.call is not None:
                stream.call.stream_ended()
            case StreamWritable(stream) if stream.call is not None:
                stream.call.writable()
            case AnswerSent(stream) if stream.call is not None:
                stream.call.stream_ended()
            case RequestEnded(stream) if stream.call is not None:
                stream.call.request_ended()
            case PingReceived(answer_in):
                self._on_ping(answer_in)
            case Pong(data) if data == self._farewell:
                self._say_last()
            case Pong():
                self._look_after()
            case PeerLeaving():
                self._stay_no_longer()  # nothing new will come
            case ConnectionEnded(code, reason):
                self._log_end(reason, code)
                self._close(_LINGER_SECONDS)

    def _on_ping(self, answer_in: float) -> None:
        self._answer_pings_in(answer_in)
        # Acknowledgements and window updates don't count for the client; larger output was data.
        if self._writer.flushed_bytes - self._bytes_at_ping > _OVERHEAD_BYTES:
            self._keepalive.sent()
        self._bytes_at_ping = self._writer.flushed_bytes
        if self._keepalive.pinged(self._time(), calls=bool(self.connection.streams)):
            self._log_end("too many pings", ErrorCode.ENHANCE_YOUR_CALM)
            self.connection.goaway(ErrorCode.ENHANCE_YOUR_CALM, debug=b"too_many_pings")
            self._close(_LINGER_SECONDS)

    def _answer_pings_in(self, seconds: float) -> None:
        """Sees to the PINGs that wait, if any do: 0 seconds say that none does."""
        if seconds and self._pong_timer is None:
            self._pong_timer = self.server.loop.call_later(seconds, self._answer_pings)

    def _answer_pings(self) -> None:
        self._pong_timer = None
        self._answer_pings_in(self.connection.answer_pings())

    # Keepalive and end

    def _look_after(self) -> None:
        """Does what is due, and schedules the next check."""
        if self._timer is not None:
            self._timer.cancel()
        if self._closing:
            return
        now = self._time()
        if self.connection.established:
            self._keepalive.settle()
        due = self._keepalive.check(now, calls=len(self.connection.streams), taken=self._taken)
        if due is Due.END:
            self._log_end("no sign of life, or its time is over")
            self.end()
            return
        if due is Due.PING:
            self.connection.ping()
        elif due is Due.LEAVE:
            self.leave()
        then = min(self._keepalive.next_check(), now + _FAR_SECONDS)
        self._timer = self.server.loop.call_at(then, self._look_after)

    def _say_last(self) -> None:
        if not (self._last_said or self._closing):
            self.connection.goaway()
            self._stay_no_longer()
            self._close_if_done()

    def _stay_no_longer(self) -> None:
        """Closes once the calls that are open have finished."""
        self._last_said = True
        self._writer.on_flushed = self._close_if_done

    def _close_if_done(self) -> None:
        if not (self.connection.streams or self._closing):
            self._close(_READING_SECONDS)

    def _close(self, seconds: float) -> None:
        """Closes the socket after the output, and after `seconds` in any case."""
        if self._closing:
            return
        self._writer.on_flushed = None
        self._writer.flush()
        if not self.transport.is_closing():
            half_close(self.transport)
        self._closing = True
        self._abort_after(seconds)

    def _abort_after(self, seconds: float) -> None:
        self.server.loop.call_later(seconds, abort, self.transport)
