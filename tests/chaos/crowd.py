"""All clients of a run: a few processes, told what to do and asked how it goes."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from notecast_client.cursors import Position
from tests.chaos.cast import Cast, ReaderPart
from tests.chaos.children import Child
from tests.chaos.folder import RunFolder
from tests.chaos.orders import Begin, Finish, Order, Pause, Progress, decode_progress, encode

_READER_PROCESSES = 2
_END_SECONDS = 15.0

_NOTHING = Progress(0, 0)


class _Group:
    """One process of clients."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.progress = _NOTHING
        self._hearing = asyncio.create_task(self._hear())

    def tell(self, order: Order) -> None:
        pipe = self.child.process.stdin
        assert pipe is not None
        pipe.write(encode(order))

    async def ended(self, seconds: float) -> None:
        """Returns when it has ended by itself; TimeoutError where it does not in time."""
        async with asyncio.timeout(seconds):
            await self.child.process.wait()
            await self._hearing

    async def _hear(self) -> None:
        pipe = self.child.process.stdout
        assert pipe is not None
        async for line in pipe:
            self.progress = decode_progress(line)


class Crowd:
    """Readers and writers.

    Args:
        folder: where they write.
        seed: makes those who pause be the same in each run.
    """

    def __init__(self, folder: RunFolder, seed: int) -> None:
        self._folder = folder
        self._seed = seed
        self._readers: list[_Group] = []
        self._writers: list[_Group] = []

    @property
    def begun(self) -> bool:
        """Whether everybody has been told to take part."""
        return bool(self._writers)

    @property
    def delivered(self) -> int:
        """Notes, to all readers together."""
        return sum(group.progress.done for group in self._readers)

    @property
    def streams(self) -> int:
        """How many readers have a stream."""
        return sum(group.progress.active for group in self._readers)

    @property
    def acknowledged(self) -> int:
        """Notes, of all writers together."""
        return sum(group.progress.done for group in self._writers)

    async def begin(
        self, cast: Cast, reading: Mapping[str, int], writing: Mapping[str, int]
    ) -> None:
        """Starts all; `reading` and `writing` are the ports of gateways by name."""
        for number in range(_READER_PROCESSES):
            readers = cast.readers[number::_READER_PROCESSES]
            order = Begin(str(self._folder.readers), dict(reading), readers, [])
            self._readers.append(await self._start("readers", number, order))
        order = Begin(str(self._folder.writers), dict(writing), [], cast.writers)
        self._writers.append(await self._start("writers", 0, order))

    def pause_readers(self, share: float, seconds: float) -> None:
        """Makes some readers read nothing for a while."""
        for group in self._readers:
            self._seed += 1
            group.tell(Pause(share, seconds, self._seed))

    async def finish_writers(self, within_seconds: float) -> None:
        """Returns when every note under way is acknowledged, or the time is over."""
        await self._finish(self._writers, Finish({}, within_seconds))

    async def finish_readers(self, heads: Mapping[str, Position], within_seconds: float) -> None:
        """Returns when every reader has read up to the heads, or the time is over."""
        await self._finish(self._readers, Finish(dict(heads), within_seconds))

    async def stop(self) -> None:
        """Leaves no process behind."""
        await asyncio.gather(*(g.child.kill() for g in (*self._readers, *self._writers)))

    async def _start(self, kind: str, number: int, order: Begin) -> _Group:
        log = Path(self._folder.logs, f"{kind}-{number + 1}.log")
        command = [sys.executable, "-m", f"tests.chaos.{kind}"]
        group = _Group(await Child.start(f"{kind}-{number + 1}", command, log, piped=True))
        group.tell(order)
        return group

    async def _finish(self, groups: Sequence[_Group], order: Finish) -> None:
        for group in groups:
            group.tell(order)
        limit = order.within_seconds + _END_SECONDS
        await asyncio.gather(*(group.ended(limit) for group in groups))


def rooms_of(readers: Sequence[ReaderPart]) -> list[str]:
    """Every room that somebody reads."""
    return sorted({room for reader in readers for room in reader.rooms})
