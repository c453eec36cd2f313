"""Makes Envoy's configuration for local processes: that of the containers, with other addresses."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from notecast_local.edge import Edge, put_in
from notecast_local.ports import StackPorts, proxy_address
from notecast_local.settings import HOST

CONFIGURATION = Path(__file__).with_name("envoy.yaml").resolve()
"""The containers' configuration; a link in the repository, a file when installed."""


LOG_LIMIT = CONFIGURATION.with_name("access_log_limit.yaml")
"""Bounds how much Envoy logs. Envoy reads this file itself."""


def render(text: str, ports: StackPorts, edge: Edge = Edge()) -> str:  # noqa: B008 - immutable
    """Puts local addresses and settings into a configuration; changes nothing else.

    Args:
        text: the YAML of `CONFIGURATION`.
        ports: the ports of Envoy and of the gateways.
        edge: the settings. By default, Envoy only accepts this machine's host names.

    Returns:
        The YAML to start Envoy with.
    """
    configuration: Any = yaml.safe_load(text)
    (listener,) = configuration["static_resources"]["listeners"]
    (tutorial,) = listener["additional_addresses"]
    (cluster,) = configuration["static_resources"]["clusters"]
    (endpoints,) = cluster["load_assignment"]["endpoints"]
    configuration["admin"]["address"] = _address(ports.envoy_admin)
    listener["address"] = _address(ports.clients)
    tutorial["address"] = _address(ports.tutorial)
    endpoints["lb_endpoints"] = _endpoints(ports.gateways)
    # This address tells gateways Envoy from clients that connect to them directly.
    source = {"address": proxy_address(), "port_value": 0}
    cluster["upstream_bind_config"] = {"source_address": source}
    put_in(configuration, edge)
    log_limit_source(configuration)["path"] = str(LOG_LIMIT)
    rendered: str = yaml.safe_dump(configuration, sort_keys=False)
    return rendered


def log_limit_source(configuration: Any) -> dict[str, Any]:  # noqa: ANN401 - YAML
    """Finds the part of a configuration that bounds how much Envoy logs."""
    (listener,) = configuration["static_resources"]["listeners"]
    (chain,) = listener["filter_chains"]
    (manager,) = chain["filters"]
    (log,) = manager["typed_config"]["access_log"]
    failed, _ = log["filter"]["or_filter"]["filters"]
    _, limit = failed["and_filter"]["filters"]
    typed = limit["extension_filter"]["typed_config"]
    source: dict[str, Any] = typed["dynamic_config"]["config_source"]["path_config_source"]
    return source


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": HOST, "port_value": port}}


def _endpoints(ports: Sequence[int]) -> list[dict[str, Any]]:
    return [{"endpoint": {"address": _address(port)}} for port in ports]
