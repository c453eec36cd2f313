"""How a run goes, shown while it goes."""

import asyncio
import time
from types import TracebackType
from typing import Protocol, Self

import rich.console
import rich.status

from tests.chaos.crowd import Crowd
from tests.chaos.injector import Injector

_TERMINAL_SECONDS = 0.25
_PLAIN_SECONDS = 10.0


class Live(Protocol):
    """Whoever shows it."""

    def watch(self, crowd: Crowd, injector: Injector) -> None:
        """Learns where the numbers come from."""

    def phase(self, name: str, seconds: float | None = None) -> None:
        """A part of the run begins, which takes about that long."""


class Silent:
    """Shows nothing."""

    def watch(self, crowd: Crowd, injector: Injector) -> None:
        """Implements `Live.watch`."""

    def phase(self, name: str, seconds: float | None = None) -> None:
        """Implements `Live.phase`."""


class Line:
    """A line that is kept up to date on a terminal, and one every 10 s elsewhere.

    Used as a context manager, so that the line's end is tidy.

    Args:
        console: where to.
    """

    def __init__(self, console: rich.console.Console) -> None:
        self._console = console
        self._status: rich.status.Status | None = None
        self._name = ""
        self._seconds: float | None = None
        self._begin = time.monotonic()
        self._crowd: Crowd | None = None
        self._injector: Injector | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._console.is_terminal:
            self._status = self._console.status("", spinner="line")
            self._status.start()
        self._task = asyncio.create_task(self._refresh())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._status is not None:
            self._status.stop()

    def watch(self, crowd: Crowd, injector: Injector) -> None:
        """Implements `Live.watch`."""
        self._crowd, self._injector = crowd, injector

    def phase(self, name: str, seconds: float | None = None) -> None:
        """Implements `Live.phase`."""
        self._name, self._seconds, self._begin = name, seconds, time.monotonic()
        if self._status is None:
            self._console.print(self._text(), highlight=False)

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(_TERMINAL_SECONDS if self._status else _PLAIN_SECONDS)
            if self._status is not None:
                self._status.update(self._text())
            else:
                self._console.print(self._text(), highlight=False)

    def _text(self) -> str:
        elapsed = time.monotonic() - self._begin
        of = f" of {self._seconds:g}" if self._seconds is not None else ""
        text = f"{self._name} {elapsed:.0f}{of} s"
        if self._crowd is None or self._injector is None or not self._crowd.begun:
            return text
        faults = ", ".join(f"{f.kind} {f.target}" for f in self._injector.active) or "no fault"
        return (
            f"{text}  |  {faults}  |  {self._crowd.streams} streams, "
            f"{self._crowd.acknowledged} acknowledged, {self._crowd.delivered} delivered"
        )
