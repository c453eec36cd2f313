"""A `notecast_wire` server in this process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

import notecast_wire


@asynccontextmanager
async def serving(
    *handlers: grpc.GenericRpcHandler,
    compression: grpc.Compression | None = None,
    **options: int,
) -> AsyncIterator[str]:
    """Serves on a free port until the block ends; gives the target.

    Args:
        handlers: of the services.
        compression: of what is answered.
        options: of the server, as `grpc_max_receive_message_length` for
            `grpc.max_receive_message_length`.
    """
    pairs = [(name.replace("_", ".", 1), value) for name, value in options.items()]
    server = notecast_wire.server(options=pairs, compression=compression)
    server.add_generic_rpc_handlers(handlers)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
