"""Remembers which runs of Redis have answered at an address, and whether they alternate. Pure."""

from collections import deque

_WINDOW_SECONDS = 60.0
_MOST_RETURNS = 4
"""A failover brings a new run; a failback to an earlier one is a return. A proxy that distributes
connections over several servers brings more returns within a second."""

_RUNS_KNOWN = 8


def run_id_of(server: bytes) -> str:
    """Finds the run id in an answer to INFO server."""
    lines = server.decode().splitlines()
    return next(line.partition(":")[2] for line in lines if line.startswith("run_id:"))


class RunHistory:
    """The runs that have answered, in the order of their last answer."""

    def __init__(self) -> None:
        self._runs: deque[str] = deque(maxlen=_RUNS_KNOWN)
        self._returns: deque[float] = deque(maxlen=_MOST_RETURNS + 1)
        self._now = 0.0

    @property
    def known(self) -> list[str]:
        """The runs that have answered, the latest last."""
        return list(self._runs)

    @property
    def newest(self) -> str | None:
        """The run that answered last; None if none has."""
        return self._runs[-1] if self._runs else None

    @property
    def alternate(self) -> bool:
        """Whether runs that others had replaced came back too often in the last minute."""
        recent = [at for at in self._returns if self._now - at < _WINDOW_SECONDS]
        return len(recent) > _MOST_RETURNS

    def see(self, run_id: str, now: float) -> bool:
        """Records the run that has answered on a new connection.

        Args:
            run_id: the run's id.
            now: monotonic time in seconds.

        Returns:
            Whether another run answered before it.
        """
        self._now = now
        if self.newest == run_id:
            return False
        is_other = bool(self._runs)
        if run_id in self._runs:
            self._runs.remove(run_id)
            self._returns.append(now)
        self._runs.append(run_id)
        return is_other
