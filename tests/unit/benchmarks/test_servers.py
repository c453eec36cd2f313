import pytest

from benchmarks.errors import UsageError
from benchmarks.servers import Server, read_peers


def test_peers_are_read_with_and_without_their_processes() -> None:
    assert read_peers(" other=127.0.0.1:9000@12+13 , old=localhost:9001,six=[::1]:9002") == (
        Server("other", ("127.0.0.1:9000",), {"server": (12, 13)}),
        Server("old", ("localhost:9001",), {}),
        Server("six", ("[::1]:9002",), {}),
    )
    assert read_peers("") == ()


@pytest.mark.parametrize("text", ["127.0.0.1:9000", "a=9000", "a=127.0.0.1:x", "a=127.0.0.1:1@x"])
def test_a_peer_that_cannot_be_read_is_named(text: str) -> None:
    with pytest.raises(UsageError, match="a peer is name=host:port"):
        read_peers(text)


@pytest.mark.parametrize("host", ["192.0.2.1", "example.org", "[2001:db8::1]"])
def test_no_other_machine_is_put_under_load(host: str) -> None:
    with pytest.raises(UsageError, match="not this machine's loopback"):
        read_peers(f"a={host}:9000")


def test_a_peer_does_not_take_the_name_of_a_server_of_ours() -> None:
    with pytest.raises(UsageError, match="hub is the name of a server here"):
        read_peers("hub=127.0.0.1:9000")
