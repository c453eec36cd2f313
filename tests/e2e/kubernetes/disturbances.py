"""What an operator does to the cluster while clients chat, and what may be expected of each."""

from collections.abc import Mapping

from tests.chaos.faults import Kind, Site

_SILENCE_SECONDS = 15.0
"""How long a note may stay away: a connection that breaks, a forward that begins anew, and two
busy cores that run a whole cluster beside it."""


def _kind(name: str, *, blocks: bool = False) -> Kind:
    # Every client goes through every Envoy to every gateway: all of them may notice.
    return Kind(name, Site.REDIS, blocks=blocks, silence_seconds=_SILENCE_SECONDS)


SCALED_UP = _kind("gateways-scaled-up")
SCALED_DOWN = _kind("gateways-scaled-down")
ROLLED: Mapping[str, Kind] = {
    name: _kind(f"{name}-rolled") for name in ("history", "chat-gateway", "envoy")
}
DELETED: Mapping[str, Kind] = {
    name: _kind(f"{name}-pod-deleted") for name in ("history", "chat-gateway", "envoy")
}
LOST = _kind("chat-gateway-pod-lost")
REDIS_RESTARTED = _kind("redis-restarted", blocks=True)

ORDERLY = frozenset(
    kind.name
    for kind in (
        *(SCALED_UP, SCALED_DOWN),
        *(ROLLED[name] for name in ("history", "chat-gateway")),
        *(DELETED[name] for name in ("history", "chat-gateway")),
    )
)
"""What no client may notice: its stream is told to go on elsewhere, and no send fails. An Envoy
that ends takes the connections of its clients with it."""

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        *(SCALED_UP, SCALED_DOWN, LOST, REDIS_RESTARTED),
        *ROLLED.values(),
        *DELETED.values(),
    )
}
"""All of them, by name."""
