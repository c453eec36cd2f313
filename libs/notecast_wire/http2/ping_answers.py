"""When PINGs are answered: the first at once, those that come soon after it together."""

from typing import Final

from notecast_wire.http2.limits import ConnectionLimits

_MAX_KEPT: Final = 16


class PingAnswers:
    """Spaces the answers to a peer's PINGs: `ConnectionLimits.pong_spacing_seconds` says why.

    It knows no clock and sends nothing: it is told the time in monotonic seconds, and how many
    bytes of DATA were sent so far, and says what is to be answered.

    Args:
        limits: how far answers are apart, and how late one may be.

    Attributes:
        kept: the payloads of the PINGs that wait.
    """

    __slots__ = ("_limits", "_next", "_next_bytes", "kept")

    def __init__(self, limits: ConnectionLimits) -> None:
        self.kept: list[bytes] = []
        self._limits = limits
        self._next = float("-inf")
        self._next_bytes = 0

    def receive(self, payload: bytes, now: float, sent_bytes: int) -> tuple[list[bytes], float]:
        """Takes a PING.

        Returns:
            The payloads to answer now, each in a frame of its own; and in how many seconds those
            that are kept are to be answered, 0 where nothing is kept or that was said before.
        """
        if not self.kept and self.may_answer(now, sent_bytes):
            self._space(now, sent_bytes)
            return [payload], 0.0
        self.kept.append(payload)
        if len(self.kept) == 1:
            return [], self.wait(now)
        if len(self.kept) <= _MAX_KEPT:
            return [], 0.0
        answered, self.kept = self.kept[:-1], self.kept[-1:]  # for the last, the time holds that
        return answered, 0.0  # was said before

    def may_answer(self, now: float, sent_bytes: int) -> bool:
        """Whether PINGs have waited for long enough to be answered with what is written anyway."""
        return now >= self._next or sent_bytes >= self._next_bytes

    def wait(self, now: float) -> float:
        """For how many seconds those that are kept may wait still, if nothing is written."""
        return self._next + self._limits.pong_delay_seconds - now

    def take(self, now: float, sent_bytes: int) -> list[bytes]:
        """Takes the payloads that are kept, to be answered now."""
        taken, self.kept = self.kept, []
        self._space(now, sent_bytes)
        return taken

    def _space(self, now: float, sent_bytes: int) -> None:
        self._next = now + self._limits.pong_spacing_seconds
        self._next_bytes = sent_bytes + self._limits.pong_spacing_bytes
