"""Does to the system what the schedule says, and writes down what was done and when."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

from tests.chaos.crowd import Crowd
from tests.chaos.faults import EVERYONE, KINDS, Site
from tests.chaos.proxy import Proxy, ReplyTrap
from tests.chaos.records import Injected, Journal
from tests.chaos.redis_faults import REDIS_INJECTIONS, RedisFaults
from tests.chaos.schedule import Fault
from tests.chaos.system import System

_SCRIPT = b"EVALSHA"
"""What accepts and persists notes in Redis begins with that."""

_SUBSCRIBE = b"SUBSCRIBE"

_MESSAGE = b"$7\r\nmessage\r\n"
"""How Redis begins what was published, in RESP2 and in RESP3, after the kind and the length."""

_NOTE_ID = b"note-"
"""A send and its answer both hold the note's id, as it is."""

_PAUSED_READERS = 0.15


class Injector:
    """Injects faults.

    Args:
        system: to be harmed.
        crowd: of whom some may be told to stop reading.
        journal: of what was injected.
    """

    def __init__(self, system: System, crowd: Crowd, journal: Journal) -> None:
        self._system = system
        self._crowd = crowd
        self._journal = journal
        self._redis = RedisFaults(system, journal)
        self.active: dict[Fault, None] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def run(self, faults: Sequence[Fault]) -> None:
        """Injects all, each at its time from now; comes back when all are over.

        Raises:
            SystemFailedError: the system could not be put right again after a fault.
        """
        begin = time.monotonic()
        try:
            async with asyncio.TaskGroup() as tasks:
                for fault in faults:
                    await asyncio.sleep(max(0.0, begin + fault.at - time.monotonic()))
                    tasks.create_task(self._inject(fault))
        except ExceptionGroup as group:
            raise group.exceptions[0] from group

    async def _inject(self, fault: Fault) -> None:
        # What was killed takes a while to be there again: only then may it be hit again.
        async with AsyncExitStack() as locks:
            for name in self._processes(fault):
                await locks.enter_async_context(self._locks[name])
            await self._redis.prepare(fault)
            self.active[fault] = None
            begin = time.monotonic()
            hit = await INJECTIONS[fault.kind](self, fault)
            del self.active[fault]
            self._journal.write(Injected(begin, time.monotonic(), fault.kind, fault.target, hit))

    async def _kill(self, fault: Fault) -> bool:
        names = self._processes(fault)
        await asyncio.gather(*(self._system.child(name).kill() for name in names))
        await asyncio.sleep(fault.seconds)
        await asyncio.gather(*(self._system.start_service(name) for name in names))
        return True

    async def _pause(self, fault: Fault) -> bool:
        child = self._system.child(fault.target)
        child.pause()
        await asyncio.sleep(fault.seconds)
        child.resume()
        return True

    async def _inject_to_redis(self, fault: Fault) -> bool:
        return await self._redis.inject(fault)

    async def _stall_links(self, fault: Fault) -> bool:
        return await self._stall(self._links(fault), fault.seconds)

    async def _stall_feeds(self, fault: Fault) -> bool:
        return await self._stall(self._links(fault), fault.seconds, _SUBSCRIBE)

    async def _stall(self, proxies: Sequence[Proxy], seconds: float, marker: bytes = b"") -> bool:
        for proxy in proxies:
            proxy.stall(marker)
        await asyncio.sleep(seconds)
        for proxy in proxies:
            proxy.resume()
        return True

    async def _drop_messages(self, fault: Fault) -> bool:
        proxies = self._links(fault)
        for proxy in proxies:
            proxy.dropped = _MESSAGE
        await asyncio.sleep(fault.seconds)
        for proxy in proxies:
            proxy.dropped = None
        return True

    async def _cut_links(self, fault: Fault) -> bool:
        for proxy in self._links(fault):
            proxy.cut()
        return True

    async def _refuse_links(self, fault: Fault) -> bool:
        proxies = self._links(fault)
        for proxy in proxies:
            proxy.refuse(on=True)
            proxy.cut()
        await asyncio.sleep(fault.seconds)
        for proxy in proxies:
            proxy.refuse(on=False)
        return True

    async def _half_open_links(self, fault: Fault) -> bool:
        return await self._half_open(self._links(fault), fault.seconds)

    async def _half_open(self, proxies: Sequence[Proxy], seconds: float) -> bool:
        for proxy in proxies:
            proxy.half_open()
        await asyncio.sleep(seconds)
        for proxy in proxies:
            proxy.cut_half_open()
        return True

    async def _lose_reply_of_redis(self, fault: Fault) -> bool:
        return await self._lose_reply(self._links(fault), ReplyTrap(_SCRIPT), fault.seconds)

    async def _lose_reply_to_send(self, fault: Fault) -> bool:
        door = self._system.writers_doors[fault.target]
        return await self._lose_reply([door], ReplyTrap(_NOTE_ID, _NOTE_ID), fault.seconds)

    async def _lose_reply(self, proxies: Sequence[Proxy], trap: ReplyTrap, seconds: float) -> bool:
        for proxy in proxies:
            proxy.trap = trap
        await asyncio.sleep(seconds)
        for proxy in proxies:
            proxy.trap = None
        return trap.sprung.is_set()

    async def _cut_readers(self, fault: Fault) -> bool:
        self._system.readers_doors[fault.target].cut()
        return True

    async def _stall_readers(self, fault: Fault) -> bool:
        return await self._stall([self._system.readers_doors[fault.target]], fault.seconds)

    async def _half_open_readers(self, fault: Fault) -> bool:
        return await self._half_open([self._system.readers_doors[fault.target]], fault.seconds)

    async def _pause_readers(self, fault: Fault) -> bool:
        self._crowd.pause_readers(_PAUSED_READERS, fault.seconds)
        await asyncio.sleep(fault.seconds)
        return True

    def _processes(self, fault: Fault) -> Sequence[str]:
        """The processes that the fault hits; their names, in order."""
        if KINDS[fault.kind].site is Site.HISTORIES:
            return self._system.history_names
        return [fault.target]

    def _links(self, fault: Fault) -> list[Proxy]:
        """The links that the fault hits."""
        if fault.target != EVERYONE:
            return [self._system.links[fault.target]]
        only_gateways = KINDS[fault.kind].site is Site.GATEWAY_LINK
        names = [n for n in self._system.links if not only_gateways or n.startswith("gateway")]
        return [self._system.links[name] for name in names]


INJECTIONS: dict[str, Callable[[Injector, Fault], Awaitable[bool]]] = {
    **dict.fromkeys(REDIS_INJECTIONS, Injector._inject_to_redis),
    "gateway-killed": Injector._kill,
    "gateway-paused": Injector._pause,
    "history-killed": Injector._kill,
    "histories-killed": Injector._kill,
    "history-paused": Injector._pause,
    "redis-stalled": Injector._stall_links,
    "redis-cut": Injector._cut_links,
    "redis-refused": Injector._refuse_links,
    "redis-half-open": Injector._half_open_links,
    "redis-reply-lost": Injector._lose_reply_of_redis,
    "feed-stalled": Injector._stall_feeds,
    "feed-deaf": Injector._drop_messages,
    "clients-cut": Injector._cut_readers,
    "clients-stalled": Injector._stall_readers,
    "clients-half-open": Injector._half_open_readers,
    "readers-pause": Injector._pause_readers,
    "send-reply-lost": Injector._lose_reply_to_send,
}
"""By kind: injects a fault, and says, once it is over, whether it hit anything."""
