"""A connection in memory: ours on one side, the `h2` library as the client on the other."""

import asyncio
from typing import cast

import h2.config
import h2.connection
import h2.events
import h2.settings

from notecast_wire import StreamOutlet
from notecast_wire.calls.server_state import ConnectionHandle, ServerState
from notecast_wire.http2.connection import Connection, ConnectionLimits
from notecast_wire.http2.events import Event, StreamEnded, StreamWritable
from notecast_wire.rpc.options import ServerOptions
from notecast_wire.rpc.status import PLAIN_HEADERS
from tests.wire.calls.raw_client import Response, begin, fields, grpc_headers, message


class MemoryConnection:
    """What outlets and audiences need of a handle, without a socket.

    `exchange` carries bytes both ways until nothing is left to say. The client keeps to its
    windows: `h2` raises FlowControlError when more comes than it has allowed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, initial_window: int = 65_535) -> None:
        self.connection = Connection(ConnectionLimits(), lambda: None)
        self.sender = self.connection.sender
        self.server = ServerState(loop, ServerOptions(), gzip=False)
        self.connection.start()
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self.client = h2.connection.H2Connection(config)
        begin(self.client, {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: initial_window})
        self.responses: dict[int, Response] = {}
        self.exchange()

    def subscribe(self) -> StreamOutlet:
        """Opens a stream and hands it over."""
        stream_id = self.client.get_next_available_stream_id()
        self.responses[stream_id] = Response()
        self.client.send_headers(stream_id, grpc_headers("Subscribe"))
        self.client.send_data(stream_id, message(b""), end_stream=True)
        self.exchange()
        stream = self.connection.streams[stream_id]
        self.server.open_calls += 1
        self.sender.send_headers(stream, PLAIN_HEADERS)
        outlet = stream.call = StreamOutlet(cast(ConnectionHandle, self), stream)
        self.exchange()
        return outlet

    def response(self, outlet: StreamOutlet) -> Response:
        """What the client has of an outlet's stream."""
        return self.responses[outlet.stream.id]

    def exchange(self) -> None:
        """Lets both sides hear each other out."""
        while True:
            said = self.client.data_to_send()
            heard = b"".join(self.sender.output)
            self.sender.output.clear()
            if not said and not heard:
                return
            for event in self.client.receive_data(heard):
                self._take(event)
            for ours in self.connection.receive(said):
                self.dispatch(ours)

    def dispatch(self, event: Event) -> None:
        """As the protocol does."""
        match event:
            case StreamWritable(stream) if stream.call is not None:
                stream.call.writable()
            case StreamEnded(stream) if stream.call is not None:
                stream.call.stream_ended()

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.DataReceived():
                self.responses[event.stream_id].data += event.data
            case h2.events.TrailersReceived():
                self.responses[event.stream_id].trailers = fields(event)
            case h2.events.StreamEnded():
                self.responses[event.stream_id].ended = True

    def wrote(self, _: int) -> bool:
        return False  # nothing is written anywhere

    def flush(self) -> None:
        """Nothing is written anywhere."""

    def make_room(self) -> None:
        raise NotImplementedError

    def leave(self) -> None:
        raise NotImplementedError

    def end(self) -> None:
        raise NotImplementedError
