"""A stream whose read of history breaks off part-way gets further, or is ended; it never waits."""

import asyncio
from collections.abc import AsyncGenerator, Callable

import grpc

from chat_gateway.history.history import ReplayPart
from chat_gateway.log.cursors import Start
from chat_gateway.log.positions import Head
from chat_gateway.log.room_log import SequenceRange
from chat_gateway.rooms.room import Room, RoomLimits
from notecast_runtime.errors import HistoryUnavailableError
from notecast_wire.fairness.clients import ClientId
from tests.support.room_parts import EPOCH, ScriptedHistory, Window, open_room, subscribed
from tests.support.waiting import eventually

HEAD = 90
PART = 10
LIMITS = RoomLimits(ring_notes=100, ring_bytes=10_000, run_bytes=10_000)


class SilentHistory(ScriptedHistory):
    """Is asked, and does not answer."""

    async def replay(
        self,
        room: str,  # noqa: ARG002
        sequences: SequenceRange,
        client: ClientId | None,  # noqa: ARG002
        enough_bytes: int = 0,  # noqa: ARG002
    ) -> AsyncGenerator[ReplayPart]:
        """Implements `History.replay`."""
        self.asked.append(sequences)
        await asyncio.Event().wait()
        yield ReplayPart((), 0)


def interrupted_room(interrupt: Callable[[], None]) -> tuple[Room, ScriptedHistory]:
    """A room whose history gives one part of each read, and then does that."""
    history = ScriptedHistory()
    history.write(EPOCH, range(1, HEAD + 1))
    history.part_notes = PART
    history.between_parts = interrupt
    return open_room(Head(EPOCH, HEAD), history, limits=LIMITS), history


async def test_a_replay_goes_on_after_the_parts_that_came_before_history_failed() -> None:
    def fail() -> None:
        raise HistoryUnavailableError("not in time")

    room, history = interrupted_room(fail)
    window = Window()
    subscribed(window, room, start=Start(1, resumes=True))
    events = []

    def caught_up() -> bool:
        events.extend(window.events())
        return bool(events) and events[-1].HasField("caught_up")

    await eventually(caught_up, "the stream has caught up")
    assert [event.note.sequence for event in events[:-1]] == list(range(1, HEAD + 1))
    assert [asked.after for asked in history.asked] == list(range(0, HEAD, PART))


async def test_a_replay_that_history_cancels_ends_its_stream() -> None:
    def cancel() -> None:
        raise asyncio.CancelledError

    (room, _), window = interrupted_room(cancel), Window()
    subscribed(window, room, start=Start(1, resumes=True))
    await eventually(lambda: window.ending, "the stream has ended")
    assert window.status is grpc.StatusCode.INTERNAL


async def test_a_replay_whose_shared_read_is_cancelled_ends_its_stream() -> None:
    """As where a room's reads are given up while one of its cursors still waits."""
    history, window = SilentHistory(), Window()
    room = open_room(Head(EPOCH, HEAD), history, limits=LIMITS)
    subscribed(window, room, start=Start(1, resumes=True))
    await eventually(lambda: history.asked, "the stream waits for history")
    room.close()
    await eventually(lambda: window.ending, "the stream has ended")
    assert window.status is grpc.StatusCode.INTERNAL
