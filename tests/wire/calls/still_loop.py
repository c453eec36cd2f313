"""As much of a loop as is asked for times, on a clock that stands still."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(eq=False)
class StillTimer:
    """A callback that waits for its time among others."""

    timers: list["StillTimer"]
    when: float
    callback: Callable[[], object]

    def cancel(self) -> None:
        self.timers.remove(self)


class StillLoop:
    """Its time stands still until a test moves it on; it counts how often somebody wakes up."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.wakes = 0
        self._timers: list[StillTimer] = []

    @property
    def due(self) -> list[float]:
        """The times that are waited for."""
        return [timer.when for timer in self._timers]

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], object]) -> StillTimer:
        self._timers.append(StillTimer(self._timers, when, callback))
        return self._timers[-1]

    def move_on(self, seconds: float) -> None:
        self.now += seconds
        for timer in [timer for timer in self._timers if timer.when <= self.now]:
            timer.cancel()
            self.wakes += 1
            timer.callback()
