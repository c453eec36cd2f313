"""TLS with HTTP/2 by ALPN, and who the client is."""

import asyncio
import shutil
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, cast

import grpc
import pytest
from grpc import aio

import notecast_wire
from tests.support.waiting import eventually
from tests.wire.calls.serving import SERVICE, Context, ask, unary_unary


class Pair(NamedTuple):
    """A private key and a certificate that is its own authority, as PEM."""

    key: bytes
    certificate: bytes


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    """Made for these tests; of a server and of a client."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the program openssl")
    return {
        name: make_pair(tmp_path_factory.mktemp(name), name, alternative)
        for name, alternative in (("localhost", True), ("client", False), ("other", True))
    }


def make_pair(folder: Path, name: str, alternative: bool) -> Pair:  # noqa: FBT001
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", f"/O=tests/CN={name}"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    if alternative:
        command += ["-addext", f"subjectAltName=DNS:{name}"]
    subprocess.run(command, check=True, capture_output=True, timeout=20)
    return Pair(key.read_bytes(), certificate.read_bytes())


async def look(_: bytes, context: Context) -> bytes:
    auth = context.auth_context()
    assert auth["transport_security_type"] == (b"ssl",)
    lines = [repr(context.peer_identity_key()), repr(context.peer_identities())]
    lines.append(repr(auth.get("x509_common_name")))
    lines.append(repr(len(auth.get("x509_pem_cert", ()))))
    return "\n".join(lines).encode()


async def secure_server(credentials: ssl.SSLContext) -> tuple[notecast_wire.Server, int]:
    server = notecast_wire.server(options=(("grpc.server_handshake_timeout_ms", 500),))
    server.add_registered_method_handlers(SERVICE, {"Look": unary_unary(look)})
    port = server.add_secure_port("localhost:0", credentials)
    await server.start()
    return server, port


async def look_at_me(port: int, credentials: grpc.ChannelCredentials) -> list[str]:
    async with aio.secure_channel(f"localhost:{port}", credentials) as channel:
        return (await ask(channel, "Look")).decode().split("\n")


async def test_calls_go_through_tls(pairs: dict[str, Pair]) -> None:
    pair = pairs["localhost"]
    server, port = await secure_server(notecast_wire.ssl_server_credentials([pair]))
    answer = await look_at_me(port, grpc.ssl_channel_credentials(pair.certificate))
    assert answer == ["None", "None", "None", "0"]
    await server.stop(None)


async def test_a_client_is_known_by_its_certificate(pairs: dict[str, Pair]) -> None:
    pair = pairs["localhost"]
    roots = pairs["client"].certificate + pairs["other"].certificate
    credentials = notecast_wire.ssl_server_credentials([pair], roots, require_client_auth=True)
    server, port = await secure_server(credentials)
    shown = grpc.ssl_channel_credentials(pair.certificate, *pairs["client"])
    assert await look_at_me(port, shown) == [
        "'x509_common_name'",
        "(b'client',)",
        "(b'client',)",
        "1",
    ]
    shown = grpc.ssl_channel_credentials(pair.certificate, *pairs["other"])
    assert (await look_at_me(port, shown))[:2] == ["'x509_subject_alternative_name'", "(b'other',)"]
    with pytest.raises(aio.AioRpcError):
        await look_at_me(port, grpc.ssl_channel_credentials(pair.certificate))
    await server.stop(None)


async def test_a_client_that_does_not_agree_on_http2_is_hung_up_on(
    pairs: dict[str, Pair],
) -> None:
    pair = pairs["localhost"]
    server, port = await secure_server(notecast_wire.ssl_server_credentials([pair]))
    context = ssl.create_default_context(cadata=pair.certificate.decode())
    reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
    with suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()
    await server.stop(None)


async def test_a_handshake_that_is_not_finished_is_given_up(pairs: dict[str, Pair]) -> None:
    server, port = await secure_server(notecast_wire.ssl_server_credentials([pairs["localhost"]]))
    reader, writer = await asyncio.open_connection("localhost", port)
    with suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()
    await server.stop(None)


async def test_a_graceful_stop_works_through_tls(pairs: dict[str, Pair]) -> None:
    pair = pairs["localhost"]
    server, port = await secure_server(notecast_wire.ssl_server_credentials([pair]))
    credentials = grpc.ssl_channel_credentials(pair.certificate)
    async with aio.secure_channel(f"localhost:{port}", credentials) as channel:
        await ask(channel, "Look")
        await asyncio.wait_for(server.stop(20), 10)
        await eventually(lambda: len(server._connections) == 0, "all have left")


def test_only_old_tls_is_refused(pairs: dict[str, Pair]) -> None:
    context = notecast_wire.ssl_server_credentials([pairs["localhost"]])
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert all(" Mac=AEAD" in cipher["description"] for cipher in context.get_ciphers())


def test_credentials_that_cannot_work_are_refused(pairs: dict[str, Pair]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        notecast_wire.ssl_server_credentials([])
    with pytest.raises(ValueError, match="root"):
        notecast_wire.ssl_server_credentials([pairs["localhost"]], require_client_auth=True)
    mixed = (pairs["client"].key, pairs["localhost"].certificate)
    with pytest.raises(ssl.SSLError):
        notecast_wire.ssl_server_credentials([mixed])
    with pytest.raises(TypeError, match="notecast_wire"):
        notecast_wire.server().add_secure_port(
            "localhost:0",
            cast(ssl.SSLContext, grpc.ssl_server_credentials([pairs["localhost"]])),
        )
