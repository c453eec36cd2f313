"""The client that a gateway calls for, said and understood."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notecast_runtime.client_metadata import MAX_BYTES, client_behind, client_metadata
from notecast_wire.fairness.clients import ClientId, TrustedProxies

GATEWAY = ClientId("10.0.0.2", "43210")


class Call:
    """A call's context, of which only the metadata are asked for."""

    def __init__(self, metadata: object) -> None:
        self._metadata = metadata

    def invocation_metadata(self) -> object:
        return self._metadata


def understood(metadata: object) -> ClientId:
    call: Any = Call(metadata)
    return client_behind(lambda _: GATEWAY)(call)


@given(st.text(min_size=1, max_size=20), st.text(max_size=20))
def test_a_client_is_understood_as_it_was_said(address: str, connection: str) -> None:
    client = ClientId(address, connection)
    assert understood(client_metadata(client)) == client


@given(st.text(max_size=64), st.text(max_size=64))
def test_what_is_said_may_stand_in_a_header(address: str, connection: str) -> None:
    ((name, value),) = client_metadata(ClientId(address, connection))
    assert name.islower()
    assert all("!" <= character <= "~" for character in value)


@pytest.mark.parametrize(
    ("client", "value"),
    [
        (ClientId("192.0.2.1", "43210"), "192.0.2.1;43210"),
        (ClientId("2001:db8::/64", "10.0.0.7/42"), "2001:db8::/64;10.0.0.7/42"),
        (ClientId("unix", ""), "unix;"),
    ],
)
def test_the_usual_ones_can_be_read(client: ClientId, value: str) -> None:
    assert client_metadata(client) == (("x-notecast-client", value),)


def test_the_longest_that_a_proxy_can_say_is_within_the_bound() -> None:
    peer = TrustedProxies.parse("2001:db8::/32").peer("2001:db8:1111:2222:3333:4444:5555:6666", "1")
    client = peer.client_of(
        [
            (b"x-forwarded-for", b"2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff"),
            (b"x-notecast-connection", b"\xff" * 64),
        ]
    )
    ((_, value),) = client_metadata(client)
    assert 400 < len(value) <= MAX_BYTES
    assert understood(((_, value),)) == client


@pytest.mark.parametrize("metadata", [None, (), (("x-notecast-other", "192.0.2.1;1"),)])
def test_where_nothing_is_said_it_is_the_gateway_on_any_of_its_connections(
    metadata: object,
) -> None:
    assert understood(metadata) == ClientId(GATEWAY.address, "")
