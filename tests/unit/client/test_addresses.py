import pytest

from notecast_client.addresses import is_local


@pytest.mark.parametrize(
    "target",
    [
        "localhost:8080",
        "LOCALHOST.:8080",
        "127.0.0.1:8080",
        "127.9.9.9:1",
        "[::1]:8080",
        "dns:///localhost:8080",
        "dns:localhost:8080",
        "ipv4:127.0.0.1:8080,127.0.0.2:8080",
        "ipv6:[::1]:8080",
        "unix:/run/notecast.sock",
        "unix:///run/notecast.sock",
        "unix-abstract:notecast",
    ],
)
def test_this_machine_is_known_however_it_is_written(target: str) -> None:
    assert is_local(target)


@pytest.mark.parametrize(
    "target",
    [
        "chat.example.org:8080",
        "localhost.example.org:8080",
        "192.0.2.1:8080",
        "[2001:db8::1]:8080",
        "dns:///chat.example.org:8080",
        "ipv4:127.0.0.1:8080,192.0.2.1:8080",
        "dns:8080",
    ],
)
def test_another_machine_is_no_loopback(target: str) -> None:
    assert not is_local(target)
