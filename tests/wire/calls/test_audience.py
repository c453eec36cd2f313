"""Fan-out: one message to many streams, exact to the byte of every window."""

import asyncio
from collections.abc import Iterator

import h2.settings
import pytest
from grpc import StatusCode
from hypothesis import given, settings
from hypothesis import strategies as st

from notecast_wire import Audience, StreamOutlet
from tests.support.waiting import eventually
from tests.wire.calls.memory import MemoryConnection
from tests.wire.calls.raw_client import message, raw_client
from tests.wire.calls.serving import Context, serving, unary_stream


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def test_all_members_of_a_connection_get_a_message_in_one_piece(
    loop: asyncio.AbstractEventLoop,
) -> None:
    handles = [MemoryConnection(loop) for _ in range(3)]
    audience = Audience()
    outlets = [(handle, handle.subscribe()) for handle in handles for _ in range(5)]
    for _, outlet in outlets:
        audience.add(outlet)
    assert (len(audience), audience.connections) == (15, 3)
    assert audience.send(b"hello") == []
    assert [len(handle.sender.output) for handle in handles] == [1, 1, 1]
    for handle in handles:
        handle.exchange()
    assert all(handle.response(outlet).messages == [b"hello"] for handle, outlet in outlets)


def test_frames_take_their_bytes_from_both_windows(loop: asyncio.AbstractEventLoop) -> None:
    handle = MemoryConnection(loop)
    audience = Audience()
    outlets = [handle.subscribe() for _ in range(4)]
    for outlet in outlets:
        audience.add(outlet)
    audience.send(bytes(95))
    assert handle.sender.send_window == 65_535 - 400
    assert all(outlet.stream.send_window == 65_535 - 100 for outlet in outlets)


def test_a_message_larger_than_a_frame_arrives_in_several(
    loop: asyncio.AbstractEventLoop,
) -> None:
    handle = MemoryConnection(loop)
    audience = Audience()
    outlet = handle.subscribe()
    audience.add(outlet)
    for size in (16_379, 16_380, 30_000):
        assert audience.send(bytes(size)) == []
        handle.exchange()
        assert handle.response(outlet).messages[-1] == bytes(size)


def test_an_outlet_without_room_is_named_and_the_others_get_theirs(
    loop: asyncio.AbstractEventLoop,
) -> None:
    narrow, wide = MemoryConnection(loop, initial_window=30), MemoryConnection(loop)
    audience = Audience()
    slow, quick, far = narrow.subscribe(), narrow.subscribe(), wide.subscribe()
    for outlet in (slow, quick, far):
        audience.add(outlet)
    assert audience.send(b"x" * 20) == []
    narrow.client.increment_flow_control_window(100, quick.stream.id)
    narrow.exchange()
    assert audience.send(b"y" * 20) == [slow]
    for handle in (narrow, wide):
        handle.exchange()
    assert narrow.response(slow).messages == [b"x" * 20]
    assert narrow.response(quick).messages == [b"x" * 20, b"y" * 20]
    assert wide.response(far).messages == [b"x" * 20, b"y" * 20]


def test_a_failed_group_has_taken_from_no_window(loop: asyncio.AbstractEventLoop) -> None:
    handle = MemoryConnection(loop, initial_window=10)
    audience = Audience()
    first, second, third = (handle.subscribe() for _ in range(3))
    for outlet in (first, second, third):
        audience.add(outlet)
    second.write(b"12345")
    assert second.stream.send_window == 0
    before = [outlet.stream.send_window for outlet in (first, third)]
    assert audience.send(b"") == [second]
    assert [outlet.stream.send_window for outlet in (first, third)] == [size - 5 for size in before]


def test_a_failed_group_of_streams_in_two_audiences_has_taken_from_no_window(
    loop: asyncio.AbstractEventLoop,
) -> None:
    handle = MemoryConnection(loop, initial_window=10)
    one, other = Audience(), Audience()
    first, second, third = (handle.subscribe() for _ in range(3))
    for outlet in (first, second, third):
        one.add(outlet)
        other.add(outlet)
    assert one.send(b"") == []
    second.write(b"")
    connection_window = handle.sender.send_window
    assert other.send(b"12345") == [first, second, third]
    assert other.send(b"") == [second]
    assert [outlet.stream.send_window for outlet in (first, second, third)] == [0, 0, 0]
    assert handle.sender.send_window == connection_window - 10


