"""Fetches the notes of a room's log that it missed."""

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
    """A room, as the repair of its log sees it."""

    name: str

    @property
    def outbox_id(self) -> OutboxId:
        """The outbox id after which all notes come that the log still lacks."""

    @property
    def log(self) -> RoomLog:
        """The log to repair."""

    def deliver_soon(self) -> None:
        """Learns that a part of what was missing is there."""

    def pass_over(self, floor: int) -> None:
        """Learns that nothing that it lacks is left up to this sequence."""

    def refuse_later_epoch(self, epoch: int) -> None:
        """Raises HistoryUnavailableError if notes of this epoch don't belong to the log."""


class GapRepair:
    """Fills the gaps of one room's log, with one request at a time.

    Args:
        room: the room whose log is repaired.
        gaps: reads the missing notes.
    """

    __slots__ = ("_gaps", "_room", "_task")

    def __init__(self, room: Repaired, gaps: GapReader) -> None:
        self._room = room
        self._gaps = gaps
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Starts to fetch until nothing is missing, unless that is under way."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._fill_all())

    def cancel(self) -> None:
        """Cancels the work under way."""
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
            except Exception:  # a bug must not leave the room silent for ever
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
