"""Finds a host's addresses, asking for them one question at a time.

Nobody can take back a question to the system's resolver, which may answer after ten seconds or
more where a DNS server is dead. With one question for each who tries to connect and gives up, they
pile up: new ones wait behind those that nobody wants any more, and a process would not end before
them. So all who ask meanwhile wait for the same answer, and a thread that the end of the process
does not wait for asks.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Thread

from notecast_runtime.tasks import consume_exception

Resolve = Callable[[str], Sequence[str]]
"""Gives a host's addresses, best first; may block, and raises OSError where there are none."""


def resolve(host: str) -> Sequence[str]:
    """Asks the system. As `Resolve`."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class NameLookup:
    """The addresses of one host, asked for anew whenever no question is under way.

    Args:
        host: a name, or an address, for which nobody is asked.
        resolve: asks.
    """

    def __init__(self, host: str, resolve: Resolve = resolve) -> None:
        self._host = host
        self._resolve = resolve
        self._is_address = _is_address(host)
        self._answer: asyncio.Future[Sequence[str]] | None = None

    async def addresses(self) -> Sequence[str]:
        """The host's addresses, best first, at least one. There is no deadline: the caller sets it.

        Raises:
            OSError: it has none, or nobody can be asked.
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
            raise OSError(f"nobody can look up {self._host}: {error}") from error
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
