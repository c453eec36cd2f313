import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from notecast_local.errors import PortTakenError
from notecast_local.ports import choose_ports
from notecast_local.settings import LocalSettings
from tests.support.ports import free_port


@contextmanager
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def free_settings(**changes: int) -> LocalSettings:
    ports = {"port": free_port(), "tutorial_port": free_port()} | changes
    return LocalSettings.model_validate(ports)


@pytest.mark.parametrize(
    ("setting", "purpose", "variable"),
    [
        ("port", "for clients", "NOTECAST_PORT"),
        ("tutorial_port", "for clients of the tutorial", "NOTECAST_TUTORIAL_PORT"),
    ],
)
def test_a_taken_port_is_named_with_its_purpose_and_the_variable_that_changes_it(
    setting: str, purpose: str, variable: str
) -> None:
    with listening() as taken, pytest.raises(PortTakenError) as refused:
        choose_ports(free_settings(**{setting: taken}))
    said = str(refused.value)
    assert f"port {taken} ({purpose}) is not free: another program listens there" in said
    assert f"{variable}=" in said


def test_a_port_is_free_though_connections_of_before_linger_on_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = listener.accept()
            accepted.close()  # the server's side closes first, so it is the one that lingers
            assert client.recv(1) == b""
    assert choose_ports(free_settings(port=port)).clients == port


def test_no_two_parts_get_the_same_port() -> None:
    ports = choose_ports(free_settings(gateways=5))
    everything = [
        *(ports.clients, ports.tutorial, ports.envoy_admin, ports.valkey, ports.history),
        *ports.gateways,
    ]
    assert len(set(everything)) == 10


def test_gateways_pass_over_ports_that_are_taken() -> None:
    first = choose_ports(free_settings()).gateways[0]
    with socket.create_server(("127.0.0.1", first)):
        assert first not in choose_ports(free_settings()).gateways
