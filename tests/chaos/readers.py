"""The reading clients, many in one process: `python -m tests.chaos.readers`, told by its orders.

They use the bare stubs and hand nothing back to order: what a gateway delivers is written
down as it comes. After each break they resume by cursor, at whichever gateway.
"""

import asyncio
import random
import time
import zlib
from contextlib import suppress
from pathlib import Path

from grpc import aio

from notecast.v1.chat_pb2 import RoomSubscription, SubscribeRequest, SubscribeResponse
from notecast.v1.event_pb2 import CaughtUp, Discontinuity, Event
from notecast.v1.note_pb2 import Cursor, Note
from notecast_client.cursors import Position
from tests.chaos.cast import ReaderPart
from tests.chaos.doors import Doors
from tests.chaos.orders import Begin, Finish, Pause, Progress, orders, report_progress, say
from tests.chaos.records import (
    Begins,
    Broken,
    Connects,
    Done,
    Ends,
    Journal,
    Leaves,
    Noted,
    Returns,
)

_CONNECTIONS = 8
_OPENING_SECONDS = 3.0
_LONGEST_WAIT_SECONDS = 0.3
_LAST_LOOK_SECONDS = 0.5
"""What is repeated at the very end comes within that."""

_NOWHERE = Position(0, 0)


def digest(author: str, text: str) -> int:
    """A number that differs where author or text do, as a rule."""
    return zlib.crc32(f"{author}\0{text}".encode())


class Reader:
    """One who reads, from its coming to the end of the run.

    Args:
        part: what it does.
        number: of all readers of this process.
        doors: ways to the gateways.
        journal: where it writes what it sees.
    """

    def __init__(self, part: ReaderPart, number: int, doors: Doors, journal: Journal) -> None:
        self.part = part
        self.delivered = 0
        self.streaming = False
        self.reached = asyncio.Event()
        self._number = number
        self._doors = doors
        self._journal = journal
        self._dice = random.Random(part.name)  # noqa: S311 - to be drawn again
        self._cursors: dict[str, Position] = {}
        self._owed: set[str] = set()
        self._heads: dict[str, Position] = {}
        self._ending = asyncio.Event()
        self._paused_until = 0.0

    async def run(self) -> None:
        """Comes when it is its time, and reads until cancelled."""
        if self.part.joins_after is None:
            await self._ending.wait()
        else:
            await asyncio.sleep(self.part.joins_after)
        if self.part.start == "from_start":
            for room in self.part.rooms:
                self._begin(room, _NOWHERE)
        gateway = ""
        while True:
            gateway = self._doors.choose(self._dice, gateway)
            await self._read_at(gateway)
            await asyncio.sleep(self._dice.uniform(0.05, 1) * _LONGEST_WAIT_SECONDS)

    def pause(self, seconds: float) -> None:
        """Makes it read nothing for a while."""
        self._paused_until = time.monotonic() + seconds

    def finish(self, heads: dict[str, Position]) -> None:
        """Tells it how far there is to read; `reached` is set when it has."""
        self._heads = heads
        self._ending.set()
        self._look()

    def close(self) -> None:
        """Ends its file."""
        self._journal.write(Done(time.monotonic(), self.reached.is_set()))
        self._journal.close()

    async def _read_at(self, gateway: str) -> None:
        self._journal.write(Connects(time.monotonic(), gateway))
        request = SubscribeRequest(subscriptions=[self._wanted(room) for room in self.part.rooms])
        call = self._doors.stub(gateway, self._number).Subscribe(request)
        code = "OK"
        try:
            async with asyncio.timeout(_OPENING_SECONDS):
                await call.initial_metadata()
            self.streaming = True
            async with asyncio.timeout(self.part.hop_seconds or None):
                await self._read(call)
        except TimeoutError:
            code = "left" if self.streaming else "no answer"
        except aio.AioRpcError as error:
            code = error.code().name
            if code == "INVALID_ARGUMENT":  # the gateway does not know the cursor
                self._cursors.clear()
        finally:
            self.streaming = False
            call.cancel()
        self._journal.write(Ends(time.monotonic(), code))

    async def _read(self, call: aio.UnaryStreamCall[SubscribeRequest, SubscribeResponse]) -> None:
        while True:
            await self._rest()
            response = await call.read()
            if not isinstance(response, SubscribeResponse):
                return
            now = time.monotonic()
            for event in response.events:
                self._take(event, now)
            self._look()

    async def _rest(self) -> None:
        if (seconds := self._paused_until - time.monotonic()) > 0:
            self._journal.write(Leaves(time.monotonic()))
            await asyncio.sleep(seconds)
            self._journal.write(Returns(time.monotonic()))

    def _wanted(self, room: str) -> RoomSubscription:
        cursor = self._cursors.get(room)
        if cursor is not None:
            after = Cursor(epoch=cursor.epoch, sequence=cursor.sequence)
            return RoomSubscription(room=room, after=after)
        if self.part.start == "from_start":
            return RoomSubscription(room=room, from_start=True)
        return RoomSubscription(room=room)

    def _take(self, event: Event, now: float) -> None:
        match event.WhichOneof("kind"):
            case "note":
                self._take_note(event.note, now)
            case "caught_up":
                self._take_caught_up(event.caught_up)
            case "discontinuity":
                self._take_break(event.discontinuity, now)

    def _take_note(self, note: Note, now: float) -> None:
        place = Position(note.epoch, note.sequence)
        if note.room not in self._owed:
            self._begin(note.room, Position(note.epoch, note.sequence - 1))
        text = digest(note.author, note.text)
        self._journal.write(Noted(now, note.room, place, note.note_id, text))
        self._cursors[note.room] = place
        self.delivered += 1

    def _take_caught_up(self, caught_up: CaughtUp) -> None:
        place = Position(caught_up.cursor.epoch, caught_up.cursor.sequence)
        if caught_up.room not in self._owed:
            self._begin(caught_up.room, place)
        self._cursors[caught_up.room] = max(place, self._cursors.get(caught_up.room, _NOWHERE))

    def _take_break(self, told: Discontinuity, now: float) -> None:
        resumes_at = Position(told.resumes_at.epoch, told.resumes_at.sequence)
        after = Position(told.after.epoch, told.after.sequence)
        reason = Discontinuity.Reason.Name(told.reason)
        self._journal.write(Broken(now, told.room, reason, after, resumes_at))
        self._cursors[told.room] = Position(resumes_at.epoch, max(resumes_at.sequence - 1, 0))

    def _begin(self, room: str, after: Position) -> None:
        self._owed.add(room)
        self._journal.write(Begins(time.monotonic(), room, after))

    def _look(self) -> None:
        """Whether all is read."""
        if self._ending.is_set() and all(
            self._cursors.get(room, _NOWHERE) >= self._heads[room] for room in self.part.rooms
        ):
            self.reached.set()


