"""What the Redis URL says holds for the bare connections as for redis-py's."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from notecast_runtime.redis.client import connect
from notecast_runtime.redis.connection import Command, RedisConnection, pack
from notecast_runtime.redis.connector import RedisConnector
from notecast_runtime.redis.epoch_guard import EpochGuard
from tests.support import tls
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually


def connector(url: str, timeout_seconds: float = 5) -> RedisConnector:
    return RedisConnector(url, EpochGuard(), timeout_seconds)


async def ask(url: str, *command: str) -> object:
    async with connector(url).connected() as connection:
        (answer,) = await connection.ask([command])
        return answer


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def forwarding_to(port: int) -> Handler:
    """Connects whoever comes with a port, until either side ends."""

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            target.write(data)
        target.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(copy(reader, upstream_writer), copy(upstream_reader, writer))
        finally:
            upstream_writer.close()

    return forward


async def answer_hello_with_an_error(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await reader.readuntil(b"HELLO\r\n")
    writer.write(b"-ERR unknown command 'HELLO'\r\n")
    await reader.read()


async def say_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


@asynccontextmanager
async def serving(handler: Handler, path: Path | None = None, **options: Any) -> AsyncIterator[int]:  # noqa: ANN401
    """A server on a free port, or on a socket at a path; gives the port."""
    at_work: set[asyncio.Task[None] | None] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        at_work.add(asyncio.current_task())
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await handler(reader, writer)
        writer.close()

    if path is None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0, **options)
    else:
        server = await asyncio.start_unix_server(handle, path)
    try:
        yield 0 if path else server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in filter(None, at_work):
            task.cancel()
        await asyncio.gather(*filter(None, at_work), return_exceptions=True)
        await asyncio.sleep(0)  # for the transports to close


@pytest.mark.parametrize(
    ("credentials", "user"), [("ann:s%40cret", b"ann"), (":w%3Ard", b"default")]
)
async def test_the_url_s_credentials_are_presented(
    valkey: ValkeyProcess, credentials: str, user: bytes
) -> None:
    with valkey.client() as redis:
        redis.acl_setuser(
            "ann", enabled=True, passwords=["+s@cret"], keys=["*"], commands=["+@all"]
        )
        redis.config_set("requirepass", "w:rd")
    assert await ask(f"redis://{credentials}@127.0.0.1:{valkey.port}", "ACL", "WHOAMI") == user


@pytest.mark.parametrize("credentials", ["", ":wrong@", "nobody:word@"])
async def test_wrong_and_missing_credentials_are_an_error_of_their_own(
    valkey: ValkeyProcess, credentials: str
) -> None:
    with valkey.client() as redis:
        redis.config_set("requirepass", "word")
    with pytest.raises(AuthenticationError):
        await ask(f"redis://{credentials}127.0.0.1:{valkey.port}", "PING")


async def test_the_url_s_database_and_client_name_are_used(valkey: ValkeyProcess) -> None:
    url = f"redis://127.0.0.1:{valkey.port}/3?client_name=gateway-1"
    told = await ask(url, "CLIENT", "INFO")
    assert isinstance(told, bytes)
    fields = dict(part.split(b"=", 1) for part in told.split())
    assert (fields[b"db"], fields[b"name"], fields[b"resp"]) == (b"3", b"gateway-1", b"3")


async def test_a_database_that_is_not_there_is_an_error(valkey: ValkeyProcess) -> None:
    with pytest.raises(RedisConnectionError, match="database 99"):
        await ask(f"redis://127.0.0.1:{valkey.port}/99", "PING")


async def test_tls_is_checked_against_the_url_s_authority(valkey: ValkeyProcess) -> None:
    async with serving(forwarding_to(valkey.port), ssl=tls.server_context()) as port:
        url = f"rediss://localhost:{port}"
        assert await ask(f"{url}?ssl_ca_certs={tls.CERTIFICATE}", "PING") == b"PONG"
        assert await ask(f"{url}?ssl_cert_reqs=none", "PING") == b"PONG"
        with pytest.raises(ssl.SSLCertVerificationError):
            await ask(url, "PING")


async def test_an_authority_s_file_that_is_missing_is_an_error_like_no_way_to_redis(
    valkey: ValkeyProcess,
) -> None:
    with pytest.raises(OSError, match="No such file"):
        await ask(f"rediss://localhost:{valkey.port}?ssl_ca_certs=/nowhere/ca.crt", "PING")


async def test_a_socket_s_path_leads_to_redis_too(valkey: ValkeyProcess, tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    async with serving(forwarding_to(valkey.port), path):
        assert await ask(f"unix://{path}?db=2", "PING") == b"PONG"


async def test_all_these_ways_lead_to_redis_on_uvloop_too(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    path = tmp_path / "redis.sock"
    forward = forwarding_to(valkey.port)
    async with serving(forward, ssl=tls.server_context()) as port, serving(forward, path):
        for url in (
            valkey.url,
            f"unix://{path}",
            f"rediss://localhost:{port}?ssl_ca_certs={tls.CERTIFICATE}",
        ):
            assert await asyncio.to_thread(uvloop.run, ask(url, "PING")) == b"PONG"


async def test_the_socket_is_kept_alive(valkey: ValkeyProcess) -> None:
    async with connector(valkey.url).connected() as connection:
        link = socket_of(connection)
        assert link.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert link.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
    async with connector(f"{valkey.url}?socket_keepalive=no").connected() as connection:
        assert not socket_of(connection).getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def socket_of(connection: RedisConnection) -> socket.socket:
    assert connection._transport is not None
    link: socket.socket = connection._transport.get_extra_info("socket")
    return link


async def test_a_server_that_does_not_speak_resp3_is_named_as_such() -> None:
    async with serving(answer_hello_with_an_error) as port:
        with pytest.raises(RedisConnectionError, match="RESP3 is needed"):
            await ask(f"redis://127.0.0.1:{port}", "PING")


async def repeat_what_was_sent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As Redis does with a command that it does not know."""
    while sent := (await reader.read(1_000)).split(b"\r\n")[2::2]:
        name, arguments = sent[0], b" ".join(b"'%s'" % word for word in sent[1:])
        writer.write(
            b"-ERR unknown command '%s', with args beginning with: %s\r\n" % (name, arguments)
        )


