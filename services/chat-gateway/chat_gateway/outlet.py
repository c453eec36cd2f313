"""One client's stream as the fan-out sees it, whatever transport carries it."""

from collections.abc import Callable
from typing import Protocol

from notecast_runtime.errors import NotecastError


class Outlet(Protocol):
    """Takes one run of frames at a time, and has no queue.

    A transport makes an outlet for each stream. While what it took is not on its way
    (flow control), it refuses more; the reader's place in the log is kept by whoever
    writes, so a slow stream costs no memory.
    """

    def on_writable(self, callback: Callable[[], None]) -> None:
        """Has the callback called each time that what was taken is on its way."""

    @property
    def waiting_since(self) -> float | None:
        """Since when, in seconds of the clock, nothing of what was taken got on its way.

        None while there is nothing to send: an idle stream does not wait.
        """

    def write(self, body: bytes) -> bool:
        """Takes a run of frames to send; False, taking nothing, while the last is not out.

        Args:
            body: a serialised SubscribeResponse, not empty.
        """

    def end(self, error: NotecastError) -> None:
        """Ends the stream with the error's status once what was taken is out."""

    def cut(self, error: NotecastError) -> None:
        """Ends the stream with the error's status, without waiting for what was taken."""
