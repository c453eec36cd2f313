"""One run, from building the images to the verdict."""

import asyncio
import time
from collections.abc import Awaitable
from contextlib import AsyncExitStack

from rich.console import Console

from tests.chaos.breaks import Breaks
from tests.chaos.cast import draw_cast
from tests.chaos.crowd import Crowd, rooms_of
from tests.chaos.faults import EVERYONE, Kind
from tests.chaos.findings import Findings
from tests.chaos.folder import RunFolder
from tests.chaos.plan import Plan
from tests.chaos.records import Injected, Journal
from tests.e2e.kubernetes import images
from tests.e2e.kubernetes.chatting import chat
from tests.e2e.kubernetes.cluster import Cluster
from tests.e2e.kubernetes.disturbances import (
    DELETED,
    KINDS,
    LOST,
    REDIS_RESTARTED,
    ROLLED,
    SCALED_DOWN,
    SCALED_UP,
)
from tests.e2e.kubernetes.doors import Doors
from tests.e2e.kubernetes.installation import DEPLOYMENTS, Installation
from tests.e2e.kubernetes.settings import RunSettings
from tests.e2e.kubernetes.steps import Steps
from tests.support.waiting import eventually

_DOORS = 4
_QUIET_SECONDS = 5.0
"""Between disturbances: long enough to see that all is well again."""

_SETTLE_SECONDS = 60.0
_EVEN_SECONDS = 60.0
"""A few lifetimes of streams, as the installation has them."""

_BEGIN_SECONDS = 60.0


class Run:
    """Everything that a run does, in order.

    Args:
        settings: what it was told.
        console: where it is told how it goes.
    """

    def __init__(self, settings: RunSettings, console: Console) -> None:
        self._settings = settings
        self._folder = RunFolder(settings.folder.resolve())
        self._plan = Plan(
            seconds=60,  # late readers come within that
            kinds=(),
            busy_rooms=4,
            quiet_rooms=4,
            readers=settings.cluster_streams,
            busy_notes=settings.cluster_notes,
        )
        self._crowd = Crowd(self._folder, self._plan.seed)
        self.steps = Steps(console, self._news)

    async def run(self) -> Findings:
        """Runs it all; leaves nothing behind, unless it was told to.

        Raises:
            CommandError: something could not be done.
            AssertionError: something did not happen in time.
        """
        self._folder.begin(self._plan)
        take = self.steps.take
        await take("build the images", images.build())
        async with AsyncExitStack() as undo:
            cluster = await take("start the cluster", Cluster.start(self._settings))
            if not self._settings.cluster_keep and cluster.is_ours:
                undo.push_async_callback(lambda: take("end the cluster", cluster.end()))
            await take("load the images", cluster.load(images.IMAGES))
            installation = Installation(cluster, self._folder.root / "overlay")
            if not self._settings.cluster_keep:  # a cluster that ends may leave its pods running
                undo.push_async_callback(lambda: take("remove it", installation.remove()))
            undo.push_async_callback(installation.keep_logs, self._folder.logs)
            await take("install the overlay `local`", installation.apply())
            await self._chat(cluster, installation)
        return await take("check what the clients saw", self._check())

    def breaks(self) -> Breaks:
        """What clients had to mend, by the files of the run."""
        return self._folder.breaks()

    async def _chat(self, cluster: Cluster, installation: Installation) -> None:
        async with Doors(cluster, installation, _DOORS, self._folder.logs) as doors:
            target = f"127.0.0.1:{next(iter(doors.ports.values()))}"
            await self.steps.take("chat through Envoy", chat(target))
            journal = Journal(self._folder.faults)
            try:
                await self.steps.take("let clients begin", self._begin(doors, installation))
                await self._disturb(installation, journal)
                await self.steps.take("let all catch up", self._catch_up(installation))
            finally:
                journal.close()
                await self._crowd.stop()

    async def _begin(self, doors: Doors, installation: Installation) -> str:
        await self._crowd.begin(draw_cast(self._plan), doors.ports, doors.ports)
        begun = self._plan.readers // 2
        await eventually(
            lambda: self._crowd.streams >= begun and self._crowd.acknowledged,
            f"{begun} streams are open, and notes acknowledged",
            _BEGIN_SECONDS,
        )
        return await self._spread(installation)

    async def _disturb(self, it: Installation, journal: Journal) -> None:
        async def disturb(kind: Kind, name: str, doing: Awaitable[object]) -> None:
            await self.steps.take(name, self._disturbed(it, journal, kind, doing))

        await disturb(SCALED_UP, "scale gateways 2 -> 4", it.scale("chat-gateway", 4))
        await self.steps.take("wait until the streams are even", self._even(it))
        await disturb(SCALED_DOWN, "scale gateways 4 -> 2", it.scale("chat-gateway", 2))
        for name in DEPLOYMENTS:
            await disturb(ROLLED[name], f"roll {name}", it.roll(f"deployment/{name}"))
        await self.steps.take("wait until the streams are even", self._even(it))
        for name in DEPLOYMENTS:
            await disturb(DELETED[name], f"delete a pod of {name}", it.delete_pod(name))
        lose = it.delete_pod("chat-gateway", at_once=True)
        await disturb(LOST, "lose a pod of chat-gateway at once", lose)
        await disturb(REDIS_RESTARTED, "restart Redis", it.roll("statefulset/redis"))

    async def _disturbed(
        self, it: Installation, journal: Journal, kind: Kind, doing: Awaitable[object]
    ) -> str:
        """Does something to the installation, and waits until it is whole and was quiet."""
        begin = time.monotonic()
        told = await doing
        for name in DEPLOYMENTS:
            await it.rolled_out(f"deployment/{name}")
        journal.write(Injected(begin, time.monotonic(), kind.name, EVERYONE, hit=True))
        took = time.monotonic() - begin
        await asyncio.sleep(_QUIET_SECONDS)
        what = (told if isinstance(told, str) else "", f"whole again in {took:.1f} s")
        return "; ".join(filter(None, [*what, await self._spread(it)]))

    async def _catch_up(self, installation: Installation) -> str:
        await self._crowd.finish_writers(_SETTLE_SECONDS)
        heads = await installation.heads(rooms_of(draw_cast(self._plan).readers))
        await self._crowd.finish_readers(heads, _SETTLE_SECONDS)
        restarts = await installation.restarts()
        if restarts:
            raise AssertionError(f"containers were restarted {restarts} times")
        return f"{self._crowd.acknowledged} acknowledged, {self._crowd.delivered} delivered"

    async def _check(self) -> Findings:
        findings = await asyncio.to_thread(self._folder.check, KINDS)
        self._folder.write_report(findings)
        return findings

    async def _even(self, installation: Installation) -> str:
        return f"streams on the gateways: {await installation.even(_EVEN_SECONDS)}"

    async def _spread(self, installation: Installation) -> str:
        return f"streams on the gateways: {await installation.streams()}"

    def _news(self) -> str:
        if not self._crowd.begun:
            return ""
        return (
            f"{self._crowd.streams} streams, {self._crowd.acknowledged} acknowledged,"
            f" {self._crowd.delivered} delivered"
        )
