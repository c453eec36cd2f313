"""Prints what the user sees: progress while it starts, how to chat, and how it ends."""

from collections.abc import Sequence
from typing import IO

import rich.console
import rich.status


class _TerminalConsole(rich.console.Console):
    """Falls silent where nobody reads any more, instead of ending the process (rich's way)."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class Console:
    """Tells a terminal with colour and a spinner, and any other stream in plain lines.

    A stream that is gone (the terminal was closed) is no reason not to stop in order.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._console = _TerminalConsole(file=stream, soft_wrap=True, highlight=False, markup=False)
        self._status: rich.status.Status | None = None

    def starting(self, names: Sequence[str]) -> None:
        """A stage was started and is not ready yet."""
        if self._console.is_terminal:
            self._status = self._console.status(f"starting {', '.join(names)}", spinner="line")
            self._status.start()

    def ready(self, names: Sequence[str], seconds: float) -> None:
        """The stage is ready."""
        self._end_status()
        self.say(f"  ready  {', '.join(names)} ({seconds:.1f} s)", style="green")

    def stopping(self) -> None:
        """All is about to be stopped."""
        self._end_status()
        self.say("stopping (Ctrl-C again: at once)")

    def killed(self, name: str) -> None:
        """A child had to be ended by force."""
        self.say(f"  killed {name}", style="yellow")

    def fail(self, text: str) -> None:
        """Prints why it ends."""
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
