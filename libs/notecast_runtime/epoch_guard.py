"""The first thing said on every new connection: is this still the Redis that we know?

A Redis that was restarted, or promoted, may lack its newest writes, and is only ever
reached through new connections. redis-py makes those inside of commands, so the question
belongs to the connection's own connect hook: nothing is accepted or persisted before it.
"""

from importlib import resources
from typing import Any

import structlog
from redis.exceptions import ResponseError

from notecast_runtime.keyspace import (
    PARTITIONS,
    epoch_end_prefix,
    epoch_key,
    epochs_key,
    heads_key,
    run_key,
)

_SCRIPT = resources.files(__package__).joinpath("guard.lua").read_text()

_EPOCHS_REMEMBERED = 16
"""Of each partition: a cursor that is older than so many restarts is of an unknown epoch."""

_log = structlog.get_logger(__name__)


class EpochGuard:
    """Begins a new epoch in every partition when another run of Redis answers.

    It keeps nothing between connections: which run has been seen to is remembered with the
    data. What a process remembers would be wrong where a server is demoted and promoted
    again, under the same run id, with data that another one has written meanwhile.
    """

    async def on_connect(self, connection: Any) -> None:  # noqa: ANN401 - redis-py's, untyped
        """For redis-py's `redis_connect_func`; what it raises fails the connection."""
        await connection.on_connect()
        run_id = await _run_id(connection)
        # Partitions are seen to in their order, so where the last one was, all were.
        if await _ask(connection, "GET", run_key(PARTITIONS - 1)) == run_id.encode():
            return
        for partition in range(PARTITIONS):
            keys = (
                epoch_key(partition),
                run_key(partition),
                heads_key(partition),
                epochs_key(partition),
            )
            prefix = epoch_end_prefix(partition)
            await connection.send_command(
                "EVAL", _SCRIPT, len(keys), *keys, run_id, prefix, _EPOCHS_REMEMBERED
            )
        # Every answer is read before a refusal is raised: the next command must not get it.
        answers = [await _answer(connection) for _ in range(PARTITIONS)]
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        _log.info("redis_run_seen", run_id=run_id)


async def _ask(connection: Any, *command: str) -> Any:  # noqa: ANN401 - redis-py's, untyped
    await connection.send_command(*command)
    return await connection.read_response(disable_decoding=True)


async def _run_id(connection: Any) -> str:  # noqa: ANN401 - redis-py's, untyped
    text: str = (await _ask(connection, "INFO", "server")).decode()
    return next(line.partition(":")[2] for line in text.splitlines() if line.startswith("run_id:"))


async def _answer(connection: Any) -> Any:  # noqa: ANN401 - redis-py's, untyped
    try:
        return await connection.read_response(disable_decoding=True)
    except ResponseError as refusal:
        return refusal
