"""Migrates data of an older layout: `python -m notecast_runtime.migrate`.

It takes the services' settings: `NOTECAST_REDIS_URL` names the Redis. Stop the services and take a
backup first. It may be ended at any point; then run it again. Exits with 0 once the data have the
current layout, with 1 if they have not; a line on stderr says why.
"""

import asyncio
import sys
import time

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from notecast_runtime.keyspace import LAYOUT_VERSION
from notecast_runtime.logs import configure_logs
from notecast_runtime.redis.migration import Migration, MigrationError
from notecast_runtime.settings import ServiceSettings, load_settings

_ANSWER_SECONDS = 60.0
"""Bound on the wait for one answer: the largest keys are read completely."""

_REPORT_SECONDS = 1.0

_log = structlog.get_logger(__name__)


class _Progress:
    """Logs the current step, when it changes and about once a second."""

    def __init__(self) -> None:
        self._what = ""
        self._next = 0.0

    def __call__(self, what: str, keys: int) -> None:
        now = time.monotonic()
        if what != self._what or now >= self._next:
            self._what, self._next = what, now + _REPORT_SECONDS
            _log.info("migrating", step=what, keys=keys)


async def _migrate(settings: ServiceSettings) -> None:
    redis = Redis.from_url(
        settings.redis_url,
        single_connection_client=True,
        socket_timeout=_ANSWER_SECONDS,
        socket_connect_timeout=settings.redis_timeout_seconds,
    )
    async with redis:
        migrated = await Migration(redis, _Progress()).run()
    if migrated.facts is None:
        _log.info("nothing_to_migrate", layout=LAYOUT_VERSION)
    else:
        facts = dict(migrated.facts.counts)
        _log.info("migrated", layout=LAYOUT_VERSION, renamed=migrated.keys, holds=facts)


def main() -> int:
    """Runs the command; returns its exit code."""
    if sys.argv[1:]:
        print(__doc__)
        return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 2
    settings = load_settings(ServiceSettings)
    configure_logs("migrate", settings.log_level)
    try:
        asyncio.run(_migrate(settings))
    except MigrationError as error:
        _log.error("migration_refused", reason=str(error))
        return 1
    except (RedisError, OSError) as error:
        _log.error("migration_interrupted", error=str(error), advice="run it again")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