class Readers:
    """All readers of this process.

    Args:
        begin: who they are.
    """

    def __init__(self, begin: Begin) -> None:
        self._doors = Doors(begin.doors, _CONNECTIONS)
        self._readers = [
            Reader(part, number, self._doors, Journal(Path(begin.folder, f"{part.name}.jsonl")))
            for number, part in enumerate(begin.readers)
        ]
        self._tasks = [asyncio.create_task(reader.run()) for reader in self._readers]

    def progress(self) -> Progress:
        """How it goes."""
        return Progress(
            sum(reader.delivered for reader in self._readers),
            sum(reader.streaming for reader in self._readers),
        )

    def pause(self, order: Pause) -> None:
        """Makes some of them stop reading for a while."""
        dice = random.Random(order.seed)  # noqa: S311 - to be drawn again
        for reader in self._readers:
            if dice.random() < order.share:
                reader.pause(order.seconds)

    async def finish(self, order: Finish) -> None:
        """Lets them read on to the heads, and ends them."""
        for reader in self._readers:
            reader.finish(order.heads)
        with suppress(TimeoutError):
            async with asyncio.timeout(order.within_seconds):
                await asyncio.gather(*(reader.reached.wait() for reader in self._readers))
        await asyncio.sleep(_LAST_LOOK_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for reader in self._readers:
            reader.close()
        await self._doors.close()


async def _run() -> None:
    told = orders()
    begin = await anext(told)
    assert isinstance(begin, Begin)
    readers = Readers(begin)
    reporting = asyncio.create_task(report_progress(readers.progress))
    async for order in told:
        match order:
            case Pause():
                readers.pause(order)
            case Finish():
                await readers.finish(order)
                break
    reporting.cancel()
    say(readers.progress())


if __name__ == "__main__":
    asyncio.run(_run())
