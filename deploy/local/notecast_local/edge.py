"""Envoy's settings about clients: which names, pages and proxies it believes.

The containers' `start.sh` puts the same values at the same places of the same file.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
"""Host names that lead nowhere but to this machine, whoever answers for names."""
ANY_HOST: Final = "*"
STREAMS_PER_CONNECTION: Final = 250
"""As the configuration has it: a quarter of what a connection to a gateway carries."""


class Edge(NamedTuple):
    """The settings of Envoy."""

    hosts: tuple[str, ...] = ()
    """Names that clients may ask for beside this machine's own; `*` for any."""

    origins: tuple[str, ...] = ()
    """Origins of web pages that may call; none: pages of this machine."""

    trusted_hops: int = 1
    """The proxies on a client's way, Envoy included."""

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
        # The connection is another proxy's, and says nothing of the client.
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