@pytest.mark.parametrize("room", [0, -1])
def test_room_for_a_message_is_counted_to_the_byte(
    loop: asyncio.AbstractEventLoop, room: int
) -> None:
    handle = MemoryConnection(loop, initial_window=1_000)
    audience = Audience()
    one, other = handle.subscribe(), handle.subscribe()
    for outlet in (one, other):
        audience.add(outlet)
    other.write(bytes(895 - room))
    assert audience.send(bytes(95)) == ([] if room == 0 else [other])
    handle.exchange()


def test_a_member_leaves_when_it_is_discarded_and_when_its_call_ends(
    loop: asyncio.AbstractEventLoop,
) -> None:
    handle = MemoryConnection(loop)
    one, other = Audience(), Audience()
    ended, cut, left, gone, stays = (handle.subscribe() for _ in range(5))
    for outlet in (ended, cut, left, gone, stays):
        one.add(outlet)
        other.add(outlet)
    ended.end(StatusCode.OK)
    cut.cut(StatusCode.ABORTED)
    handle.client.reset_stream(left.stream.id)
    handle.exchange()
    one.discard(gone)
    one.discard(gone)
    assert (len(one), len(other)) == (1, 2)
    one.add(ended)  # too late
    assert len(one) == 1
    one.send(b"one")
    other.send(b"other")
    handle.exchange()
    assert handle.response(stays).messages == [b"one", b"other"]
    assert handle.response(gone).messages == [b"other"]
    assert handle.response(ended).messages == []
    for event in handle.connection.close():
        handle.dispatch(event)
    assert (len(one), len(other)) == (0, 0)


def test_a_full_socket_refuses_for_all_of_its_streams(loop: asyncio.AbstractEventLoop) -> None:
    full, free = MemoryConnection(loop), MemoryConnection(loop)
    audience = Audience()
    outlets = [full.subscribe(), full.subscribe(), free.subscribe()]
    for outlet in outlets:
        audience.add(outlet)
    full.connection.pause()
    assert audience.send(b"hello") == outlets[:2]
    for event in full.connection.resume():
        full.dispatch(event)
    assert audience.send(b"again") == []
    full.exchange()
    assert full.response(outlets[0]).messages == [b"again"]


SEND = st.tuples(st.just("send"), st.integers(0, 40))
MOVE = st.tuples(st.sampled_from(["join", "part"]), st.integers(0, 2))
ACTIONS = st.one_of(
    SEND,
    MOVE,
    st.tuples(st.just("stream"), st.integers(1, 60)),
    st.tuples(st.just("connection"), st.integers(1, 200)),
    st.tuples(st.just("write"), st.integers(0, 40)),
    st.tuples(st.just("settings"), st.integers(0, 100)),
    st.tuples(st.sampled_from(["full", "free"]), st.just(0)),
    st.tuples(st.just("leave"), st.just(0)),
    SEND,
    MOVE,
)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 300),
    st.integers(0, 65_000),
    st.lists(st.tuples(st.integers(0, 4), ACTIONS), min_size=20, max_size=80),
)
def test_no_window_is_ever_exceeded_and_what_was_taken_arrives_in_order(
    initial: int, used: int, actions: list[tuple[int, tuple[str, int]]]
) -> None:
    loop = asyncio.new_event_loop()
    try:
        trial = Trial(loop, initial, used)
        for number, (place, (action, size)) in enumerate(actions):
            data, outlet = b"%02d" % number + bytes(size), trial.outlets[place]
            if action == "send":
                trial.send(data, place % len(trial.audiences))
            elif action == "write" and outlet.write(data):
                trial.taken[outlet].append(data)
            else:
                trial.act(outlet, action, size)
            trial.handle.exchange()
            trial.check_windows()
        trial.open_all()
        for outlet in trial.members:
            assert trial.handle.response(outlet).messages == trial.taken[outlet]
            assert outlet.waiting_since is None
    finally:
        loop.close()


