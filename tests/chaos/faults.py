"""What can go wrong on purpose: the kinds of faults, and what may be expected of each."""

from dataclasses import dataclass
from enum import StrEnum


class Site(StrEnum):
    """What a fault hits."""

    GATEWAY = "gateway"
    HISTORY = "history"
    HISTORIES = "histories"
    """All replicas of the history service."""

    REDIS = "redis"
    GATEWAY_LINK = "gateway-link"
    """One gateway's connections to Redis, or all gateways'."""

    LINK = "link"
    """The connections to Redis of one process, or of all."""

    READERS_DOOR = "readers-door"
    """The connections of reading clients to one gateway."""

    WRITERS_DOOR = "writers-door"
    """The connections of writers to one gateway."""

    READERS = "readers"
    """Some of the reading clients themselves."""


EVERYONE = "all"
"""The target of a fault that hits every site of its kind."""

SILENT_SECONDS = 2.5
"""How long a note may stay away after a loss that nobody is told of, on two busy cores."""

_LOUD_SECONDS = 5.0
"""The same where connections break and are made again, with waits between the attempts."""

_WITHOUT_HISTORY_SECONDS = 8.0
"""The same for those who come or resume while nobody can replay: also until replicas are back."""


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        name: as in the report.
        site: what it hits.
        shortest: how long one lasts at least, in seconds; 0 where it is over at once.
        longest: and at most.
        blocks: whether whoever is hit can't be reached before it is over: a note's
            silence counts from then.
        silence_seconds: how long a note may stay away, from its acknowledgement, or from
            the end of a fault that blocks.
        forgets: whether Redis may lose any note that was acknowledged meanwhile. Where it is
            known which, as for a failback, a record tells it.
    """

    name: str
    site: Site
    shortest: float = 0.0
    longest: float = 0.0
    blocks: bool = False
    silence_seconds: float = _LOUD_SECONDS
    forgets: bool = False


_ALL = (
    Kind("gateway-killed", Site.GATEWAY, 0.3, 1.5),
    Kind("gateway-paused", Site.GATEWAY, 0.5, 3.0, blocks=True),
    Kind("history-killed", Site.HISTORY, 0.3, 2.0),
    Kind("histories-killed", Site.HISTORIES, 0.3, 2.0, silence_seconds=_WITHOUT_HISTORY_SECONDS),
    Kind("history-paused", Site.HISTORY, 0.5, 3.0),
    Kind("pubsub-killed", Site.REDIS, silence_seconds=SILENT_SECONDS),
    Kind("redis-stalled", Site.LINK, 0.3, 2.5, blocks=True),
    Kind("redis-cut", Site.LINK),
    Kind("redis-refused", Site.LINK, 0.3, 1.5, blocks=True),
    Kind("redis-half-open", Site.GATEWAY_LINK, 2.0, 6.0, silence_seconds=SILENT_SECONDS),
    Kind("redis-restarted", Site.REDIS, 0.2, 1.0, blocks=True),
    Kind("redis-reply-lost", Site.LINK, 0.5, 1.0),
    Kind("redis-forgets", Site.REDIS, 0.5, 1.0, blocks=True, forgets=True),
    Kind("redis-failover", Site.REDIS, 0.3, 1.5, blocks=True),
    Kind("redis-failback", Site.REDIS, 0.8, 2.0, blocks=True),
    Kind("redis-full", Site.REDIS, 0.5, 2.5, blocks=True),
    Kind("clock-ahead", Site.REDIS),
    Kind("clients-cut", Site.READERS_DOOR),
    Kind("clients-stalled", Site.READERS_DOOR, 0.5, 3.0, blocks=True),
    Kind("clients-half-open", Site.READERS_DOOR, 0.5, 3.0, blocks=True),
    Kind("readers-pause", Site.READERS, 1.0, 4.0),
    Kind("send-reply-lost", Site.WRITERS_DOOR, 0.5, 1.0),
    Kind("feed-deaf", Site.GATEWAY_LINK, 1.0, 3.0, silence_seconds=SILENT_SECONDS),
    Kind("feed-stalled", Site.GATEWAY_LINK, 0.4, 0.6, silence_seconds=SILENT_SECONDS),
)

KINDS: dict[str, Kind] = {kind.name: kind for kind in _ALL}
"""All of them, by name; a run that names none has all."""
