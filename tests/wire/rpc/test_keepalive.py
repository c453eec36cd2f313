"""Keepalive, age and idleness: the rules, and what clients see of them."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notecast_wire.rpc.keepalive import Due, Keepalive
from notecast_wire.rpc.options import ServerOptions
from tests.support.waiting import eventually
from tests.wire.calls.raw_client import connected, raw_client
from tests.wire.calls.serving import Context, Served, echo, serving, unary_stream, unary_unary


async def subscribe(_: bytes, context: Context) -> None:
    context.detach()


def keepalive(options: ServerOptions) -> Keepalive:
    made = Keepalive(options, 0.0)
    made.settle()
    return made


def test_a_client_that_never_says_hello_is_given_up() -> None:
    made = Keepalive(ServerOptions(handshake_timeout=5), 0.0)
    assert made.next_check() == 5
    assert made.check(4.9, calls=0, taken=0) is Due.NOTHING
    assert made.check(5.0, calls=0, taken=0) is Due.END


def test_silence_is_answered_with_a_ping_and_no_answer_with_the_end() -> None:
    made = keepalive(ServerOptions(keepalive_time=10, keepalive_timeout=3))
    made.received(4)
    assert made.next_check() == 14
    assert made.check(14, calls=1, taken=1) is Due.PING
    assert made.next_check() == 17
    assert made.check(16, calls=1, taken=1) is Due.NOTHING
    assert made.check(17, calls=1, taken=1) is Due.END


def test_any_sign_of_life_answers_a_ping() -> None:
    made = keepalive(ServerOptions(keepalive_time=10, keepalive_timeout=3))
    assert made.check(10, calls=1, taken=1) is Due.PING
    made.received(12)
    assert made.check(13, calls=1, taken=1) is Due.NOTHING
    assert made.next_check() == 22


def test_a_connection_without_calls_is_pinged_only_where_that_is_wanted() -> None:
    assert keepalive(ServerOptions(keepalive_time=10)).check(10, calls=0, taken=0) is Due.NOTHING
    wanted = keepalive(ServerOptions(keepalive_time=10, keepalive_without_calls=True))
    assert wanted.check(10, calls=0, taken=0) is Due.PING


def test_two_pings_too_many_are_forgiven_and_the_third_is_not() -> None:
    made = keepalive(ServerOptions(min_ping_interval=10))
    assert [made.pinged(now, calls=True) for now in (0, 5, 9, 12)] == [False, False, False, True]


def test_pings_at_their_pace_are_never_too_many() -> None:
    made = keepalive(ServerOptions(min_ping_interval=10))
    assert not any(made.pinged(now * 10.0, calls=True) for now in range(100))


def test_what_is_sent_earns_pings() -> None:
    made = keepalive(ServerOptions(min_ping_interval=10))
    for now in range(100):
        made.sent()
        assert not made.pinged(float(now), calls=True)


def test_without_a_call_a_client_pings_every_two_hours_unless_it_is_permitted() -> None:
    strict = keepalive(ServerOptions(min_ping_interval=10))
    assert [strict.pinged(now, calls=False) for now in (0, 60, 120, 180)][-1]
    permitted = keepalive(ServerOptions(min_ping_interval=10, keepalive_without_calls=True))
    assert not any(permitted.pinged(now * 60.0, calls=False) for now in range(100))


def test_an_old_connection_is_left_and_ended_after_its_grace() -> None:
    made = keepalive(ServerOptions(max_connection_age=100, max_connection_age_grace=7))
    at = made.next_check()
    assert 90 <= at <= 110
    assert made.check(at, calls=1, taken=1) is Due.LEAVE
    assert made.next_check() == at + 7
    assert made.check(at + 7, calls=1, taken=1) is Due.END


def test_ages_are_spread() -> None:
    options = ServerOptions(max_connection_age=100)
    ages = [options.jittered_age() for _ in range(200)]
    assert min(ages) < 95
    assert max(ages) > 105


def test_an_idle_connection_is_left_and_a_busy_one_is_not() -> None:
    made = keepalive(ServerOptions(max_connection_idle=10))
    assert made.check(9, calls=0, taken=0) is Due.NOTHING
    assert made.check(10, calls=1, taken=1) is Due.NOTHING
    assert made.check(20, calls=0, taken=2) is Due.NOTHING  # a call came and went since
    assert made.check(29, calls=0, taken=2) is Due.NOTHING
    assert made.check(30, calls=0, taken=2) is Due.LEAVE


@given(
    st.lists(st.tuples(st.floats(0.01, 50), st.integers(0, 1), st.booleans()), max_size=50),
    st.integers(0, 1),
)
def test_checks_come_to_rest(steps: list[tuple[float, int, bool]], permitted: int) -> None:
    options = ServerOptions(
        keepalive_time=7,
        keepalive_timeout=3,
        keepalive_without_calls=bool(permitted),
        max_connection_idle=20,
        max_connection_age=100,
        max_connection_age_grace=30,
    )
    made, now = Keepalive(options, 0.0), 0.0
    made.settle()
    for late, calls, heard in steps:
        now = max(now, made.next_check()) + late
        if heard:
            made.received(now)
        # At most one thing each: the end, a farewell and a PING.
        for _ in range(3):
            if made.check(now, calls=calls, taken=0) is Due.END:
                return
        assert made.next_check() > now


async def test_a_silent_client_is_pinged_and_one_that_answers_stays() -> None:
    options = (("grpc.keepalive_time_ms", 20), ("grpc.keepalive_timeout_ms", 60_000))
    async with connected({"Subscribe": unary_stream(subscribe)}, options) as (served, client):
        client.call("Subscribe")
        await eventually(lambda: served.calls == 1, "it is subscribed")
        # h2 answers PINGs by itself; each of ours follows such an answer.
        await eventually(lambda: pings(served) > 3, "several PINGs")
        assert served.calls == 1


async def test_a_dead_client_is_noticed_and_its_streams_end() -> None:
    options = (("grpc.keepalive_time_ms", 50), ("grpc.keepalive_timeout_ms", 50))
    async with connected({"Subscribe": unary_stream(subscribe)}, options) as (served, client):
        client.call("Subscribe")
        await eventually(lambda: served.calls == 1, "it is subscribed")
        client.fall_silent()
        await eventually(lambda: served.calls == 0, "its stream has ended")
        await eventually(lambda: len(served.connections) == 0, "the connection is gone", 20)


async def test_a_client_that_says_nothing_at_all_is_hung_up_on() -> None:
    options = (("grpc.server_handshake_timeout_ms", 50),)
    async with serving({"Echo": unary_unary(echo)}, options) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        await asyncio.wait_for(reader.read(), 10)
        writer.close()
        # A client that has said hello may stay.
        async with raw_client(served.port) as client:
            await client.settled()
            await asyncio.sleep(0.1)
            response = await client.ended(client.call("Echo", b"still here"))
            assert response.messages == [b"still here"]


async def test_a_client_that_pings_too_often_is_sent_away_with_gRPCs_words() -> None:  # noqa: N802
    options = (("grpc.http2.max_ping_strikes", 2),)
    async with connected({"Subscribe": unary_stream(subscribe)}, options) as (served, client):
        client.call("Subscribe")
        await eventually(lambda: served.calls == 1, "it is subscribed")
        for _ in range(5):
            client.h2.ping(b"too many")
        client.flush()
        await client.until(lambda: client.goaways, "a GOAWAY")
        assert client.goaways[0].error_code == 11
        assert client.goaways[0].debug == b"too_many_pings"
        await client.until(lambda: client.closed, "the connection is closed")
        await eventually(lambda: served.calls == 0, "its stream has ended")


async def test_a_client_that_gets_answers_may_ping() -> None:
    options = (("grpc.http2.max_ping_strikes", 2),)
    async with connected({"Echo": unary_unary(echo)}, options) as (_, client):
        for number in range(10):
            response = await client.ended(client.call("Echo", b"%d" % number))
            assert response.messages == [b"%d" % number]
            await client.pinged()
        assert not client.goaways


@pytest.mark.parametrize(
    "options",
    [
        (("grpc.max_connection_age_ms", 50), ("grpc.max_connection_age_grace_ms", 5_000)),
        (("grpc.max_connection_idle_ms", 50),),
    ],
    ids=["age", "idleness"],
)
async def test_a_connection_without_calls_ends_by(options: tuple[tuple[str, int], ...]) -> None:
    async with serving({"Echo": unary_unary(echo)}, options) as served:
        async with raw_client(served.port) as client:
            await client.ended(client.call("Echo", b"hello"))
            await client.until(lambda: client.closed, "the connection is closed")
            assert [goaway.error_code for goaway in client.goaways] == [0, 0]
        # Another one is served as before.
        assert await served.unary("Echo", b"again") == b"again"


async def test_an_old_connection_has_its_grace_and_its_streams_end_with_it() -> None:
    options = (("grpc.max_connection_age_ms", 20), ("grpc.max_connection_age_grace_ms", 100))
    async with connected({"Subscribe": unary_stream(subscribe)}, options) as (_, client):
        stream = client.call("Subscribe")
        await client.until(lambda: len(client.goaways) == 2, "it is asked to leave")
        assert not client.responses[stream].ended
        response = await client.ended(stream)
        assert response.status == "14"
        await client.until(lambda: client.closed, "the connection is closed")


def pings(served: Served) -> int:
    """How many PINGs the server has sent on its one connection."""
    (link,) = served.connections
    count: int = link.connection._pings
    return count


def test_a_client_is_settled_once_its_settings_have_come() -> None:
    made = Keepalive(ServerOptions(), 0.0)
    assert not made.settled
    made.settle()
    assert made.settled
