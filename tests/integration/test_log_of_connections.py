"""From one line of a gateway's log: whose stream or connection ended, and where it stood."""

import grpc
from google.rpc import error_details_pb2
from grpc import aio

from notecast.v1.chat_pb2 import RoomSubscription, SubscribeRequest
from tests.support import raw_http2 as raw
from tests.support.health import wait_until_serving
from tests.support.service_process import ServiceProcess, service_process
from tests.support.services import Gateway, Reader
from tests.support.statuses import detail_of, reason_of
from tests.support.valkey import ValkeyProcess

NO_WINDOW = (raw.INITIAL_WINDOW_SIZE, 0)
LARGE = "x" * 250_000


def port_of(gateway: ServiceProcess) -> int:
    return int(gateway.target.rpartition(":")[2])


def subscribe(connection: raw.RawConnection, *rooms: str, forwarded_for: str = "") -> None:
    """Opens a stream whose window is closed, so that its client is stuck from the beginning."""
    wanted = [RoomSubscription(room=room, from_start=True) for room in rooms]
    request = SubscribeRequest(subscriptions=wanted).SerializeToString()
    more = [(b"x-forwarded-for", forwarded_for.encode())] if forwarded_for else []
    connection.open(NO_WINDOW)
    connection.send(
        raw.headers(1, raw.request("/notecast.v1.ChatService/Subscribe", *more))
        + raw.data(1, raw.message(request), end=True)
    )


async def read_to_the_end(reader: Reader) -> aio.AioRpcError:
    while True:
        try:
            await reader.event()
        except aio.AioRpcError as error:
            return error


async def test_a_slow_readers_line_names_its_client_its_connection_and_where_it_stood(
    valkey: ValkeyProcess,
) -> None:
    async with service_process("chat_gateway", valkey.url, slow_reader_seconds=0.5) as gateway:
        await wait_until_serving(gateway.target)
        with (
            raw.RawConnection(port_of(gateway)) as idle,
            raw.RawConnection(port_of(gateway)) as stuck,
        ):
            idle.open()
            subscribe(stuck, "lobby", "den")
            line = await gateway.logs("slow_reader_ended")
            assert line["peer"] == f"ipv4:{stuck.address}"
            assert line["client"] == "127.0.0.1"
            assert line["connection"].startswith("#")
            assert line["rooms"] == 2
            assert [place["room"] for place in line["positions"]] == ["lobby", "den"]
            assert all(place["epoch"] > 0 for place in line["positions"])
            assert [place["sequence"] for place in line["positions"]] == [0, 0]
            assert line["waited_seconds"] >= 0.5


async def test_a_slow_readers_line_has_the_position_that_its_client_is_told(
    valkey: ValkeyProcess,
) -> None:
    async with service_process(
        "chat_gateway",
        valkey.url,
        slow_reader_seconds=0.5,
        max_text_bytes=262_144,
        ring_bytes=67_108_864,  # nothing is read from history, which is down
    ) as gateway:
        await wait_until_serving(gateway.target)
        async with aio.insecure_channel(gateway.target) as channel:
            client = Gateway(gateway.target, channel)
            async with client.read("lobby") as stalled:
                for _ in range(40):
                    await client.send("lobby", LARGE, deadline_seconds=30)
                line = await gateway.logs("slow_reader_ended")
                error = await read_to_the_end(stalled)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert reason_of(error) == "SLOW_READER"
        told = detail_of(error, error_details_pb2.ErrorInfo).metadata
        (place,) = line["positions"]
        assert place == {
            "room": told["room"],
            "epoch": int(told["epoch"]),
            "sequence": int(told["sequence"]),
        }
        assert 0 < place["sequence"] < 40


async def test_behind_a_trusted_proxy_the_line_names_the_client_that_the_proxy_speaks_of(
    valkey: ValkeyProcess,
) -> None:
    async with service_process(
        "chat_gateway", valkey.url, slow_reader_seconds=0.5, trusted_proxies="127.0.0.1"
    ) as gateway:
        await wait_until_serving(gateway.target)
        with raw.RawConnection(port_of(gateway)) as proxy:
            subscribe(proxy, "lobby", forwarded_for="203.0.113.7")
            line = await gateway.logs("slow_reader_ended")
            assert line["client"] == "203.0.113.7"
            assert line["peer"] == f"ipv4:{proxy.address}"


async def test_each_connection_that_is_ended_is_named_with_its_peer_and_an_id_of_its_own(
    valkey: ValkeyProcess,
) -> None:
    async with service_process("chat_gateway", valkey.url) as gateway:
        await wait_until_serving(gateway.target)
        names = set()
        for _ in range(3):
            with raw.RawConnection(port_of(gateway)) as broken:
                broken.open()
                broken.send(raw.data(0, b"no stream"))
                line = await gateway.logs("connection_ended")
                assert line["peer"] == f"ipv4:{broken.address}"
                assert line["code"] == "PROTOCOL_ERROR"
                names.add(line["connection"])
        assert len(names) == 3
