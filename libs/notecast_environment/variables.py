"""The environment variables of all programs, and which ones in an environment are none of them.

`tools/generate_variables.py` writes the names.
"""

from collections.abc import Iterable
from typing import Final

PREFIX: Final = "NOTECAST_"
KNOWN: Final = frozenset(
    (
        # names
        "NOTECAST_ALLOWED_HOSTS",
        "NOTECAST_ALLOWED_ORIGINS",
        "NOTECAST_CLIENT_SHARE",
        "NOTECAST_CONNECTION_SHARE",
        "NOTECAST_CPUS",
        "NOTECAST_DATA",
        "NOTECAST_DRAIN_NOTICE_SECONDS",
        "NOTECAST_DRAIN_SPREAD_SECONDS",
        "NOTECAST_FRONT",
        "NOTECAST_GATEWAYS",
        "NOTECAST_HELD_OUTPUT_BYTES",
        "NOTECAST_HISTORY_TARGET",
        "NOTECAST_IDEMPOTENCY_WINDOW_SECONDS",
        "NOTECAST_LEASE_SECONDS",
        "NOTECAST_LISTEN_HOST",
        "NOTECAST_LISTEN_PORT",
        "NOTECAST_LOG_LEVEL",
        "NOTECAST_MAX_CALLS",
        "NOTECAST_MAX_OPEN_ROOMS",
        "NOTECAST_MAX_ROOMS_PER_STREAM",
        "NOTECAST_MAX_STREAMS",
        "NOTECAST_MAX_TEXT_BYTES",
        "NOTECAST_OUTBOX_TRIM_MARGIN_SECONDS",
        "NOTECAST_PERSIST_BATCH",
        "NOTECAST_PORT",
        "NOTECAST_REDIS_TIMEOUT_SECONDS",
        "NOTECAST_REDIS_URL",
        "NOTECAST_REQUIRE_CONTAINERS",
        "NOTECAST_REQUIRE_GO",
        "NOTECAST_RETENTION_NOTES",
        "NOTECAST_RETENTION_SECONDS",
        "NOTECAST_RETENTION_SWEEP_SECONDS",
        "NOTECAST_REVISION",
        "NOTECAST_RINGS_BYTES",
        "NOTECAST_RING_BYTES",
        "NOTECAST_RING_NOTES",
        "NOTECAST_SECRETS",
        "NOTECAST_SERVER",
        "NOTECAST_SHUTDOWN_GRACE_SECONDS",
        "NOTECAST_SLOW_READER_SECONDS",
        "NOTECAST_STREAMS_PER_CONNECTION",
        "NOTECAST_STREAM_LIFETIME_SECONDS",
        "NOTECAST_TRANSPORT",
        "NOTECAST_TRUSTED_HOPS",
        "NOTECAST_TRUSTED_PROXIES",
        "NOTECAST_TUTORIAL_PORT",
        "NOTECAST_TUTORIAL_ROOM",
        "NOTECAST_VERSION",
        # end of names
    )
)
_MOST: Final = 20
_LIKENESS: Final = 0.6


def unknown_variables(environment: Iterable[str]) -> list[str]:
    """A line for each variable that looks like ours and that no program reads.

    Args:
        environment: the names of all variables. Their values are not looked at: they may be secret.
    """
    names = sorted(name for name in environment if name.startswith(PREFIX) and name not in KNOWN)
    return [f"{name} is not known{_nearest(name)}" for name in names[:_MOST]]


def _nearest(name: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - seldom needed, and slow to import

    bare = {known.removeprefix(PREFIX): known for known in KNOWN}
    wanted = name.removeprefix(PREFIX)
    # A name with a word too many, as one of before, is nearer than any that merely looks like it.
    inside = [word for word in bare if wanted.endswith(f"_{word}")]
    found = inside or get_close_matches(wanted, bare, 1, _LIKENESS)
    return f": did you mean {bare[max(found, key=len)]}?" if found else ""
