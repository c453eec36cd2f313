"""Names the keys and channels of rooms in Redis.

Rooms hash to a fixed number of partitions. Every key and channel of a room carries its partition's
hash tag. So all keys of a script are in one slot of a Redis Cluster (Redis Cluster specification,
"Hash tags"), and so is all that one worker reads.
"""

from hashlib import sha1
from zlib import crc32

from notecast_runtime.partition_tags import PARTITION_TAGS

PARTITIONS = 64
"""Never changes: with another number every room would move."""

LAYOUT_VERSION = 2
"""The version of this layout. A change that earlier releases would misread increases it."""

LAYOUT_KEY = "nc:layout"
"""A string: the version of the layout of all the data. One for the whole system."""


FLOOR_FIELD = ""
"""Of a partition's heads, and of where they stood when an epoch ended: names no room, and holds the
floor, at which rooms stand that are not there. It is above every sequence of a room that was
forgotten, so that none is given out twice in an epoch; none: 0."""

KNOWN_FROM_FIELD = ""
"""Of what is remembered of forgotten rooms: names no room, and holds the floor since which all of
them are there. None: the floor as it is now."""

_PREFIXES = tuple(f"nc:{{{tag}}}:" for tag in PARTITION_TAGS)


def first_layout_prefix(partition: int) -> str:
    """The prefix of a partition's keys and channels in layout 1, where its number was the tag."""
    return f"nc:{{{partition}}}:"


def first_layout_runs() -> list[str]:
    """The keys in which layout 1 remembered runs of Redis: if one exists, layout 1 is in use."""
    return [f"{first_layout_prefix(partition)}run" for partition in range(PARTITIONS)]


def prefix_of(partition: int) -> str:
    """The prefix of all keys and channels of a partition."""
    return _PREFIXES[partition]


WRITE_PROBE_KEY = "nc:write-probe"
"""Never exists: the key of a write that changes nothing, to find out whether Redis takes writes."""


def partition_of(room: str) -> int:
    """The partition of a room: CRC-32 of its UTF-8 bytes, modulo PARTITIONS."""
    # Called several times for each note, and still not cached: among thousands of rooms, a lookup
    # takes three times as long as the calculation.
    return crc32(room.encode()) % PARTITIONS


def epoch_key(partition: int) -> str:
    """A string: the partition's epoch, in milliseconds since the Unix epoch."""
    return f"{_PREFIXES[partition]}epoch"


def run_key(partition: int) -> str:
    """A string: the run id of the Redis that wrote last."""
    return f"{_PREFIXES[partition]}run"


def began_key(partition: int) -> str:
    """A string: how the partition's epoch began (`fencing.Begin`)."""
    return f"{_PREFIXES[partition]}began"


def epochs_key(partition: int) -> str:
    """A list: the epochs before the current one that are remembered, oldest first."""
    return f"{_PREFIXES[partition]}epochs"


def epoch_end_prefix(partition: int) -> str:
    """A prefix before an epoch's number: a hash of the rooms' heads when it ended."""
    return f"{_PREFIXES[partition]}end:"


def heads_key(partition: int) -> str:
    """A hash: room to the sequence of its newest note; and FLOOR_FIELD."""
    return f"{_PREFIXES[partition]}head"


def forgotten_key(partition: int) -> str:
    """A hash of forgotten rooms; and KNOWN_FROM_FIELD.

    Under a room's `forgotten_field` its last sequence, and after a blank the latest epoch at the
    end of which it was there, if any.
    """
    return f"{_PREFIXES[partition]}forgotten"


def forgotten_before_key(partition: int) -> str:
    """A hash: what `forgotten_key` held before it was full and began anew."""
    return f"{_PREFIXES[partition]}forgotten-before"


def forgotten_field(room: str) -> str:
    """The field of a forgotten room; its length does not depend on the room's name.

    Two rooms that share it (one pair of 2^64) share the later sequence, which never hides a loss.
    """
    return sha1(room.encode(), usedforsecurity=False).hexdigest()[:16]


def outbox_key(partition: int) -> str:
    """A stream: every accepted note of the partition, in order of acceptance."""
    return f"{_PREFIXES[partition]}outbox"


def persisted_key(partition: int) -> str:
    """A string: the outbox id up to which every note is in its room's stream."""
    return f"{_PREFIXES[partition]}persisted"


def ages_key(partition: int) -> str:
    """A list: how far persisting had come, and when, as far back as notes are kept by age."""
    return f"{_PREFIXES[partition]}ages"


def trims_key(partition: int) -> str:
    """A list: how far persisting had come, and when, as far back as the outbox is kept."""
    return f"{_PREFIXES[partition]}trims"


def lease_key(partition: int) -> str:
    """A string that expires: which replica of the history service persists the partition now."""
    return f"{_PREFIXES[partition]}lease"


def rejected_key(partition: int) -> str:
    """A stream: the newest entries of the outbox that could not be persisted, and why."""
    return f"{_PREFIXES[partition]}rejected"


def log_key(room: str) -> str:
    """A stream: the room's persisted notes, each under the id `<sequence>-0`."""
    return f"{_PREFIXES[partition_of(room)]}log:{room}"


def sent_key(room: str, note_id: str) -> str:
    """A hash that lives for the idempotency window: the position of the note with this id."""
    # The length separates names that contain colons.
    return f"{_PREFIXES[partition_of(room)]}sent:{len(room)}:{room}:{note_id}"


def live_channel(room: str) -> str:
    """The Pub/Sub channel that carries the room's notes as they are accepted."""
    return f"{_PREFIXES[partition_of(room)]}room:{room}"


def room_of_channel(channel: str) -> str:
    """The room whose `live_channel` this is."""
    return channel.split(":room:", 1)[1]