class Trial:
    """Five streams of one connection in audiences, and what of their messages they have taken.

    `h2` raises as soon as a window is exceeded; the rest is compared at the end. All are in the
    first audience to begin with, and may join and leave each of them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, initial: int, used: int) -> None:
        self.handle = MemoryConnection(loop, initial)
        _use_up(self.handle, used)
        self.audiences = [Audience() for _ in range(3)]
        self.outlets = [self.handle.subscribe() for _ in range(5)]
        self.taken: dict[StreamOutlet, list[bytes]] = {outlet: [] for outlet in self.outlets}
        self._joined = [set(self.outlets), set[StreamOutlet](), set[StreamOutlet]()]
        for outlet in self.outlets:
            self.audiences[0].add(outlet)

    @property
    def members(self) -> list[StreamOutlet]:
        return [outlet for outlet in self.outlets if not outlet.done]

    def send(self, data: bytes, place: int) -> None:
        joined = {outlet for outlet in self._joined[place] if not outlet.done}
        assert len(self.audiences[place]) == len(joined)
        fits = self._fits(joined, len(data) + 5)
        refused = self.audiences[place].send(data)
        assert set(refused) <= joined
        assert not (fits and refused)
        for member in joined - set(refused):
            self.taken[member].append(data)

    def _fits(self, outlets: set[StreamOutlet], size: int) -> bool:
        """Whether there is room for all, as the client counts it."""
        client, connection = self.handle.client, self.handle.connection
        return not connection.sender.congested and all(
            outlet.stream.unsent is None
            and client.remote_flow_control_window(outlet.stream.id) >= size * len(outlets)
            for outlet in outlets
        )

    def check_windows(self) -> None:
        """Each is what the client says, to the byte."""
        for outlet in self.members:
            window = min(outlet.stream.send_window, self.handle.sender.send_window)
            assert window == self.handle.client.remote_flow_control_window(outlet.stream.id)

    def act(self, outlet: StreamOutlet, action: str, size: int) -> None:
        """Something that changes what can be sent."""
        client, connection = self.handle.client, self.handle.connection
        match action:
            case "connection":
                client.increment_flow_control_window(size)
            case "settings":
                client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: size})
            case "full":
                connection.pause()
            case "free":
                _resume(self.handle)
            case "stream" if not outlet.done:
                client.increment_flow_control_window(size, outlet.stream.id)
            case "join" if not outlet.done and outlet not in self._joined[size]:
                self.audiences[size].add(outlet)
                self._joined[size].add(outlet)
            case "part":
                self.audiences[size].discard(outlet)
                self._joined[size].discard(outlet)
            case "leave" if not outlet.done:
                client.reset_stream(outlet.stream.id, 8)

    def open_all(self) -> None:
        """Lets everything out that was taken."""
        _resume(self.handle)
        self.handle.client.increment_flow_control_window(1_000_000)
        for outlet in self.members:
            self.handle.client.increment_flow_control_window(1_000_000, outlet.stream.id)
        self.handle.exchange()


def _use_up(handle: MemoryConnection, size: int) -> None:
    """Narrows the connection's window, by a stream with all the window that it wants."""
    outlet = handle.subscribe()
    handle.client.increment_flow_control_window(65_535, outlet.stream.id)
    handle.exchange()
    handle.sender.send_data(outlet.stream, bytes(size))
    handle.exchange()
    outlet.end(StatusCode.OK)
    handle.exchange()


def _resume(handle: MemoryConnection) -> None:
    for event in handle.connection.resume():
        handle.dispatch(event)


async def test_a_stream_whose_client_reads_nothing_costs_the_others_nothing() -> None:
    audience = Audience()
    refused: list[StreamOutlet] = []

    async def subscribe(_: bytes, context: Context) -> None:
        audience.add(context.detach())

    async with (
        serving({"Subscribe": unary_stream(subscribe)}) as served,
        raw_client(served.port, initial_window=100) as slow,
        raw_client(served.port, initial_window=1_000_000) as quick,
    ):
        slow.call("Subscribe")
        quick.open_window(1_000_000)
        streams = [quick.call("Subscribe") for _ in range(3)]
        await eventually(lambda: len(audience) == 4, "all are there")
        for number in range(500):
            lost = audience.send(b"%03d" % number + bytes(200))
            for outlet in lost:
                audience.discard(outlet)
            refused += lost
            await asyncio.sleep(0)
        assert len(refused) == 1
        for stream in streams:
            await quick.until(
                lambda stream=stream: len(quick.responses[stream].messages) == 500,  # type: ignore[misc]
                "all messages",
            )
        refused[0].cut(StatusCode.RESOURCE_EXHAUSTED, "too slow")
        response = await slow.ended(1)
        assert response.status == "8"
        assert response.data == (message(b"000" + bytes(200)))[:100]
