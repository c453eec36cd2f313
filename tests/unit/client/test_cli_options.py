"""What the words of the command line may be."""

import pytest
import typer

from notecast_client.cli_options import labels, server_address


@pytest.mark.parametrize(
    "text", ["localhost:8080", "chat.example.org:443", "127.0.0.1:1", "[::1]:65535"]
)
def test_a_server_is_a_host_and_a_port(text: str) -> None:
    assert server_address(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "localhost", ":80", "a:", "a:b", "a:0", "a:65536", "::1:80", "http://a:80", "a b:1"],
)
def test_any_other_server_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="HOST:PORT"):
        server_address(text)


def test_a_label_is_a_key_and_a_value_which_may_hold_more_equals_signs() -> None:
    assert labels(["a=1", "b=x=y", "c=", "a=2"]) == {"a": "2", "b": "x=y", "c": ""}


@pytest.mark.parametrize("pair", ["", "a", "=1"])
def test_any_other_label_is_refused(pair: str) -> None:
    with pytest.raises(typer.BadParameter, match="KEY=VALUE"):
        labels([pair])
