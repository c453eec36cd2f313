"""A connection of ours, a client of `h2`, and a line between them, as slow as a test likes."""

from collections.abc import Callable

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from notecast_wire.http2.connection import Connection, ConnectionLimits
from notecast_wire.http2.events import (
    ConnectionEnded,
    DataReceived,
    Event,
    RequestBegun,
    RequestEnded,
    StreamEnded,
)
from notecast_wire.http2.stream import Stream
from tests.wire.http2.talk import TRAILERS, Call, check, plain


class Line(RuleBasedStateMachine):
    """Both ends, and the bytes that are under way each way; what is said comes with the rules."""

    @initialize(
        stream_window=st.sampled_from([0, 10, 1_000, 65_535, 200_000]),
        connection_window=st.sampled_from([65_535, 70_000, 1_000_000]),
        client_window=st.sampled_from([0, 5, 1_000, 65_535, 1_000_000]),
    )
    def connect(self, stream_window: int, connection_window: int, client_window: int) -> None:
        self.calls: dict[int, Call] = {}
        self.to_server = bytearray()
        self.to_client = bytearray()
        self.unread: list[tuple[int, int]] = []
        self.connection = Connection(
            ConnectionLimits(
                stream_window_bytes=stream_window, connection_window_bytes=connection_window
            ),
            lambda: None,
        )
        self.connection.start()
        self.client = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=True, header_encoding=None)
        )
        self.client.local_settings = h2.settings.Settings(
            initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: client_window}
        )
        self.client.initiate_connection()
        self.settings_under_way = True
        self._gather()

    def _gather(self) -> None:
        self.to_server += self.client.data_to_send()
        self.to_client += b"".join(self.connection.sender.output)
        self.connection.sender.output.clear()

    def _pick(self, number: int, wanted: Callable[[Call], bool]) -> Call | None:
        calls = [call for call in self.calls.values() if wanted(call)]
        return calls[number % len(calls)] if calls else None

    def _asking(self, number: int) -> Call | None:
        return self._pick(number, lambda c: not (c.client_ended or c.client_reset or c.heard_reset))

    def _answering(self, number: int) -> Call | None:
        return self._pick(
            number, lambda c: c.stream is not None and not (c.server_ended or c.reset)
        )

    # What is under way.

    @rule(share=st.integers(1, 100))
    def server_receives(self, share: int) -> None:
        size = -(-len(self.to_server) * share // 100)
        data = bytes(self.to_server[:size])
        del self.to_server[:size]
        self._hear(self.connection.receive(data))
        self._gather()

    def _hear(self, events: list[Event]) -> None:
        for event in events:
            assert not isinstance(event, ConnectionEnded), event
            if isinstance(event, RequestBegun):
                call = self.calls[event.stream.id]
                call.stream = event.stream
                call.heard_request = event.headers
                call.heard_end = event.ended
            elif isinstance(event, DataReceived):
                call = self.calls[event.stream.id]
                call.heard_body += event.data
                call.heard_end = event.ended
                self.connection.consumed(event.stream, event.size)
            elif isinstance(event, RequestEnded):
                self.calls[event.stream.id].heard_end = True
            elif isinstance(event, StreamEnded):
                assert self.calls[event.stream.id].client_reset
                assert event.by_peer

    @rule(share=st.integers(1, 100))
    def client_receives(self, share: int) -> None:
        size = -(-len(self.to_client) * share // 100)
        data = bytes(self.to_client[:size])
        del self.to_client[:size]
        for event in self.client.receive_data(data):
            self._client_hears(event)
        self._gather()

    def _client_hears(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ResponseReceived):
            self.calls[event.stream_id].heard_status = plain(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self.calls[event.stream_id].heard_answer += event.data
            self.unread.append((event.stream_id, event.flow_controlled_length or 0))
        elif isinstance(event, h2.events.TrailersReceived):
            assert plain(event.headers) == TRAILERS
        elif isinstance(event, h2.events.StreamEnded):
            self.calls[event.stream_id].heard_trailers = True
        elif isinstance(event, h2.events.StreamReset):
            self.calls[event.stream_id].heard_reset = True
        elif isinstance(event, h2.events.SettingsAcknowledged):
            self.settings_under_way = False
        assert not isinstance(event, h2.events.ConnectionTerminated)

    @rule(count=st.integers(1, 20))
    def reads(self, count: int) -> None:
        for stream_id, size in self.unread[:count]:
            if size:
                self.client.acknowledge_received_data(size, stream_id)
        del self.unread[:count]
        self._gather()

    # The end.

    def teardown(self) -> None:
        if not hasattr(self, "calls"):
            return
        self._hear(self.connection.resume())
        self._gather()
        for _ in range(100):
            self.server_receives(100)
            self.client_receives(100)
            self.reads(1_000)
            kept = [s for s in self.connection.streams.values() if s.unsent]
            if not (self.to_server or self.to_client or kept):
                break
            self._open_windows(kept)
        assert not kept
        for call in self.calls.values():
            check(call)
        open_calls = {c.id for c in self.calls.values() if not (c.server_ended or c.reset)}
        assert set(self.connection.streams) == open_calls

    def _open_windows(self, kept: list[Stream]) -> None:
        for stream in kept:
            if stream.send_window <= 0 and not self.to_client:
                self.client.increment_flow_control_window(100_000, stream.id)
        if self.connection.sender.send_window <= 0 and not self.to_client:
            self.client.increment_flow_control_window(100_000)
        self._gather()
