"""The lines of the files: what was sent, acknowledged, delivered, and done to the system.

A file holds one JSON object a line; its field `is` names the record, the others are its
fields. Times are of the monotonic clock, in seconds; on one machine all processes share it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from notecast_client.cursors import Position


class Begins(NamedTuple):
    """A reader knows from where on it is owed a room's notes."""

    time: float
    room: str
    after: Position


class Connects(NamedTuple):
    """A reader opens a stream at a gateway."""

    time: float
    gateway: str


class Ends(NamedTuple):
    """The stream ended."""

    time: float
    code: str


class Noted(NamedTuple):
    """A note was delivered."""

    time: float
    room: str
    place: Position
    note_id: str
    digest: int
    """Of author and text."""


class Broken(NamedTuple):
    """A Discontinuity was delivered."""

    time: float
    room: str
    reason: str
    after: Position
    resumes_at: Position


class Leaves(NamedTuple):
    """A reader stops reading, of its own will."""

    time: float


class Returns(NamedTuple):
    """It reads again."""

    time: float


class Done(NamedTuple):
    """The file is complete."""

    time: float
    reached: bool
    """Whether everything was read, or sent, that was to be."""


class Sent(NamedTuple):
    """A writer sends a note for the first time."""

    time: float
    room: str
    note_id: str
    digest: int


class Retried(NamedTuple):
    """The note was not acknowledged, and will be sent again."""

    time: float
    note_id: str
    code: str
    reason: str = ""
    """Of the error's details; empty where they name none."""


class Refused(NamedTuple):
    """The note was refused for good."""

    time: float
    room: str
    note_id: str
    code: str


class Acknowledged(NamedTuple):
    """The note was answered for."""

    time: float
    room: str
    place: Position
    note_id: str
    duplicate: bool
    """Whether the answer says that an earlier attempt had stored it."""


class Injected(NamedTuple):
    """A fault was injected, and is over."""

    time: float
    until: float
    kind: str
    target: str
    hit: bool
    """Whether there was something for it to hit."""


class WentBack(NamedTuple):
    """Redis has older data of a room again, without an epoch that it had."""

    time: float
    room: str
    epoch: int
    """The one that is gone, with all notes that have it."""

    to: Position
    """Where the room stood in the older data, before anything was written to them again."""


class Looked(NamedTuple):
    """How something stood when faults were over, and the system had had time to get well."""

    time: float
    what: str
    well: bool


Record = (
    Begins
    | Connects
    | Ends
    | Noted
    | Broken
    | Leaves
    | Returns
    | Done
    | Sent
    | Retried
    | Refused
    | Acknowledged
    | Injected
    | WentBack
    | Looked
)

_KINDS: dict[str, type[Any]] = {
    kind.__name__.lower(): kind
    for kind in (
        *(Begins, Connects, Ends, Noted, Broken, Leaves, Returns, Done),
        *(Sent, Retried, Refused, Acknowledged, Injected, WentBack, Looked),
    )
}
_PLACES = ("place", "after", "resumes_at", "to")


def encode(record: Record) -> str:
    """A line, without its end."""
    return json.dumps({"is": type(record).__name__.lower(), **record._asdict()})


def decode(line: str) -> Record:
    """The record of a line.

    Raises:
        ValueError: it is none.
    """
    fields = json.loads(line)
    try:
        kind = _KINDS[fields.pop("is")]
        for name in _PLACES:
            if name in fields:
                fields[name] = Position(*fields[name])
        record: Record = kind(**fields)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a record: {line[:200]!r}") from error
    return record


def read_records(path: Path) -> Iterator[Record]:
    """The records of a file.

    Raises:
        ValueError: a line is none, as where its writer was killed in the middle of it.
    """
    with path.open() as lines:
        for line in lines:
            yield decode(line)


class Journal:
    """A file of records, being written.

    Args:
        path: the file; it begins anew.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", buffering=1 << 16)

    def write(self, record: Record) -> None:
        """Adds a line."""
        self._file.write(encode(record) + "\n")

    def close(self) -> None:
        """Closes the file, with all lines in it."""
        self._file.close()
