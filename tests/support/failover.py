"""A primary and its replica, behind one address that a failover turns to the other."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.chaos.proxy import Proxy
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually


class Pair:
    """What a name that always leads to the primary stands for.

    Attributes:
        primary: where new connections lead.
        replica: the other one.
    """

    def __init__(self, primary: ValkeyProcess, replica: ValkeyProcess, proxy: Proxy) -> None:
        self.primary, self.replica = primary, replica
        self._proxy = proxy

    @property
    def url(self) -> str:
        """As in NOTECAST_REDIS_URL."""
        return self._proxy.redis_url

    def promote_replica(self, *, address_follows: bool = True, demotes: bool = True) -> None:
        """Swaps the two, with every connection left as it is.

        Args:
            address_follows: whether new connections lead to the new primary at once.
            demotes: whether the old one learns of it; else it goes on by itself.
        """
        with self.primary.client() as old, self.replica.client() as new:
            new.replicaof("NO", "ONE")
            if demotes:
                old.replicaof("127.0.0.1", self.replica.port)
        self.primary, self.replica = self.replica, self.primary
        if address_follows:
            self.turn_address()

    def turn_address(self) -> None:
        """From now on new connections lead to the primary."""
        self._proxy.lead_to(self.primary.port)


@asynccontextmanager
async def replicated(folder: Path) -> AsyncIterator[Pair]:
    """Both are up, and the replica has all that the primary has."""
    with ValkeyProcess(folder / "one") as one, ValkeyProcess(folder / "two") as two:
        async with Proxy(one.port) as proxy:
            with two.client() as redis:
                redis.replicaof("127.0.0.1", one.port)
                await eventually(
                    lambda: redis.info("replication")["master_link_status"] == "up", "replicated"
                )
            yield Pair(one, two, proxy)
