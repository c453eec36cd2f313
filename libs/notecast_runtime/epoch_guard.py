"""The first thing said on every new connection: is this still the Redis that we know?

And are its data such as we can read (`layout`)?

A Redis that was restarted, or promoted, may lack its newest writes, and is only ever
reached through new connections. redis-py makes those inside of commands, so the question
belongs to the connection's own connect hook: nothing is accepted or persisted before it.
"""

from collections.abc import Sequence
from functools import partial
from importlib import resources
from typing import Any

import structlog
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from notecast_runtime.keyspace import (
    LAYOUT_KEY,
    LAYOUT_VERSION,
    PARTITIONS,
    epoch_end_prefix,
    epoch_key,
    epochs_key,
    heads_key,
    run_key,
)
from notecast_runtime.layout import Ask, LayoutCheck

_SCRIPT = resources.files(__package__).joinpath("guard.lua").read_text()

_EPOCHS_REMEMBERED = 16
"""Of each partition: a cursor that is older than so many restarts is of an unknown epoch."""

_CORRUPT = "CORRUPT"
"""Begins the script's refusal where a key of the partition holds what it can't hold."""

_log = structlog.get_logger(__name__)


class EpochGuard:
    """Begins a new epoch in every partition when another run of Redis answers.

    It keeps nothing between connections: which run has been seen to is remembered with the
    data. What a process remembers would be wrong where a server is demoted and promoted
    again, under the same run id, with data that another one has written meanwhile. Only that
    data of another layout were met it keeps (`layout`), as the process then ends.

    Args:
        known_layout: the version of the layout that the data must have.
    """

    def __init__(self, known_layout: int = LAYOUT_VERSION) -> None:
        self.layout = LayoutCheck(known_layout)

    async def on_connect(self, connection: Any) -> None:  # noqa: ANN401 - redis-py's, untyped
        """For redis-py's `redis_connect_func`; what it raises fails the connection."""
        await connection.on_connect()
        await self.check(partial(_ask, connection))

    async def check(self, ask: Ask) -> None:
        """Has a new epoch begun wherever the run that answers is not the one that wrote last.

        Nothing is written to data of another layout.

        A partition that is corrupt is logged and left as it is: the others go on, and it is
        seen to again on each new connection.

        Args:
            ask: speaks to Redis.

        Raises:
            LayoutError: the data are of another layout.
            RedisConnectionError: Redis can't do it now; nothing else may be asked of it.
        """
        runs_wanted = ("MGET", *map(run_key, range(PARTITIONS)))
        server, runs, layout = await ask([("INFO", "server"), runs_wanted, ("GET", LAYOUT_KEY)])
        for answer in (server, runs):
            if isinstance(answer, Exception):
                raise RedisConnectionError(f"the epoch can't be checked: {answer}")
        await self.layout.check(ask, layout, in_use=any(runs))
        run_id = _run_id(server)
        unseen = [p for p, run in enumerate(runs) if run != run_id.encode()]
        if not unseen:
            return
        answers = await ask([_begin(partition, run_id) for partition in unseen])
        for partition, answer in zip(unseen, answers, strict=True):
            if isinstance(answer, Exception):
                if not str(answer).startswith(_CORRUPT):
                    raise RedisConnectionError(f"the epoch can't be checked: {answer}")
                _log.error("partition_corrupt", partition=partition, error=str(answer))
        _log.info("redis_run_seen", run_id=run_id, partitions=len(unseen))


def _begin(partition: int, run_id: str) -> Sequence[str | int]:
    keys = (epoch_key(partition), run_key(partition), heads_key(partition), epochs_key(partition))
    prefix = epoch_end_prefix(partition)
    return ("EVAL", _SCRIPT, len(keys), *keys, run_id, prefix, _EPOCHS_REMEMBERED)


def _run_id(server: bytes) -> str:
    lines = server.decode().splitlines()
    return next(line.partition(":")[2] for line in lines if line.startswith("run_id:"))


async def _ask(connection: Any, commands: Sequence[Sequence[Any]]) -> Sequence[Any]:  # noqa: ANN401 - redis-py's, untyped
    """`Ask` on a connection of redis-py."""
    for command in commands:
        await connection.send_command(*command)
    # Every answer is read before a refusal is raised: the next command must not get it.
    return [await _answer(connection) for _ in commands]


async def _answer(connection: Any) -> Any:  # noqa: ANN401 - redis-py's, untyped
    try:
        return await connection.read_response(disable_decoding=True)
    except ResponseError as refusal:
        return refusal
