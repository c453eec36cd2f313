"""Fetches what a room has not heard of its log."""

import asyncio
from contextlib import aclosing
from typing import Protocol

import structlog

from chat_gateway.log.room_log import RoomLog, SequenceRange
from chat_gateway.rooms.gap_reader import GapReader
from notecast_runtime.backoff import Backoff
from notecast_runtime.errors import UnavailableError
from notecast_runtime.outbox import OutboxId
from notecast_runtime.tasks import not_cancelled

_log = structlog.get_logger(__name__)


class Repaired(Protocol):
    """A room, as far as its log goes."""

    name: str

    @property
    def outbox_id(self) -> OutboxId:
        """All that the log has yet to get is behind it in the outbox."""

    @property
    def log(self) -> RoomLog:
        """What to repair."""

    def deliver_soon(self) -> None:
        """Learns that something of what was missing is there."""

    def pass_over(self, floor: int) -> None:
        """Learns that up to this sequence nothing is left that it has not got."""

    def refuse_later_epoch(self, epoch: int) -> None:
        """Raises HistoryUnavailableError where notes of the epoch are none of the log's."""


class GapRepair:
    """Fills the gaps of one room's log: one request at a time, whoever waits.

    Args:
        room: whose log it is.
        gaps: where to read.
    """

    __slots__ = ("_gaps", "_room", "_task")

    def __init__(self, room: Repaired, gaps: GapReader) -> None:
        self._room = room
        self._gaps = gaps
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Fetches what is missing until nothing is, if that is not under way."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._fill_all())

    def cancel(self) -> None:
        """Ends what is under way."""
        if self._task is not None:
            self._task.cancel()

    async def _fill_all(self) -> None:
        backoff = Backoff()
        while not_cancelled() and (gap := self._room.log.missing()):
            try:
                await self._fill(gap)
            except UnavailableError as error:
                _log.warning("repair_waits", error=str(error))
                await asyncio.sleep(backoff.next_delay())
            except Exception:  # a fault of ours must not leave the room silent for good
                _log.exception("repair_failed", room=self._room.name)
                await asyncio.sleep(backoff.next_delay())

    async def _fill(self, gap: SequenceRange) -> None:
        room = self._room
        reading = self._gaps.read(room.name, gap, room.outbox_id, room.log.epoch)
        async with aclosing(reading) as parts:
            async for part in parts:
                room.refuse_later_epoch(part.epoch)
                room.pass_over(part.floor)
                room.log.fill(SequenceRange(part.after, part.through), part.frames)
                room.deliver_soon()
