"""The server: registers methods, listens, starts and stops."""

from __future__ import annotations  # grpc's types take parameters only for checkers

import asyncio
import math
import ssl
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any, Final

import grpc
import structlog
from grpc import Compression, aio

from notecast_wire.calls.server_state import OpenConnections, ServerState
from notecast_wire.fairness.clients import NO_PROXIES, TrustedProxies
from notecast_wire.fairness.shares import ShareRatios
from notecast_wire.rpc.options import ServerOptions, read_options
from notecast_wire.server.addresses import Listener, listen
from notecast_wire.server.dispatch import Dispatcher
from notecast_wire.server.protocol import ServerProtocol

_log = structlog.get_logger(__name__)

_BACKLOG: Final = 1_024
_KEPT_MEMORY_BYTES: Final = 8 * 1024 * 1024
_LAST_SECONDS: Final = 5.0
"""Bound on the time for cancelled handlers to end, and for sockets to close."""

_LAST_SHARE: Final = 0.03
"""Share of the grace that is kept for this, so that a stop is over with its grace."""

_SHORTEST_LAST_SECONDS: Final = 0.05

_LINGERING_SHARE: Final = 0.5
"""Share of the time left after which a socket is closed without its client's consent."""


class Server(aio.Server):
    """A gRPC server on asyncio's loop or uvloop, with the interface of `grpc.aio.Server`.

    Made by `notecast_wire.server`.

    Args:
        dispatcher: knows the methods.
        options: the bounds and times.
        gzip: whether responses are compressed if neither handler nor client objects.
    """

    def __init__(self, dispatcher: Dispatcher, options: ServerOptions, *, gzip: bool) -> None:
        self._dispatcher = dispatcher
        self._options = options
        self._gzip = gzip
        self._listeners: list[tuple[Listener, ssl.SSLContext | None]] = []
        self._accepting: list[asyncio.Server] = []
        self._connections = OpenConnections()
        self._state: ServerState | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._grace_over = asyncio.Event()
        self._ends_at = math.inf
        self._stopped = asyncio.Event()

    def add_generic_rpc_handlers(
        self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]
    ) -> None:
        """Adds handlers that tell themselves which methods they know."""
        self._dispatcher.add_generic(generic_rpc_handlers)

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]]
    ) -> None:
        """Adds a service's methods, by name; they take precedence over generic handlers."""
        self._dispatcher.add_registered(
            {f"/{service_name}/{name}": handler for name, handler in method_handlers.items()}
        )

    def add_insecure_port(self, address: str) -> int:
        """Binds `host:port`, `[v6]:port` or `unix:path` at once; clients wait until `start`.

        Returns:
            The port, which the system chooses for 0; 1 for a Unix socket.

        Raises:
            RuntimeError: it can't be bound, for example because another server has it: ports are
                not shared (no SO_REUSEPORT).
        """
        return self._listen(address, None)

    def add_secure_port(  # type: ignore[override]
        self, address: str, server_credentials: ssl.SSLContext
    ) -> int:
        """Binds an address with TLS; see `add_insecure_port`.

        Args:
            address: see `add_insecure_port`.
            server_credentials: from `notecast_wire.ssl_server_credentials`, or another context
                that offers `h2` by ALPN. What `grpc.ssl_server_credentials` makes can't be read.

        Raises:
            TypeError: the credentials are no SSLContext.
            RuntimeError: see `add_insecure_port`.
        """
        if not isinstance(server_credentials, ssl.SSLContext):
            raise TypeError("credentials must come from notecast_wire.ssl_server_credentials")
        return self._listen(address, server_credentials)

    async def start(self) -> None:
        """Starts to serve.

        Raises:
            grpc.aio.UsageError: it was started or stopped before.
        """
        if self._state is not None or self._stopping is not None:
            raise aio.UsageError("a server starts once")
        _keep_freed_memory()
        loop = asyncio.get_running_loop()
        self._state = ServerState(loop, self._options, gzip=self._gzip)
        for listener, tls in self._listeners:
            for listening in listener.sockets:
                self._accepting.append(
                    await loop.create_server(
                        self._new_connection,
                        sock=listening,
                        backlog=_BACKLOG,
                        ssl=tls,
                        ssl_handshake_timeout=None
                        if tls is None
                        else self._options.handshake_timeout,
                    )
                )

    async def stop(self, grace: float | None) -> None:
        """Stops: refuses new connections and calls, and ends open ones.

        Clients are asked to leave with two GOAWAYs, so that no request is lost that is under
        way (RFC 9113, 6.8); what comes later is refused in a way that says it may be retried
        elsewhere (REFUSED_STREAM). Calls may finish within the grace; when a small part of it is
        left they end with UNAVAILABLE and their handlers are cancelled. With the grace, that is
        over too, whatever clients and handlers do.

        Called again, the shorter grace counts. Every call returns once all has ended.

        Args:
            grace: seconds; None or 0 ends all calls at once, and gives handlers 5 s to end.
        """
        loop = asyncio.get_running_loop()
        if grace:
            last = max(min(grace * _LAST_SHARE, _LAST_SECONDS), _SHORTEST_LAST_SECONDS)
            loop.call_later(max(grace - last, 0), self._grace_over.set)
        else:
            last = grace = _LAST_SECONDS
            self._grace_over.set()
        self._ends_at = min(self._ends_at, loop.time() + max(grace, last))
        if self._stopping is None:
            self._stopping = loop.create_task(self._stop())
        await asyncio.shield(self._stopping)

    def flush_reads_in(self, seconds: float) -> None:
        """Flushes the batched reads in `seconds`; ignored if that is too early.

        For servers that answer in rounds: a request that is processed earlier would only wait for
        the next round. Does nothing before `start`, or where reads are not batched
        (`notecast_wire.read_batching_ms`).

        Args:
            seconds: how long from now. The caller bounds it by how long clients may wait;
                nothing else does.
        """
        if self._state is not None:
            self._state.read_batcher.flush_at = self._state.loop.time() + seconds

    async def wait_for_termination(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - the interface's
        """Waits until the server has stopped: True; or False after `timeout` seconds."""
        try:
            await asyncio.wait_for(self._stopped.wait(), timeout)
        except TimeoutError:
            return False
        return True

    def _listen(self, address: str, tls: ssl.SSLContext | None) -> int:
        listener = listen(address)
        self._listeners.append((listener, tls))
        return listener.port

    async def _stop(self) -> None:
        # 1. Refuse new connections.
        for accepting in self._accepting:
            accepting.close()
        for listener, _ in self._listeners:
            listener.close()
        if self._state is not None:
            self._state.stopping = True
            await self._end_calls(self._state)
        self._stopped.set()

    async def _end_calls(self, state: ServerState) -> None:
        # 2. Ask clients to leave, within the grace.
        if not self._grace_over.is_set():
            for connection in list(self._connections):
                connection.leave()
            await _first(self._connections.empty, self._grace_over)
        # 3. End the calls that go on after that.
        for connection in list(self._connections):
            connection.end(self._time_left(state) * _LINGERING_SHARE)
        # 4. Give handlers a moment to clean up, and clients to read how their calls ended.
        tasks = [call.task for call in state.running if call.task is not None]
        if tasks:
            _, stuck = await asyncio.wait(tasks, timeout=self._time_left(state))
            if stuck:
                names = sorted({task.get_name() for task in stuck})
                _log.warning("handlers_do_not_end", count=len(stuck), methods=names)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._connections.empty.wait(), self._time_left(state))
        state.deadlines.stop()
        state.request_timeouts.stop()

    def _time_left(self, state: ServerState) -> float:
        return max(self._ends_at - state.loop.time(), 0.0)

    def _new_connection(self) -> ServerProtocol:
        assert self._state is not None  # noqa: S101 - it is there before anything is accepted
        return ServerProtocol(self._state, self._dispatcher, self._connections)


