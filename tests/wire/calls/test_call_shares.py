"""One client has its share of the calls under way, over all its connections, and no more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import notecast_wire
from tests.support.waiting import eventually
from tests.wire.calls.raw_client import RawClient, Response, grpc_headers, message, raw_client
from tests.wire.calls.serving import Context, Served, echo, serving, unary_stream, unary_unary

SHARES = (("notecast_wire.max_calls", 40),)
"""20 of a client, 10 of a connection of one."""
RESOURCE_EXHAUSTED = "8"
FOR_CONNECTION = "at most 10 calls under way for a connection"
FOR_CLIENT = "at most 20 calls under way for a client"
HEALTH = "grpc.health.v1.Health"


class Hanging:
    """Methods that answer when they are told to, and some that need nobody."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def hang(self, request: bytes, _: Context) -> bytes:
        await self.go_on.wait()
        return request

    async def stream(self, request: bytes, context: Context) -> None:
        await context.write(request)
        await self.go_on.wait()


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Served, Hanging]]:
    hanging = Hanging()
    methods = {
        "Hang": unary_unary(hanging.hang),
        "Echo": unary_unary(echo),
        "Stream": unary_stream(hanging.stream),
    }
    proxies = notecast_wire.TrustedProxies.parse("127.0.0.1")
    async with serving(methods, SHARES, trusted_proxies=proxies) as running:
        running.server.add_registered_method_handlers(HEALTH, {"Check": unary_unary(echo)})
        yield running, hanging


def whose(address: str, connection: int) -> tuple[tuple[str, str], ...]:
    """What a proxy says of a request."""
    return (("x-forwarded-for", address), ("x-notecast-connection", str(connection)))


def question_of_health(*more: tuple[str, str]) -> list[tuple[str, str]]:
    headers = grpc_headers("Check", *more)
    headers[2] = (":path", f"/{HEALTH}/Check")
    return headers


def has_come(response: Response) -> bool:
    """Whether there is a message of it."""
    return bool(response.messages)


def under_way(running: Served) -> int:
    state = running.server._state
    assert state is not None
    return state.call_shares.held


async def refusals(client: RawClient, calls: list[int]) -> list[str]:
    """Which bounds refused calls, in order."""
    ended = [await client.ended(call) for call in calls]
    assert {answer.status for answer in ended} <= {RESOURCE_EXHAUSTED}
    assert {answer.headers["grpc-retry-pushback-ms"] for answer in ended} <= {"1000"}
    return [answer.headers["grpc-message"] for answer in ended]


async def test_a_client_with_many_connections_takes_its_share_and_others_are_answered() -> None:
    async with served() as (running, hanging), AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(raw_client(running.port)) for _ in range(4)]
        calls: list[list[int]] = []
        for number, (client, taken, bound) in enumerate(
            zip(clients, (10, 10, 0, 0), (*[FOR_CONNECTION] * 2, *[FOR_CLIENT] * 2), strict=True)
        ):
            made = [client.call("Hang", b"", *whose("192.0.2.66", number)) for _ in range(12)]
            assert await refusals(client, made[taken:]) == [bound] * (12 - taken)
            calls.append(made[:taken])
        assert under_way(running) == 20
        # Through the same connections as the hostile client, as behind a proxy.
        other = whose("192.0.2.7", 99)
        for client in clients:
            assert (await client.ended(client.call("Echo", b"hi", *other))).messages == [b"hi"]
        hanging.go_on.set()
        for client, taken_up in zip(clients, calls, strict=True):
            for call in taken_up:
                assert (await client.ended(call)).status == "0"
        assert under_way(running) == 0
        again = clients[0].call("Echo", b"again", *whose("192.0.2.66", 0))
        assert (await clients[0].ended(again)).messages == [b"again"]


async def test_all_clients_together_take_no_more_than_there_are_and_health_is_answered() -> None:
    async with served() as (running, _), raw_client(running.port) as client:
        for number in range(40):
            client.call("Hang", b"", *whose(f"192.0.2.{number}", number))
        full = client.call("Echo", b"", *whose("192.0.2.77", 77))
        assert await refusals(client, [full]) == ["at most 40 calls under way in all"]
        check = client.begin(question_of_health(*whose("192.0.2.77", 77)), message(b"fine?"))
        assert (await client.ended(check)).messages == [b"fine?"]


async def test_a_call_gives_its_place_back_however_it_ends() -> None:
    async with served() as (running, _), raw_client(running.port) as client:
        me = whose("192.0.2.1", 1)
        for _ in range(3):
            left = [client.call("Hang", b"", *me) for _ in range(10)]
            await client.settled()
            for call in left:
                client.h2.reset_stream(call)
            client.flush()
            await client.settled()
            assert under_way(running) == 0
        late = client.call("Hang", b"", *me, ("grpc-timeout", "20m"))
        assert (await client.ended(late)).status == "4"
        broken = client.begin(grpc_headers("Hang", *me), b"\x07rubbish")
        assert (await client.ended(broken)).status != "0"
        assert under_way(running) == 0
        client.call("Hang", b"", *me)
        await client.close()
        await eventually(lambda: under_way(running) == 0, "it goes with its connection")


async def test_requests_that_do_not_become_whole_count_unless_they_ask_for_health() -> None:
    async with served() as (running, hanging), raw_client(running.port) as client:
        me = whose("192.0.2.1", 1)
        streams = [client.begin(grpc_headers("Stream", *me), None, end=False) for _ in range(10)]
        await client.settled()
        question = client.begin(question_of_health(*me), None, end=False)
        over = [
            client.begin(grpc_headers("Stream", *me), None, end=False),
            client.call("Echo", b"", *me),
        ]
        assert await refusals(client, over) == [FOR_CONNECTION] * 2
        client.h2.send_data(question, message(b"fine?"), end_stream=True)
        client.flush()
        assert (await client.ended(question)).messages == [b"fine?"]
        # Once it is whole, a stream is for its handler to count.
        for stream in streams:
            client.h2.send_data(stream, message(b"now"), end_stream=True)
        client.flush()
        for stream in streams:
            await client.until(partial(has_come, client.responses[stream]), "its first message")
        assert under_way(running) == 0
        assert (await client.ended(client.call("Echo", b"hi", *me))).messages == [b"hi"]
        hanging.go_on.set()
        for stream in streams:
            assert (await client.ended(stream)).status == "0"
        assert under_way(running) == 0
