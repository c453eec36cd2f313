"""Answers that nobody reads are bounded: by their deadline, and in bytes for each client."""

from collections.abc import AsyncIterator, Sequence

import grpc
import pytest

from notecast_wire import TrustedProxies
from tests.support.waiting import eventually
from tests.wire.calls.raw_client import RawClient, connected, grpc_headers, message, raw_client
from tests.wire.calls.serving import (
    Context,
    Served,
    count,
    serving,
    stream_unary,
    unary_stream,
    unary_unary,
)

TIGHT = (("notecast_wire.max_held_output_bytes", 400_000),)
"""100,000 bytes for a connection, 200,000 for a client."""
RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED = "8", "4"
NOW = ("grpc-timeout", "150m")


async def large(request: bytes, _: Context) -> bytes:
    return bytes(int(request))


async def stay(_: bytes, context: Context) -> None:
    """A stream that is detached, with a message that no small window takes."""
    await context.send_initial_metadata(())
    context.detach().write(bytes(60_000))


async def leave(_: bytes, context: Context) -> None:
    """The same, and the stream ends after it."""
    outlet = context.detach()
    outlet.write(bytes(1_000))
    outlet.end(grpc.StatusCode.OK)


async def pour(request: bytes, _: Context) -> AsyncIterator[bytes]:
    while True:
        yield bytes(int(request))


METHODS = {
    "Large": unary_unary(large),
    "Stay": unary_stream(stay),
    "Leave": unary_stream(leave),
    "Pour": unary_stream(pour),
    "Count": stream_unary(count),
}


def output(served: Served) -> int:
    assert served.server._state is not None
    return served.server._state.held_output.total


def statuses(client: RawClient, calls: Sequence[int]) -> list[str | None]:
    return [client.responses[call].status for call in calls]


@pytest.mark.parametrize(("name", "size"), [("Large", b"1000"), ("Leave", b""), ("Pour", b"1000")])
async def test_the_deadline_stays_until_the_last_octet_is_out(name: str, size: bytes) -> None:
    async with connected(METHODS, initial_window=600) as (served, client):
        call = client.call(name, size, NOW)
        response = await client.ended(call)
        assert response.status == DEADLINE_EXCEEDED
        assert response.trailers["grpc-message"] == "Deadline Exceeded"
        assert output(served) == served.calls == 0
        await eventually(lambda: served.tasks == 0, "nothing is left")
        assert len(served.server._state.deadlines) == 0  # type: ignore[union-attr]


async def test_an_answer_that_is_read_in_time_is_whole_and_leaves_no_deadline() -> None:
    async with connected(METHODS, initial_window=600) as (served, client):
        call = client.call("Large", b"40000", ("grpc-timeout", "1H"))
        await client.until(lambda: client.responses[call].taken == 600, "the window is full")
        assert output(served) > 39_000
        client.open_window(100_000, call)
        assert (await client.ended(call)).messages == [bytes(40_000)]
        assert client.responses[call].status == "0"
        assert output(served) == 0
        assert len(served.server._state.deadlines) == 0  # type: ignore[union-attr]


async def test_what_a_client_does_not_read_counts_while_it_is_kept_and_no_longer() -> None:
    async with connected(METHODS, initial_window=0) as (served, client):
        calls = [client.call("Large", b"10000") for _ in range(3)]
        await client.settled()
        await eventually(lambda: output(served) > 30_000, "three are kept")
        client.h2.reset_stream(calls[0])
        client.flush()
        await eventually(lambda: output(served) < 21_000, "one is gone")
        await client.close()
        await eventually(lambda: output(served) == 0, "nothing is kept for who has hung up")


async def test_a_client_that_holds_more_than_its_share_loses_its_own_and_others_nothing() -> None:
    async with (
        connected(METHODS, TIGHT, initial_window=0) as (served, hog),
        raw_client(served.port, 0) as other,
    ):
        kept = other.call("Large", b"30000")
        await eventually(lambda: output(served) > 30_000, "the other's is kept")
        calls = [hog.call("Large", b"30000") for _ in range(20)]
        await hog.until(lambda: statuses(hog, calls).count(RESOURCE_EXHAUSTED) == 17, "17 are lost")
        lost = next(hog.responses[call] for call in calls if hog.responses[call].ended)
        text = "at most 100000 bytes of answers that wait to be read for a connection"
        assert lost.trailers["grpc-message"] == text
        assert int(lost.trailers["grpc-retry-pushback-ms"]) > 0
        assert output(served) < 130_100
        other.open_window(40_000, kept)
        assert (await other.ended(kept)).messages == [bytes(30_000)]
        # What is within the share is still there for the one who held too much.
        left = next(call for call in calls if not hog.responses[call].ended)
        hog.open_window(40_000, left)
        assert (await hog.ended(left)).messages == [bytes(30_000)]


