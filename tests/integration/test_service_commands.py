"""What a service says to someone who starts it by hand, and starts it wrongly."""

import json
import os
import socket
import subprocess
import sys

import pytest

from chat_gateway.settings import GatewaySettings
from history.settings import HistorySettings
from notecast_runtime.settings import ServiceSettings, variable_of

SERVICES: dict[str, type[ServiceSettings]] = {
    "chat_gateway": GatewaySettings,
    "history": HistorySettings,
}
each_service = pytest.mark.parametrize("package", SERVICES)


def run(package: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", package, *arguments],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@each_service
def test_help_lists_every_variable_with_its_default_and_serves_nothing(package: str) -> None:
    ended = run(package, "--help")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(f"usage: {package.replace('_', '-')}")
    for name, field in SERVICES[package].model_fields.items():
        assert f"{variable_of(name)}={field.default}\n" in ended.stdout


@each_service
def test_an_argument_is_refused_and_not_passed_over(package: str) -> None:
    ended = run(package, "--listen-port", "0")
    assert ended.returncode == 2, ended.stderr
    assert "--listen-port" in ended.stderr
    assert "--help" in ended.stderr


@each_service
def test_a_port_that_is_taken_is_named_with_the_variables_that_choose_another(package: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run(
            package,
            NOTECAST_LISTEN_HOST="127.0.0.1",
            NOTECAST_LISTEN_PORT=str(port),
        )
    assert ended.returncode == 1
    said = _line_of("cannot_listen", ended.stdout + ended.stderr)
    assert said["address"] == f"127.0.0.1:{port}"
    assert "NOTECAST_LISTEN_PORT" in said["hint"]
    assert "in use" in said["error"]


@each_service
def test_a_host_that_is_no_address_of_this_machine_is_not_called_taken(package: str) -> None:
    ended = run(package, NOTECAST_LISTEN_HOST="192.0.2.1", NOTECAST_LISTEN_PORT="0")
    assert ended.returncode == 1
    said = _line_of("cannot_listen", ended.stdout + ended.stderr)
    assert "assign requested address" in said["error"]
    assert "NOTECAST_LISTEN_HOST" in said["hint"]


def _line_of(event: str, output: str) -> dict[str, str]:
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    found: dict[str, str]
    (found,) = [line for line in lines if line["event"] == event]
    return found
