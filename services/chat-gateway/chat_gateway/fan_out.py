"""Which rooms have news, gathered for one round of delivery."""

import asyncio
from typing import Protocol

import structlog

_log = structlog.get_logger(__name__)


class HasReaders(Protocol):
    """A room, as far as delivery goes."""

    name: str

    def deliver(self) -> None:
        """Gives every reader what is new."""


class FanOut:
    """Delivers each room that has news once per turn of the event loop, however much it is.

    What arrives in one read from Redis is heard in one turn, so it leaves in one write.
    """

    def __init__(self) -> None:
        self._rooms: dict[HasReaders, None] = {}

    def mark(self, room: HasReaders) -> None:
        """Has the room delivered soon."""
        if not self._rooms:
            asyncio.get_running_loop().call_soon(self._round)
        self._rooms[room] = None

    def _round(self) -> None:
        rooms, self._rooms = self._rooms, {}
        for room in rooms:
            try:
                room.deliver()
            except Exception:  # a fault of ours in one room is no reason to silence the others
                _log.exception("delivery_failed", room=room.name)
