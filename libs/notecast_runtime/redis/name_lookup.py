"""Finds a host's addresses, with one lookup at a time.

A lookup by the system's resolver can't be cancelled, and may take ten seconds or more if a DNS
server is dead. With a lookup for each attempt to connect, they would pile up: new ones would wait
for abandoned ones, and the process would not end before them. So concurrent callers share a lookup,
and it runs in a thread that the end of the process does not wait for.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Thread

from notecast_runtime.tasks import consume_exception

Resolve = Callable[[str], Sequence[str]]
"""Returns a host's addresses, best first; may block, and raises OSError if there are none."""


def resolve(host: str) -> Sequence[str]:
    """Asks the system; implements `Resolve`."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class NameLookup:
    """Looks up the addresses of one host; concurrent callers share a lookup.

    Args:
        host: a name, or an address, which needs no lookup.
        resolve: does the lookup.
    """

    def __init__(self, host: str, resolve: Resolve = resolve) -> None:
        self._host = host
        self._resolve = resolve
        self._is_address = _is_address(host)
        self._answer: asyncio.Future[Sequence[str]] | None = None

    async def addresses(self) -> Sequence[str]:
        """Returns the host's addresses, best first, at least one. The caller bounds the wait.

        Raises:
            OSError: it has none, or no lookup can be started.
        """
        if self._is_address:
            return [self._host]
        if self._answer is None or self._answer.done():
            self._answer = self._ask()
        return await asyncio.shield(self._answer)

    def _ask(self) -> asyncio.Future[Sequence[str]]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[str]] = loop.create_future()
        answer.add_done_callback(consume_exception)

        def ask() -> None:
            found: Sequence[str] | Exception
            try:
                found = self._resolve(self._host)
            except Exception as error:
                found = error
            with suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(_settle, answer, found)

        try:
            Thread(target=ask, name=f"look up {self._host}", daemon=True).start()
        except RuntimeError as error:
            raise OSError(f"can't look up {self._host}: {error}") from error
        return answer


def _settle(answer: asyncio.Future[Sequence[str]], found: Sequence[str] | Exception) -> None:
    if isinstance(found, Exception):
        answer.set_exception(found)
    else:
        answer.set_result(found)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
