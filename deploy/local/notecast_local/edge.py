"""Envoy's settings about clients: the host names, pages and proxies that it accepts.

The containers' `start.sh` puts the same values into the same file.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
"""Host names that always lead to this machine, whatever name server answers."""
ANY_HOST: Final = "*"
STREAMS_PER_CONNECTION: Final = 250
"""The value in the configuration: a quarter of what a connection to a gateway carries."""


class Edge(NamedTuple):
    """The settings of Envoy."""

    hosts: tuple[str, ...] = ()
    """Host names that clients may use besides this machine's own; `*`: any."""

    origins: tuple[str, ...] = ()
    """Origins of web pages that may call; empty: pages of this machine."""

    trusted_hops: int = 1
    """The number of proxies between a client and the gateways, Envoy included."""

    streams_per_connection: int = STREAMS_PER_CONNECTION
    """The calls that one connection may have open at a time."""


def put_in(configuration: Any, edge: Edge) -> None:  # noqa: ANN401 - YAML
    """Puts the values into Envoy's configuration, as read from its YAML."""
    manager = _manager(configuration)
    manager["http2_protocol_options"]["max_concurrent_streams"] = edge.streams_per_connection
    manager["xff_num_trusted_hops"] = edge.trusted_hops - 1
    routes = manager["route_config"]
    (host,) = routes["virtual_hosts"]
    host["domains"] = list(_domains(edge.hosts))
    if edge.origins:
        cors = host["typed_per_filter_config"]["envoy.filters.http.cors"]
        cors["allow_origin_string_match"] = [{"exact": origin} for origin in edge.origins]
    if edge.trusted_hops > 1:
        # The connection belongs to another proxy, and does not identify the client.
        (connection,) = routes["request_headers_to_add"]
        connection["header"]["value"] = ""


def _domains(hosts: Sequence[str]) -> Iterator[str]:
    if ANY_HOST in hosts:
        yield ANY_HOST
    else:
        yield from dict.fromkeys((*LOOPBACK_NAMES, *hosts))


def _manager(configuration: Any) -> Any:  # noqa: ANN401 - YAML
    (listener,) = configuration["static_resources"]["listeners"]
    (chain,) = listener["filter_chains"]
    (filter_,) = chain["filters"]
    return filter_["typed_config"]