def _keep_freed_memory() -> None:
    """Makes glibc keep some freed memory for the next turn, for the whole process.

    At first glibc returns free memory at the heap's end to the system once it is 128 KiB. The
    output of a fan-out in one turn of the event loop is more. It would be allocated from the system
    and returned each time: half of its cost. Freeing a block raises the bound to twice its size
    (mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD). On other allocators this has no effect.
    """
    bytes(_KEPT_MEMORY_BYTES // 2)


async def _first(*events: asyncio.Event) -> None:
    """Waits until one of the events is set."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def server(
    migration_thread_pool: Executor | None = None,
    handlers: Sequence[grpc.GenericRpcHandler] | None = None,
    interceptors: Sequence[aio.ServerInterceptor] | None = None,
    options: Iterable[tuple[str, Any]] | None = None,
    maximum_concurrent_rpcs: int | None = None,
    compression: Compression | None = None,
    *,
    trusted_proxies: TrustedProxies = NO_PROXIES,
    share_ratios: ShareRatios | None = None,
) -> Server:
    """Makes a server to register services on, with the arguments of `grpc.aio.server` and two more.

    Args:
        migration_thread_pool: must be None: handlers that are plain functions are not run.
        handlers: of methods that are known already.
        interceptors: asked for the handler of every call, in this order; those of
            `MethodInterceptor` once a method.
        options: pairs of names and values, as `options` lists them.
        maximum_concurrent_rpcs: calls above that get RESOURCE_EXHAUSTED, whatever they are;
            None for any number.
        compression: Gzip to compress responses unless a handler says otherwise.
        trusted_proxies: peers that may name the clients of their requests; others may not.
        share_ratios: how much of what clients share one of them may hold; None for the default.

    Raises:
        ValueError: an unknown option, one out of its bounds, or Deflate.
        TypeError: a thread pool, or something that is no interceptor.
    """
    if migration_thread_pool is not None:
        raise TypeError("handlers are `async def` here: there is no use for a thread pool")
    for interceptor in interceptors or ():
        if not isinstance(interceptor, aio.ServerInterceptor):
            raise TypeError(f"{interceptor!r} is no grpc.aio.ServerInterceptor")
    if compression not in (None, Compression.NoCompression, Compression.Gzip):
        raise ValueError(f"{compression!r} is not supported")
    dispatcher = Dispatcher(interceptors or (), maximum_concurrent_rpcs)
    read = read_options(options or (), trusted_proxies, share_ratios)
    made = Server(dispatcher, read, gzip=compression is Compression.Gzip)
    made.add_generic_rpc_handlers(handlers or ())
    return made
