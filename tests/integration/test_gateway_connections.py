"""One client opens connections until there is no file left for any, and others notice nothing."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from grpc import aio

from notecast.v1.chat_pb2 import SendNoteRequest
from notecast.v1.chat_pb2_grpc import ChatServiceStub
from tests.support import raw_http2 as raw
from tests.support.gateway_process import started_gateway
from tests.support.health import wait_until_serving
from tests.support.services import Gateway, texts
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually

HOSTILE = "127.0.0.2"
FILES = 128


@contextmanager
def many_connections(port: int) -> Iterator[list[raw.RawConnection]]:
    """More than the gateway may have files, all of one client."""
    with ExitStack() as stack:
        connections = []
        for _ in range(2 * FILES):
            connection = raw.RawConnection(port, source=HOSTILE)
            connections.append(stack.enter_context(connection))
            connection.open()
        yield connections


async def a_newcomer_is_served(gateway: Gateway) -> bool:
    """Whether a client that has no connection yet gets one, and its note stored."""
    own = [("grpc.use_local_subchannel_pool", 1)]
    async with aio.insecure_channel(gateway.target, own) as channel:
        request = SendNoteRequest(room="hall", author="bob", text="is anybody there?")
        try:
            await ChatServiceStub(channel).SendNote(request, timeout=2)
        except aio.AioRpcError:
            return False
    return True


async def test_a_client_that_opens_connections_without_end_keeps_nobody_out(
    valkey: ValkeyProcess,
) -> None:
    async with (
        started_gateway(valkey.url, open_files=FILES) as (_, gateway),
        gateway.read("den") as reader,
    ):
        assert (await reader.event()).WhichOneof("kind") == "caught_up"
        with many_connections(int(gateway.target.rpartition(":")[2])):
            await eventually(lambda: a_newcomer_is_served(gateway), "another client can connect")
            with valkey.client() as redis:  # and so can the gateway, to Redis
                redis.client_kill_filter(_type="normal", skipme=True)
                redis.client_kill_filter(_type="pubsub")
            await wait_until_serving(gateway.target)
            await gateway.send("den", "hello")
            assert texts(await reader.notes(1)) == ["hello"]
