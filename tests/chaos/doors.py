"""The ways of clients to the gateways."""

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING

from grpc import aio

from notecast.v1.chat_pb2_grpc import ChatServiceStub

if TYPE_CHECKING:
    from notecast.v1.chat_pb2_grpc import ChatServiceAsyncStub

_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    # Else channels to one address share one connection.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 500),
)


class Doors:
    """Connections to every gateway, shared by several clients of this process.

    Args:
        ports: on 127.0.0.1, by the gateways' names.
        connections: to each gateway.
    """

    def __init__(self, ports: Mapping[str, int], connections: int) -> None:
        self._names = tuple(ports)
        self._channels = {
            name: [
                aio.insecure_channel(f"127.0.0.1:{port}", options=_OPTIONS)
                for _ in range(connections)
            ]
            for name, port in ports.items()
        }
        self._stubs: dict[str, list[ChatServiceAsyncStub]] = {
            name: [ChatServiceStub(channel) for channel in channels]
            for name, channels in self._channels.items()
        }

    def choose(self, dice: random.Random, last: str) -> str:
        """A gateway; another one than the last, where there is one."""
        others = [name for name in self._names if name != last]
        return dice.choice(others or self._names)

    def stub(self, gateway: str, client: int) -> "ChatServiceAsyncStub":
        """The way of a client, by its number, to a gateway."""
        stubs = self._stubs[gateway]
        return stubs[client % len(stubs)]

    async def close(self) -> None:
        """Ends all connections."""
        for channels in self._channels.values():
            for channel in channels:
                await channel.close()
