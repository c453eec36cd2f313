"""Which layout the data in Redis have, and that no other is ever written to.

The version is remembered with the data. Every new connection asks for it before anything
else (`epoch_guard`), so that a Redis that was replaced or restored under a running service
is told from the one before. Another version does not heal by waiting: the process ends.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import structlog
from redis.exceptions import ConnectionError as RedisConnectionError

from notecast_runtime.keyspace import LAYOUT_KEY, first_layout_runs

Ask = Callable[[Sequence[Sequence[str | bytes | int]]], Awaitable[Sequence[Any]]]
"""Sends commands together, and returns their answers in order, as bytes.

A refusal is an exception in the place of its answer. Raises where the connection was lost.
"""

EXIT_CODE = 3
"""Of a process that met data of another layout."""

_FIRST, _SECOND = 1, 2
"""Data without a version are told apart by their tags: the first layout was in use before it was
numbered, and what has lost its number has the tags of the second."""

MIGRATION = f"{_FIRST}>{_SECOND}"
"""Stands in the version's place while `migration` carries data over: no release knows it."""

_LONGEST_SHOWN = 64
"""Bytes of what stands in a version's place."""

_NEWER = "a newer release wrote them: start that one again, or restore a backup of before it"
_OLDER = (
    "an older release wrote them: start that one again, or back them up and run"
    " `python -m notecast_runtime.migrate`"
)
_BETWEEN = (
    "they are being migrated: run `python -m notecast_runtime.migrate` until it says `migrated`"
)
_OTHER = "something else wrote that key: is this the right Redis, and the right database?"

_FIRST_RUNS = ("MGET", *first_layout_runs())

_log = structlog.get_logger(__name__)


class LayoutError(RedisConnectionError):
    """The data in Redis have another layout than the one that this release knows.

    For whoever wants to use the connection it is one that could not be made.

    Args:
        found: what the data say: a version, or whatever stands in its place.
        known: the version of this release.
    """

    def __init__(self, found: str, known: int) -> None:
        self.found = found
        self.known = known
        super().__init__(f"{LAYOUT_KEY} is {found}, and this release knows {known}")

    @property
    def advice(self) -> str:
        """What an operator can do."""
        if self.found == MIGRATION:
            return _BETWEEN
        if not self.found.isdecimal():
            return _OTHER
        return _NEWER if int(self.found) > self.known else _OLDER


class LayoutCheck:
    """Compares the version of the data with ours, and remembers that they differ.

    Args:
        known: our version.
    """

    def __init__(self, known: int) -> None:
        self._known = known
        self._refusal: LayoutError | None = None
        self._refused = asyncio.Event()

    @property
    def refusal(self) -> LayoutError | None:
        """What was wrong when data of another layout were met."""
        return self._refusal

    async def check(self, ask: Ask, answer: Any, *, in_use: bool) -> None:  # noqa: ANN401 - Redis's
        """Raises where the data are of another layout; numbers them where nobody has.

        Args:
            ask: speaks to Redis.
            answer: to `GET` of the layout's key.
            in_use: whether any run of Redis was remembered, under the names of today, *before*
                that was asked. (Epochs would not do: where Redis forgets all
                that it has, they are written anew on connections that are open already.)

        Raises:
            LayoutError: they are of another layout. Nothing was written.
            RedisConnectionError: Redis can't say it now.
        """
        found = _version(answer)
        if found is None:
            found = await self._number(ask, in_use=in_use)
        if found != str(self._known):
            self._refusal = LayoutError(found, self._known)
            self._refused.set()
            raise self._refusal

    @asynccontextmanager
    async def enforced(self) -> AsyncIterator[None]:
        """Ends whoever is inside once data of another layout were met.

        Raises:
            LayoutError: they were.
        """
        task, ended = asyncio.current_task(), False

        def end(watch: asyncio.Task[Any]) -> None:
            nonlocal ended
            if task is not None and not watch.cancelled():
                ended = task.cancel()

        watch = asyncio.create_task(self._refused.wait())
        watch.add_done_callback(end)
        try:
            yield
        except asyncio.CancelledError:
            # As asyncio.timeout does: who else has asked for the end gets it.
            if not ended or task is None or task.uncancel() or self._refusal is None:
                raise
            raise self._refusal from None
        finally:
            watch.cancel()

    async def _number(self, ask: Ask, *, in_use: bool) -> str:
        """Numbers the data; returns the version that they have then, maybe by somebody else."""
        [runs] = await ask([_FIRST_RUNS])
        if isinstance(runs, Exception):
            raise RedisConnectionError(f"the layout can't be checked: {runs}")
        if any(runs):
            return str(_FIRST)
        if in_use and self._known != _SECOND:
            return str(_SECOND)
        written, answer = await ask([("SET", LAYOUT_KEY, self._known, "NX"), ("GET", LAYOUT_KEY)])
        found = _version(answer)
        if isinstance(written, Exception) or found is None:
            raise RedisConnectionError(f"the layout can't be written: {written}")
        if in_use:
            _log.info("data_taken_over", layout=self._known)
        return found


@contextmanager
def exit_on_another_layout() -> Iterator[None]:
    """Says in one line why the process ends, and what to do.

    Raises:
        SystemExit: with EXIT_CODE, where a LayoutError came out.
    """
    try:
        yield
    except LayoutError as error:
        _log.error(
            "data_layout_unknown",
            key=LAYOUT_KEY,
            found=error.found,
            known=error.known,
            advice=error.advice,
            see="docs/operations.md, Upgrade and rollback",
        )
        raise SystemExit(EXIT_CODE) from None


def _version(answer: Any) -> str | None:  # noqa: ANN401 - Redis's
    if isinstance(answer, Exception):
        if not str(answer).startswith("WRONGTYPE"):
            raise RedisConnectionError(f"the layout can't be checked: {answer}")
        return "no string"
    return None if answer is None else bytes(answer)[:_LONGEST_SHOWN].decode(errors="replace")
