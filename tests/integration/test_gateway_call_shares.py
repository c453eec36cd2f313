"""One client has its share of a gateway's calls, though Redis hangs and none is answered."""

from functools import partial

from notecast.v1.chat_pb2 import SendNoteRequest
from tests.support import raw_http2 as raw
from tests.support.health import health_of
from tests.support.services import running_gateway
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually

NOTE = SendNoteRequest(room="den", author="eve", text="wait").SerializeToString()
SEND = raw.request("/notecast.v1.ChatService/SendNote")


class Sender(raw.RawConnection):
    """A connection that sends notes, and counts which calls have ended."""

    def __init__(self, port: int, source: str = "") -> None:
        super().__init__(port, source=source)
        self.open()
        self.ended: dict[int, bytes] = {}

    def send_notes(self, count: int) -> None:
        for stream_id in range(1, 2 * count, 2):
            self.send(
                raw.headers(stream_id, SEND) + raw.data(stream_id, raw.message(NOTE), end=True)
            )

    def has_ended(self, count: int) -> bool:
        for frame in self.frames():
            if frame.kind == raw.HEADERS and frame.flags & raw.END_STREAM:
                self.ended[frame.stream_id] = frame.payload
        return len(self.ended) == count


async def test_sends_that_hang_take_their_clients_share_and_another_client_is_answered(
    valkey: ValkeyProcess,
) -> None:
    async with running_gateway(valkey.url, max_calls=16, redis_timeout_seconds=20) as gateway:
        port = int(gateway.target.rpartition(":")[2])
        with (
            Sender(port) as first,
            Sender(port) as second,
            Sender(port) as third,
            Sender(port, "127.0.0.2") as other,
        ):
            valkey.pause()
            try:
                # 8 for a client, 4 for a connection of one.
                for hostile, refused, bound in (
                    (first, 16, b"at most 4 calls under way for a connection"),
                    (second, 16, b"at most 4 calls under way for a connection"),
                    (third, 20, b"at most 8 calls under way for a client"),
                ):
                    hostile.send_notes(20)
                    await eventually(partial(hostile.has_ended, refused), "no more than that")
                    assert all(bound in block for block in hostile.ended.values())
                assert await health_of(gateway.target, "liveness") == "SERVING"
                other.send_notes(3)
            finally:
                valkey.resume()
            await eventually(lambda: other.has_ended(3), "another client is answered")
            assert not any(b"at most" in block for block in other.ended.values())
            await eventually(lambda: first.has_ended(20), "and the sends that hung, too")
