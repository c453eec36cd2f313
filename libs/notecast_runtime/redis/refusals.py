"""Explains refusals of Redis: a table of them, and how to find one's row. No I/O.

Some refusals mean that the connection leads to the wrong server: it was a primary when it was made,
and is none any more. Others mean that the right server takes no writes for now. A refusal without a
row is about the command itself: a key of the wrong type, a bug.
"""

import re
from typing import NamedTuple

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError


class Refusal(NamedTuple):
    """One kind of refusal."""

    reason: str
    """Its name in logs, in conditions of readiness, and in the metadata of clients' errors."""

    words: str
    """The text for clients: Redis's own text names scripts, keys and users."""

    elsewhere: bool = False
    """Whether the connection leads to the wrong server, and must end."""

    definite: bool = True
    """Whether nothing of the command has run, not even a part of a script."""


READ_ONLY = Refusal("redis_read_only", "Redis is a replica that takes no writes", elsewhere=True)
FULL = Refusal("redis_full", "Redis is full")
_FORBIDDEN = Refusal("redis_forbids", "Redis forbids this to the service")
_CREDENTIALS = Refusal(
    "redis_credentials", "Redis refuses the service's credentials", elsewhere=True
)
ELSEWHERE = Refusal("redis_moved", "Redis serves these data from another server", elsewhere=True)

_BY_CODE = {
    "READONLY": READ_ONLY,
    "MASTERDOWN": Refusal(
        "redis_without_primary", "Redis is a replica that has lost its primary", elsewhere=True
    ),
    # A demoted server loads the data of its new primary. (A restarted one has no earlier
    # connections.)
    "LOADING": Refusal("redis_loading", "Redis loads its data", elsewhere=True),
    "MOVED": ELSEWHERE,
    "ASK": ELSEWHERE,
    "CLUSTERDOWN": Refusal("redis_cluster_down", "the Redis cluster is down", elsewhere=True),
    "NOAUTH": _CREDENTIALS,
    "WRONGPASS": _CREDENTIALS,
    "OOM": FULL,
    "MISCONF": Refusal("redis_disk", "Redis can't write to its disk"),
    "NOREPLICAS": Refusal("redis_without_replicas", "Redis lacks replicas, and takes no writes"),
    "NOPERM": _FORBIDDEN,
    "TRYAGAIN": Refusal("redis_resharding", "Redis moves these data to another server"),
    "BUSY": Refusal("redis_busy", "Redis is busy with a script"),
}

_IN_SCRIPT = re.compile(r"^(?:ERR )?Error running script\b.*?[: ]-([A-Z]+) ", re.DOTALL)
"""How Redis before 7 reports the refusal of a script's command; later versions put the code in
front, like for a plain command."""

_FORBIDDEN_IN_SCRIPT = re.compile(r"^(?:ERR )?(?:ACL failure in script|The user executing the s)")
"""Permissions are checked for each command of a script, also after one that has written."""


class RefusedError(RedisConnectionError):
    """The connection leads to the wrong server, as that server said; for its user it is lost.

    Its text is Redis's own, for logs.

    Args:
        refusal: in what way it is wrong.
        said: an answer, or a text of this package.
    """

    def __init__(self, refusal: Refusal, said: object) -> None:
        super().__init__(_with_code(said))
        self.refusal = refusal


class AllRefusedError(RedisError):
    """Commands that were sent together were all refused, for a cause that none of them has.

    Args:
        refusal: the cause.
        said: Redis's own text, for logs.
    """

    def __init__(self, refusal: Refusal, said: object) -> None:
        super().__init__(_with_code(said))
        self.refusal = refusal


def refusal_of(error: object) -> Refusal | None:
    """Finds the row of a refusal; None if it is about the command itself, or no refusal at all.

    Args:
        error: an error of hiredis or redis-py (which cuts the code off the text), or any answer.
    """
    if isinstance(error, (RefusedError, AllRefusedError)):
        return error.refusal
    if not isinstance(error, Exception):
        return None
    text = str(error)
    code = getattr(error, "status_code", None) or text.partition(" ")[0]
    if known := _BY_CODE.get(code):
        return known
    if inside := _IN_SCRIPT.match(text):
        return _BY_CODE.get(inside[1])
    if _FORBIDDEN_IN_SCRIPT.match(text):
        return _FORBIDDEN._replace(definite=False)
    return None


def words_for(error: Exception) -> str:
    """The text for clients about an error of Redis, without Redis's own words."""
    if refusal := refusal_of(error):
        return refusal.words
    if isinstance(error, (TimeoutError, RedisTimeoutError)):
        return "Redis did not answer in time"
    if isinstance(error, (RedisConnectionError, OSError)):
        return "Redis can't be reached"
    return "Redis holds something else where data of this room should be"


def without_arguments(refusal: str) -> str:
    """Removes the credentials from a refusal of the command that presented them.

    A server that does not know the command repeats its arguments.
    """
    return refusal.partition(" with args")[0].rstrip(",")


def _with_code(said: object) -> str:
    code: str | None = getattr(said, "status_code", None)  # redis-py cuts the code off
    return f"{code} {said}" if code else str(said)