async def test_a_server_that_repeats_the_password_has_it_told_to_nobody() -> None:
    async with serving(repeat_what_was_sent) as port:
        url = f"redis://ann:hunter2@127.0.0.1:{port}"
        with pytest.raises(RedisConnectionError, match="unknown command 'HELLO'") as bare:
            await ask(url, "PING")
        client = connect(url, EpochGuard(), 5)
        with pytest.raises(RedisConnectionError, match="unknown command 'AUTH'") as pooled:
            await client.ping()
        await client.aclose()
        for error in (bare.value, pooled.value):
            assert "hunter2" not in str(error)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://ann:secret@store.example:6380/2", "store.example:6380"),
        ("rediss://store.example", "store.example:6379"),
        ("unix:///run/redis.sock?db=1", "/run/redis.sock"),
    ],
)
def test_people_are_told_where_redis_is_and_no_secrets(url: str, address: str) -> None:
    assert connector(url).address == address


async def test_nobody_there_is_an_error_at_once(valkey: ValkeyProcess) -> None:
    valkey.stop()
    with pytest.raises(OSError):  # noqa: PT011 - whichever the system gives
        await ask(valkey.url, "PING")


async def test_opening_is_over_within_its_time_whoever_is_silent(valkey: ValkeyProcess) -> None:
    async with AsyncExitStack() as stack:
        mute = await stack.enter_async_context(serving(say_nothing))
        valkey.pause()
        for url in (f"redis://127.0.0.1:{mute}", f"rediss://127.0.0.1:{mute}", valkey.url):
            async with asyncio.timeout(5):
                with pytest.raises(RedisTimeoutError):
                    await connector(url, timeout_seconds=0.1).open()


async def test_what_the_guard_can_not_check_yet_is_no_connection(valkey: ValkeyProcess) -> None:
    """As while Redis loads its data, or is out of memory."""
    with valkey.client() as redis:
        redis.acl_setuser("ann", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-info"])
    with pytest.raises(RedisConnectionError, match="epoch"):
        await ask(f"redis://ann:any@127.0.0.1:{valkey.port}", "PING")


async def test_an_opening_that_is_cancelled_leaves_no_connection(valkey: ValkeyProcess) -> None:
    with valkey.client() as redis:
        before = len(redis.client_list())
        for turns in range(60):
            opening = asyncio.create_task(connector(valkey.url).open())
            for _ in range(turns):
                await asyncio.sleep(0)
            opening.cancel()
            (outcome,) = await asyncio.gather(opening, return_exceptions=True)
            if isinstance(outcome, RedisConnection):
                await outcome.aclose()
        await eventually(lambda: len(redis.client_list()) == before, "all are closed")


async def test_commands_and_messages_share_a_connection(valkey: ValkeyProcess) -> None:
    heard: list[list[object]] = []
    subscribed = asyncio.Event()

    def hear(push: list[object]) -> None:
        heard.append(push)
        subscribed.set()

    commands: list[Command] = [("PUBLISH", "c", "one"), ("ECHO", "two"), ("PUBLISH", "c", "three")]
    async with connector(valkey.url).connected(on_push=hear) as connection:
        assert await connection.ask([("GET", "nothing")]) == [None]
        connection.send(pack(("SUBSCRIBE", "c")), ())
        async with asyncio.timeout(5):
            await subscribed.wait()
        assert await connection.ask(commands) == [1, b"two", 1]
    assert heard[1:] == [[b"message", b"c", b"one"], [b"message", b"c", b"three"]]
