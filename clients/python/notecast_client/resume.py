"""Tracks a subscription's position in each room, and makes the request to resume from there.

Pure: events in, decisions out. Positions tell new notes from those that the server repeats after a
reconnection: a position that was passed does not come back.
"""

import re
from collections.abc import Iterable, Sequence

from notecast.v1 import chat_pb2, event_pb2, note_pb2
from notecast_client.cursors import Position, position_of

_BEFORE_ALL = Position(0, 0)
_CURSOR_FIELD = re.compile(r"subscriptions\[(\d+)\]\.after\b")


class RoomProgress:
    """The progress in one room.

    Args:
        start: the subscriber's request; repeated until there is a position to resume after.
    """

    def __init__(self, start: chat_pb2.RoomSubscription) -> None:
        self._start = start
        self._passed = position_of(start.after) if start.HasField("after") else _BEFORE_ALL
        self._reached: Position | None = None

    def subscription(self) -> chat_pb2.RoomSubscription:
        """Makes the subscription of this room to request now."""
        if self._reached is None:
            return self._start
        return chat_pb2.RoomSubscription(room=self._start.room, after=_cursor_at(self._reached))

    def admit_note(self, position: Position) -> bool:
        """Whether a note at this position is new; if so, it counts as handed out."""
        if position <= self._passed:
            return False
        self._passed = self._reached = position
        return True

    def caught_up(self, position: Position) -> None:
        """Records that everything up to this position was delivered; it may have no note."""
        self._passed = self._reached = max(self._passed, position)

    def stands_at(self, position: Position) -> None:
        """Records the position that the server names in `Reconnect`.

        Ignored if the subscriber reads from the start and was shown nothing yet: the same request
        again shows nothing twice, and reports no notes that retention has removed, nor a forgotten
        room.
        """
        if self._reached is not None or not self._start.from_start:
            self.caught_up(position)

    def forget(self) -> event_pb2.Discontinuity | None:
        """Gives up a cursor that the server does not know: its log is another one.

        The room begins again from its start, and nothing of it counts as handed out. In another log
        the same position may have another note, and a note shown twice is better than one never
        shown.

        Returns:
            The break to report, without `resumes_at`, which is not known yet. None if the cursor
            was the subscriber's own, which the subscriber must correct.
        """
        if self._reached is None:
            return None
        lost = self._reached
        self._start = chat_pb2.RoomSubscription(room=self._start.room, from_start=True)
        self._passed = _BEFORE_ALL
        self._reached = None
        return event_pb2.Discontinuity(
            room=self._start.room,
            reason=event_pb2.Discontinuity.REASON_EPOCH,
            after=_cursor_at(lost),
        )


class Progress:
    """The progress of all rooms of one subscription.

    Args:
        starts: the first request of each room.
    """

    def __init__(self, starts: Sequence[chat_pb2.RoomSubscription]) -> None:
        self._rooms = [RoomProgress(start) for start in starts]
        self._by_name = {start.room: room for start, room in zip(starts, self._rooms, strict=True)}

    def request(self) -> chat_pb2.SubscribeRequest:
        """Makes the request for now, with the rooms in their first order."""
        return chat_pb2.SubscribeRequest(
            subscriptions=[room.subscription() for room in self._rooms]
        )

    def admit(self, event: event_pb2.Event) -> bool:
        """Whether to hand out an event; if so, it counts as handed out.

        Not: notes that were passed, rooms that were not asked for, unknown kinds, and `Reconnect`,
        whose positions are recorded.
        """
        kind = event.WhichOneof("kind")
        if kind == "reconnect":
            self._take_positions(event.reconnect.places)
            return False
        if kind is None:
            return False
        room = self._by_name.get(getattr(event, kind).room)
        if room is None:
            return False
        if kind == "note":
            return room.admit_note(position_of(event.note))
        if kind == "caught_up":
            room.caught_up(position_of(event.caught_up.cursor))
        return True

    def _take_positions(self, positions: Iterable[event_pb2.RoomPlace]) -> None:
        for told in positions:
            room = self._by_name.get(told.room)
            if room is not None:
                room.stands_at(position_of(told.cursor))

    def forget(self, fields: Iterable[str]) -> list[event_pb2.Event]:
        """Gives up the cursors that the server refused; see `RoomProgress.forget`.

        Args:
            fields: the paths of the fields at fault in the last `request`.

        Returns:
            The breaks to report. Empty if other fields were refused too, so that asking again would
            not help.
        """
        refused: set[int] = set()
        for field in fields:
            match = _CURSOR_FIELD.match(field)
            if match is None or int(match[1]) >= len(self._rooms):
                return []
            refused.add(int(match[1]))
        breaks = [self._rooms[index].forget() for index in sorted(refused)]
        return [event_pb2.Event(discontinuity=each) for each in breaks if each is not None]


def _cursor_at(position: Position) -> note_pb2.Cursor:
    return note_pb2.Cursor(epoch=position.epoch, sequence=position.sequence)