async def test_streams_and_handlers_that_wait_for_their_client_are_in_the_same_budget() -> None:
    async with connected(METHODS, TIGHT, initial_window=40_000) as (served, client):
        calls = [client.call("Stay") for _ in range(4)]
        calls += [client.call("Pour", b"50000") for _ in range(20)]
        client.open_window(2_000_000)
        await client.until(
            lambda: statuses(client, calls).count(RESOURCE_EXHAUSTED) >= 8, "some are ended"
        )
        await client.settled()
        lost_ones = [client.responses[call] for call in calls if client.responses[call].ended]
        assert all(int(lost.trailers["grpc-retry-pushback-ms"]) > 0 for lost in lost_ones)
        assert output(served) <= 100_000
        await eventually(lambda: served.calls == 24 - statuses(client, calls).count("8"), "no more")


async def test_behind_a_proxy_the_client_loses_and_not_its_neighbours() -> None:
    proxies = TrustedProxies.parse("127.0.0.1")
    async with (
        serving(METHODS, TIGHT, trusted_proxies=proxies) as served,
        raw_client(served.port, 0) as proxy,
    ):
        ada = (("x-forwarded-for", "192.0.2.1"), ("x-notecast-connection", "1"))
        bob = (("x-forwarded-for", "192.0.2.2"), ("x-notecast-connection", "2"))
        kept = proxy.call("Large", b"60000", *bob)
        await eventually(lambda: output(served) > 60_000, "the neighbour's is kept")
        calls = [proxy.call("Large", b"30000", *ada) for _ in range(10)]
        await proxy.until(lambda: statuses(proxy, calls).count(RESOURCE_EXHAUSTED) == 7, "7 lost")
        assert not proxy.responses[kept].ended
        proxy.open_window(60_005, kept)
        assert (await proxy.ended(kept)).messages == [bytes(60_000)]


async def test_what_is_no_call_is_reset_where_it_is_too_much() -> None:
    options = (("notecast_wire.max_held_output_bytes", 100),)
    async with connected(METHODS, options, initial_window=0) as (served, client):
        headers = [(":method", "GET"), *grpc_headers("Large")[1:]]
        call = client.begin(headers, None)
        assert (await client.ended(call)).reset == 0xB  # ENHANCE_YOUR_CALM
        assert output(served) == 0


async def test_half_messages_of_one_client_leave_others_theirs() -> None:
    options = (("notecast_wire.max_held_request_bytes", 200_000),)
    proxies = TrustedProxies.parse("127.0.0.1")
    async with (
        serving(METHODS, options, trusted_proxies=proxies) as served,
        raw_client(served.port) as proxy,
    ):
        await proxy.settled()
        ada = (("x-forwarded-for", "192.0.2.1"), ("x-notecast-connection", "1"))
        bob = (("x-forwarded-for", "192.0.2.2"), ("x-notecast-connection", "2"))
        half = message(bytes(20_000))[:16_000]
        calls = [proxy.begin(grpc_headers("Large", *ada), half, end=False) for _ in range(10)]
        await proxy.until(lambda: statuses(proxy, calls).count(RESOURCE_EXHAUSTED) == 7, "7 lost")
        refused = next(proxy.responses[call] for call in calls if proxy.responses[call].ended)
        text = "at most 50000 bytes of requests that wait for a connection"
        assert refused.headers["grpc-message"] == text
        assert int(refused.headers["grpc-retry-pushback-ms"]) > 0
        # Another client's request that comes in two parts, on the same connection.
        stream = proxy.begin(grpc_headers("Large", *bob), message(b"7")[:3], end=False)
        await proxy.pinged()
        proxy.h2.send_data(stream, message(b"7")[3:], end_stream=True)
        proxy.flush()
        assert (await proxy.ended(stream)).messages == [bytes(7)]
        assert served.held == 3 * 16_000


async def test_where_all_hold_too_much_who_holds_most_loses() -> None:
    options = (("notecast_wire.max_held_request_bytes", 100_000),)
    proxies = TrustedProxies.parse("127.0.0.1")
    async with (
        serving(METHODS, options, trusted_proxies=proxies) as served,
        raw_client(served.port) as proxy,
    ):
        await proxy.settled()
        calls = []
        for number, size in enumerate((24_000, 23_000, 22_000, 21_000)):
            who = ("x-forwarded-for", f"192.0.2.{number}")
            calls.append(proxy.begin(grpc_headers("Large", who), end=False))
            for _ in range(2):
                proxy.h2.send_data(calls[-1], message(bytes(50_000))[: size // 2])
        proxy.flush()
        await proxy.settled()
        assert served.held == 90_000
        last = proxy.begin(
            grpc_headers("Large", ("x-forwarded-for", "192.0.2.9")),
            message(bytes(50_000))[:12_000],
            end=False,
        )
        await proxy.ended(calls[0])
        assert statuses(proxy, [*calls, last]) == [RESOURCE_EXHAUSTED, None, None, None, None]
