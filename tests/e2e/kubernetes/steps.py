"""The steps of a run: said when they begin and when they end, with the time that they took."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple, TypeVar

import rich.box
from rich.console import Console
from rich.table import Table

_NEWS_SECONDS = 10.0

Outcome = TypeVar("Outcome")


class Taken(NamedTuple):
    """A step that is over."""

    name: str
    seconds: float
    detail: str
    failed: bool


class Steps:
    """Runs steps, one after the other.

    Args:
        console: where they are told.
        news: what is going on meanwhile, for steps that take long; empty: nothing.
    """

    def __init__(self, console: Console, news: Callable[[], str]) -> None:
        self._console = console
        self._news = news
        self.taken: list[Taken] = []

    async def take(self, name: str, doing: Awaitable[Outcome]) -> Outcome:
        """Waits for a step, and returns its outcome; what it fails with is passed on.

        Args:
            name: of the step, in words.
            doing: what is done; where it returns text, that is told.
        """
        begin = time.monotonic()
        self._say(f"{len(self.taken) + 1:3}  {name} ...")
        telling = asyncio.create_task(self._tell(begin))
        try:
            outcome = await doing
        except BaseException:
            self._take(name, begin, "", failed=True)
            raise
        finally:
            telling.cancel()
            with suppress(asyncio.CancelledError):
                await telling
        self._take(name, begin, outcome if isinstance(outcome, str) else "", failed=False)
        return outcome

    def show(self) -> None:
        """Prints all steps in a table."""
        table = Table(title="steps", box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        table.add_column("step")
        table.add_column("time", justify="right", no_wrap=True)
        table.add_column("")
        for step in self.taken:
            style = "red" if step.failed else None
            table.add_row(step.name, f"{step.seconds:.1f} s", step.detail, style=style)
        total = sum(step.seconds for step in self.taken)
        table.add_section()
        table.add_row("total", f"{total:.1f} s", "", style="bold")
        self._console.print(table)

    def _take(self, name: str, begin: float, detail: str, *, failed: bool) -> None:
        seconds = time.monotonic() - begin
        self.taken.append(Taken(name, seconds, detail, failed))
        word = "FAILED after" if failed else "done in"
        self._say(f"     {word} {seconds:.1f} s{f': {detail}' if detail else ''}")

    async def _tell(self, begin: float) -> None:
        while True:
            await asyncio.sleep(_NEWS_SECONDS)
            news = ", ".join(filter(None, [f"{time.monotonic() - begin:.0f} s", self._news()]))
            self._say(f"     {news}")

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
