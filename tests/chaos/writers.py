"""The writers, all in one process: `python -m tests.chaos.writers`, told by its orders.

Each sends one note after the other, each under an id of its own, again and again under the
same id until it is acknowledged, at whichever gateway.
"""

import asyncio
import random
import time
from contextlib import suppress
from pathlib import Path

from grpc import aio

from notecast.v1.chat_pb2 import SendNoteRequest, SendNoteResponse
from notecast_client.cursors import Position
from tests.chaos.cast import WriterPart
from tests.chaos.doors import Doors
from tests.chaos.orders import Begin, Finish, Progress, orders, report_progress, say
from tests.chaos.readers import digest
from tests.chaos.records import Acknowledged, Done, Journal, Refused, Retried, Sent
from tests.support.statuses import reason_of

_ANSWER_SECONDS = 2.5
_LONGEST_WAIT_SECONDS = 0.3
_LONGEST_TEXT = 2_000
_FOR_GOOD = {"INVALID_ARGUMENT", "ALREADY_EXISTS", "FAILED_PRECONDITION", "UNIMPLEMENTED"}


class Writer:
    """One who sends.

    Args:
        part: what it does.
        number: of all writers of this process.
        doors: ways to the gateways.
        journal: where it writes what it sends, and what is acknowledged.
    """

    def __init__(self, part: WriterPart, number: int, doors: Doors, journal: Journal) -> None:
        self.acknowledged = 0
        self.sending = False
        self.finishing = asyncio.Event()
        self._part = part
        self._number = number
        self._doors = doors
        self._journal = journal
        self._dice = random.Random(part.name)  # noqa: S311 - to be drawn again
        self._gateway = doors.choose(self._dice, "")

    async def run(self) -> None:
        """Sends at its pace, until told to finish, and then one note more.

        With that one, the room's head is of the epoch that readers end in.
        """
        count = 0
        while not self.finishing.is_set():
            count += 1
            await self._send(f"note-{self._part.name}-{count}")
            pause = self._dice.uniform(0.5, 1.5) / self._part.notes_per_second
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self.finishing.wait()
        await self._send(f"note-{self._part.name}-last")

    def close(self) -> None:
        """Ends its file."""
        self._journal.write(Done(time.monotonic(), not self.sending))
        self._journal.close()

    async def _send(self, note_id: str) -> None:
        room = self._part.room
        text = f"{note_id} ".ljust(self._dice.randrange(_LONGEST_TEXT), ".")
        author = self._part.name
        request = SendNoteRequest(room=room, author=author, text=text, note_id=note_id)
        self._journal.write(Sent(time.monotonic(), room, note_id, digest(author, text)))
        self.sending = True
        while True:
            gateway = self._doors.stub(self._gateway, self._number)
            try:
                answer = await gateway.SendNote(request, timeout=_ANSWER_SECONDS)
            except aio.AioRpcError as error:
                self._gateway = self._doors.choose(self._dice, self._gateway)
                if self._is_refused(request, error):
                    break
            else:
                self._take(request, answer)
                break
            await asyncio.sleep(self._dice.uniform(0.05, 1) * _LONGEST_WAIT_SECONDS)
        self.sending = False

    def _is_refused(self, request: SendNoteRequest, error: aio.AioRpcError) -> bool:
        now, code = time.monotonic(), error.code().name
        if code in _FOR_GOOD:
            self._journal.write(Refused(now, request.room, request.note_id, code))
            return True
        self._journal.write(Retried(now, request.note_id, code, _reason_of(error)))
        return False

    def _take(self, request: SendNoteRequest, answer: SendNoteResponse) -> None:
        place = Position(answer.cursor.epoch, answer.cursor.sequence)
        duplicate = bool(getattr(answer, "duplicate", False))
        now = time.monotonic()
        self._journal.write(Acknowledged(now, request.room, place, request.note_id, duplicate))
        self.acknowledged += 1


def _reason_of(error: aio.AioRpcError) -> str:
    """Empty where there was no answer, but an end of the connection, or of the time."""
    try:
        return reason_of(error)
    except AssertionError:
        return ""


class Writers:
    """All writers of this process.

    Args:
        begin: who they are.
    """

    def __init__(self, begin: Begin) -> None:
        self._doors = Doors(begin.doors, len(begin.writers))
        self._writers = [
            Writer(part, number, self._doors, Journal(Path(begin.folder, f"{part.name}.jsonl")))
            for number, part in enumerate(begin.writers)
        ]
        self._tasks = [asyncio.create_task(writer.run()) for writer in self._writers]

    def progress(self) -> Progress:
        """How it goes."""
        return Progress(
            sum(writer.acknowledged for writer in self._writers),
            sum(writer.sending for writer in self._writers),
        )

    async def finish(self, order: Finish) -> None:
        """Ends them once what they have under way is acknowledged."""
        for writer in self._writers:
            writer.finishing.set()
        _, late = await asyncio.wait(self._tasks, timeout=order.within_seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()
        await self._doors.close()


async def _run() -> None:
    told = orders()
    begin = await anext(told)
    assert isinstance(begin, Begin)
    writers = Writers(begin)
    reporting = asyncio.create_task(report_progress(writers.progress))
    async for order in told:
        if isinstance(order, Finish):
            await writers.finish(order)
            break
    reporting.cancel()
    say(writers.progress())


if __name__ == "__main__":
    asyncio.run(_run())
