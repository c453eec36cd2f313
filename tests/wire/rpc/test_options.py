"""What a server is made with, and what it refuses."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import grpc
import pytest
from grpc import aio

import notecast_wire
from notecast_wire.rpc.options import _OPTIONS, ServerOptions, read_options


def test_the_defaults_are_those_of_grpc() -> None:
    options = read_options(())
    assert options == ServerOptions()
    assert options.max_receive_message_bytes == 4 * 1024 * 1024
    assert (options.keepalive_time, options.keepalive_timeout) == (7_200, 20)
    assert (options.min_ping_interval, options.max_ping_strikes) == (300, 2)


@pytest.mark.parametrize(
    ("name", "value", "attribute", "meant"),
    [
        ("grpc.max_receive_message_length", 7, "max_receive_message_bytes", 7),
        ("grpc.max_receive_message_length", -1, "max_receive_message_bytes", 2**31 - 1),
        ("grpc.max_send_message_length", 8, "max_send_message_bytes", 8),
        ("grpc.keepalive_time_ms", 1_500, "keepalive_time", 1.5),
        ("grpc.keepalive_time_ms", 2**31 - 1, "keepalive_time", float("inf")),
        ("grpc.keepalive_timeout_ms", 2_500, "keepalive_timeout", 2.5),
        ("grpc.keepalive_permit_without_calls", 1, "keepalive_without_calls", True),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000, "min_ping_interval", 10),
        ("grpc.http2.max_ping_strikes", 5, "max_ping_strikes", 5),
        ("grpc.max_connection_age_ms", 60_000, "max_connection_age", 60),
        ("grpc.max_connection_age_grace_ms", 5_000, "max_connection_age_grace", 5),
        ("grpc.max_connection_idle_ms", 9_000, "max_connection_idle", 9),
        ("grpc.server_handshake_timeout_ms", 3_000, "handshake_timeout", 3),
        ("notecast_wire.read_batching_ms", 6, "read_batching", 0.006),
        ("notecast_wire.request_timeout_ms", 4_500, "request_timeout", 4.5),
        ("notecast_wire.max_held_request_bytes", 99, "max_held_request_bytes", 99),
        ("notecast_wire.max_held_output_bytes", 98, "max_held_output_bytes", 98),
    ],
)
def test_an_option_is_known_by_its_name(
    name: str, value: int, attribute: str, meant: object
) -> None:
    assert getattr(read_options(((name, value),)), attribute) == meant


@pytest.mark.parametrize(
    ("name", "value", "attribute"),
    [
        ("grpc.max_concurrent_streams", 10, "max_concurrent_streams"),
        ("grpc.max_metadata_size", 9_000, "max_header_list_bytes"),
        ("grpc.http2.lookahead_bytes", 100_000, "stream_window_bytes"),
    ],
)
def test_some_options_are_the_connections(name: str, value: int, attribute: str) -> None:
    assert getattr(read_options(((name, value),)).limits, attribute) == value


def test_the_last_of_a_repeated_option_counts() -> None:
    pairs = (("grpc.max_concurrent_streams", 1), ("grpc.max_concurrent_streams", 2))
    assert read_options(pairs).limits.max_concurrent_streams == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("grpc.no_such_option", 1),
        ("grpc.so_reuseport", 1),
        ("grpc.max_receive_message_length", -2),
        ("grpc.max_concurrent_streams", 0),
        ("grpc.keepalive_time_ms", 2**31),
        ("grpc.keepalive_time_ms", "30000"),
        ("grpc.keepalive_time_ms", 0.5),
    ],
)
def test_what_is_unknown_or_out_of_bounds_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        notecast_wire.server(options=((name, value),))


def test_ports_are_not_shared_and_who_says_so_is_understood() -> None:
    assert read_options((("grpc.so_reuseport", 0),)) == ServerOptions()


def test_what_a_server_cannot_do_is_refused_when_it_is_made() -> None:
    with pytest.raises(ValueError, match="Deflate"):
        notecast_wire.server(compression=grpc.Compression.Deflate)
    with pytest.raises(TypeError, match="ServerInterceptor"):
        notecast_wire.server(interceptors=(cast(aio.ServerInterceptor, object()),))
    with ThreadPoolExecutor(1) as pool, pytest.raises(TypeError, match="thread pool"):
        notecast_wire.server(pool)


def test_a_server_is_one_of_grpc_aio() -> None:
    assert isinstance(notecast_wire.server(), aio.Server)


def test_the_readme_names_every_option_and_no_other() -> None:
    text = Path(notecast_wire.__file__).with_name("README.md").read_text()
    _, table = text.split("| option | default |", 1)
    rows = [line.split("|")[1] for line in table.split("\n\n", 1)[0].splitlines() if line]
    assert set(re.findall(r"`(.+?)`", "".join(rows))) == {*_OPTIONS, "grpc.so_reuseport"}
