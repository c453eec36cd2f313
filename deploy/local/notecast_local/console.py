"""Prints for the user: progress at the start, how to chat, and the end."""

from collections.abc import Sequence
from typing import IO

import rich.console
import rich.status


class _TerminalConsole(rich.console.Console):
    """Goes silent if its reader has gone, instead of ending the process as rich does."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class Console:
    """Prints to a terminal with colour and a spinner, to any other stream in plain lines.

    If the stream is gone (the terminal was closed), the stack still stops in order.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._console = _TerminalConsole(file=stream, soft_wrap=True, highlight=False, markup=False)
        self._status: rich.status.Status | None = None

    def starting(self, names: Sequence[str]) -> None:
        """Reports that a stage was started and is not ready yet."""
        if self._console.is_terminal:
            self._status = self._console.status(f"starting {', '.join(names)}", spinner="line")
            self._status.start()

    def ready(self, names: Sequence[str], seconds: float) -> None:
        """Reports that the stage is ready."""
        self._end_status()
        self.say(f"  ready  {', '.join(names)} ({seconds:.1f} s)", style="green")

    def stopping(self) -> None:
        """Reports that everything is about to be stopped."""
        self._end_status()
        self.say("stopping (Ctrl-C again: at once)")

    def killed(self, name: str) -> None:
        """Reports that a child had to be killed."""
        self.say(f"  killed {name}", style="yellow")

    def fail(self, text: str) -> None:
        """Prints the reason for the end."""
        self._end_status()
        self.say(text, style="bold red")

    def say(self, text: str, style: str | None = None) -> None:
        """Prints a text as it is."""
        try:
            self._console.print(text, style=style)
        except OSError:
            self._console.quiet = True

    def _end_status(self) -> None:
        status, self._status = self._status, None
        if status is not None:
            try:
                status.stop()
            except OSError:
                self._console.quiet = True
