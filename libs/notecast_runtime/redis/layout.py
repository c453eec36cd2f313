"""Checks the layout of the data in Redis: no other layout is ever written to.

The version is stored with the data. Every new connection reads it before anything else
(`epoch_guard`), so that a Redis that was replaced or restored under a running service is noticed.
Waiting does not help against another version: the process ends.
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

A refusal is an exception in place of its answer. Raises if the connection was lost.
"""

EXIT_CODE = 3
"""The exit code of a process that met data of another layout."""

_FIRST, _SECOND = 1, 2
"""Data without a version are told apart by their tags: the first layout was in use before it was
numbered, and what has lost its number has the tags of the second."""

MIGRATION = f"{_FIRST}>{_SECOND}"
"""Replaces the version while `migration` runs: no release knows it."""

_LONGEST_SHOWN = 64
"""Bound on the bytes of a version that are shown."""

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

    For a user of the connection, it is a connection that could not be made.

    Args:
        found: the version of the data, or what is in its place.
        known: the version of this release.
    """

    def __init__(self, found: str, known: int) -> None:
        self.found = found
        self.known = known
        super().__init__(f"{LAYOUT_KEY} is {found}, and this release knows {known}")

    @property
    def advice(self) -> str:
        """Advice for an operator."""
        if self.found == MIGRATION:
            return _BETWEEN
        if not self.found.isdecimal():
            return _OTHER
        return _NEWER if int(self.found) > self.known else _OLDER


class LayoutCheck:
    """Compares the version of the data with the known one, and remembers a difference.

    Args:
        known: the version of this release.
    """

    def __init__(self, known: int) -> None:
        self._known = known
        self._refusal: LayoutError | None = None
        self._refused = asyncio.Event()

    @property
    def refusal(self) -> LayoutError | None:
        """The error, once data of another layout were met."""
        return self._refusal

    async def check(self, ask: Ask, answer: Any, *, in_use: bool) -> None:  # noqa: ANN401 - Redis's
        """Raises if the data have another layout; sets the version if there is none.

        Args:
            ask: sends commands to Redis.
            answer: the answer to `GET` of the layout's key.
            in_use: whether any run of Redis was remembered, under the names of today, *before*
                that was asked. (Epochs would not do: where Redis forgets all
                that it has, they are written anew on connections that are open already.)

        Raises:
            LayoutError: they have another layout. Nothing was written.
            RedisConnectionError: Redis can't tell now.
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
        """Cancels the block once data of another layout are met.

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
            # Like asyncio.timeout: a cancellation by other code is passed on.
            if not ended or task is None or task.uncancel() or self._refusal is None:
                raise
            raise self._refusal from None
        finally:
            watch.cancel()

    async def _number(self, ask: Ask, *, in_use: bool) -> str:
        """Sets the version of the data; returns the one they have then: another may win."""
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
    """Logs in one line why the process ends, and what to do.

    Raises:
        SystemExit: with `EXIT_CODE`, if the block raised a LayoutError.
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
