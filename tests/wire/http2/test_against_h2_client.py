"""Our connection and the `h2` library's client, talking in memory in any order.

`h2` raises for whatever a server may not do: overrun a window, send on an ended stream, end one
twice, use a table that it gave up. What either side says must come out at the other as it was.
"""

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from notecast_wire.http2.codes import ErrorCode
from notecast_wire.http2.header_encoder import encode_headers
from tests.wire.http2.line import Line
from tests.wire.http2.talk import STATUS, TRAILERS, Call, body

sizes = st.one_of(st.integers(0, 40), st.integers(0, 40_000))
picks = st.integers(0, 10_000)


class Talk(Line):
    """Calls in which each end says what it may."""

    # The client's part.

    @rule(
        ended=st.booleans(),
        room=st.text("abcdef", min_size=1, max_size=30),
        length=st.none() | sizes,
    )
    def asks(self, ended: bool, room: str, length: int | None) -> None:  # noqa: FBT001 - drawn
        stream_id = self.client.get_next_available_stream_id()
        headers = [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", b"/notecast.v1.ChatService/Subscribe"),
            (b":authority", b"localhost"),
            (b"x-room", room.encode()),
        ]
        call = Call(stream_id, headers)
        if length is not None and not ended:
            headers.append((b"content-length", b"%d" % length))
        try:
            self.client.send_headers(stream_id, headers, end_stream=ended)
        except h2.exceptions.TooManyStreamsError:
            return
        if length is not None and not ended:
            self._send_body(call, length, whole=True)
        call.client_ended = ended or length is not None
        self.calls[stream_id] = call
        self._gather()

    def _send_body(self, call: Call, size: int, *, whole: bool = False) -> None:
        room = self.client.local_flow_control_window(call.id)
        data = body(size, len(call.asked))[: max(0, room)]
        if whole and len(data) < size:
            self.client.reset_stream(call.id)
            call.client_reset = True
            return
        call.asked += data
        for start in range(0, len(data), 16_000):
            self.client.send_data(call.id, data[start : start + 16_000])
        if whole:
            self.client.end_stream(call.id)

    @rule(number=picks, size=sizes, padding=st.none() | st.integers(0, 200))
    def goes_on_asking(self, number: int, size: int, padding: int | None) -> None:
        call = self._asking(number)
        if call is None:
            return
        room = self.client.local_flow_control_window(call.id)
        if padding is not None and room > padding + 1:
            data = body(min(size, room - padding - 1, 16_000), len(call.asked))
            call.asked += data
            self.client.send_data(call.id, data, pad_length=padding)
        else:
            self._send_body(call, size)
        self._gather()

    @rule(number=picks, by_trailers=st.booleans())
    def has_asked(self, number: int, by_trailers: bool) -> None:  # noqa: FBT001 - drawn
        call = self._asking(number)
        if call is None:
            return
        if by_trailers:
            self.client.send_headers(call.id, [(b"x-checksum", b"1")], end_stream=True)
        else:
            self.client.end_stream(call.id)
        call.client_ended = True
        self._gather()

    @rule(number=picks)
    def gives_up(self, number: int) -> None:
        call = self._pick(
            number, lambda c: not (c.client_reset or c.heard_reset or c.heard_trailers)
        )
        if call is None:
            return
        self.client.reset_stream(call.id, h2.errors.ErrorCodes.CANCEL)
        call.client_reset = True
        self._gather()

    # h2 takes the acknowledgement of one SETTINGS for that of a later one, too.
    @precondition(lambda self: not self.settings_under_way)
    @rule(
        window=st.none() | st.sampled_from([0, 5, 1_000, 65_535, 1_000_000]),
        table=st.none() | st.sampled_from([0, 100, 4_096, 10_000]),
        frame=st.none() | st.sampled_from([16_384, 40_000]),
    )
    def changes_its_mind(self, window: int | None, table: int | None, frame: int | None) -> None:
        codes = h2.settings.SettingCodes
        changes = {
            codes.INITIAL_WINDOW_SIZE: window,
            codes.HEADER_TABLE_SIZE: table,
            codes.MAX_FRAME_SIZE: frame,
        }
        self.settings_under_way = True
        self.client.update_settings({k: v for k, v in changes.items() if v is not None})
        self._gather()

    @rule(number=picks, increment=st.integers(1, 70_000))
    def widens(self, number: int, increment: int) -> None:
        call = self._pick(number, lambda c: not (c.reset or c.heard_reset or c.heard_trailers))
        try:
            self.client.increment_flow_control_window(increment, call.id if call else None)
        except h2.exceptions.FlowControlError:
            return
        self._gather()

    @rule()
    def client_pings(self) -> None:
        self.client.ping(b"notecast")
        self._gather()

    # The server's part.

    @rule(number=picks)
    def accepts(self, number: int) -> None:
        call = self._answering(number)
        if call is None or call.stream is None or call.answered:
            return
        self.connection.sender.send_headers(call.stream, encode_headers(STATUS))
        call.answered = True
        self._gather()

    @rule(number=picks, size=sizes)
    def tells(self, number: int, size: int) -> None:
        call = self._answering(number)
        if call is None or call.stream is None:
            return
        if not call.answered:
            self.accepts(number)
        data = body(size, len(call.told))
        call.told += data
        out = self.connection.sender.send_data(call.stream, memoryview(data) if size % 2 else data)
        assert out == (call.stream.unsent is None)
        self._gather()

    @rule(number=picks, how=st.sampled_from(["trailers", "data", "reset"]), size=sizes)
    def has_told(self, number: int, how: str, size: int) -> None:
        call = self._answering(number)
        if call is None or call.stream is None:
            return
        if not call.answered:
            self.accepts(number)
        if how == "reset":
            self.connection.sender.reset(call.stream, ErrorCode.CANCEL)
            call.server_reset = True
        elif how == "data":
            data = body(size, len(call.told))
            call.told += data
            self.connection.sender.send_data(call.stream, data, end_stream=True)
        else:
            self.connection.sender.send_trailers(call.stream, encode_headers(TRAILERS))
        call.server_ended = True
        self._gather()

    @rule(number=picks, size=sizes)
    def responds(self, number: int, size: int) -> None:
        call = self._answering(number)
        if call is None or call.stream is None or call.answered:
            return
        call.told += body(size, 0)
        call.answered = call.server_ended = True
        self.connection.sender.respond(
            call.stream, encode_headers(STATUS), bytes(call.told), encode_headers(TRAILERS)
        )
        self._gather()

    @rule()
    def server_pings(self) -> None:
        self.connection.ping()
        self._gather()

    @rule()
    def socket_fills(self) -> None:
        self.connection.pause()

    @precondition(lambda self: self.connection.sender.congested)
    @rule()
    def socket_drains(self) -> None:
        self._hear(self.connection.resume())
        self._gather()


TestTalk = Talk.TestCase
TestTalk.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],  # explaining takes minutes
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
