"""What a run tells its clients' processes, and hears of them: JSON lines on their pipes."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, NamedTuple

from notecast_client.cursors import Position
from tests.chaos.cast import ReaderPart, WriterPart, reader_from_fields

_REPORT_SECONDS = 0.5


class Begin(NamedTuple):
    """Take part. The first order."""

    folder: str
    """Where each writes its file."""

    doors: dict[str, int]
    """The ports of gateways, by name."""

    readers: list[ReaderPart]
    writers: list[WriterPart]


class Pause(NamedTuple):
    """Some of the readers stop reading for a while."""

    share: float
    seconds: float
    seed: int


class Finish(NamedTuple):
    """No more notes; the readers read up to the heads, and all end."""

    heads: dict[str, Position]
    within_seconds: float


Order = Begin | Pause | Finish


class Progress(NamedTuple):
    """What a clients' process says of itself from time to time."""

    done: int
    """Notes delivered, or acknowledged, so far."""

    active: int
    """Streams that are open, or notes that are under way."""


def encode(order: Order | Progress) -> bytes:
    """A line."""
    return json.dumps([type(order).__name__, order._asdict()]).encode() + b"\n"


def decode_order(line: bytes) -> Order:
    """The order of a line."""
    name, fields = json.loads(line)
    match name:
        case "Begin":
            fields["readers"] = [reader_from_fields(f) for f in fields["readers"]]
            fields["writers"] = [WriterPart(*f) for f in fields["writers"]]
            return Begin(**fields)
        case "Pause":
            return Pause(**fields)
        case _:
            heads: Mapping[str, Any] = fields["heads"]
            return Finish({r: Position(*h) for r, h in heads.items()}, fields["within_seconds"])


def decode_progress(line: bytes) -> Progress:
    """The progress of a line."""
    return Progress(**json.loads(line)[1])


async def orders() -> AsyncIterator[Order]:
    """The orders on standard input, until whoever gives them is gone."""
    reader = asyncio.StreamReader(limit=1 << 22)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        yield decode_order(line)


async def report_progress(progress: Callable[[], Progress]) -> None:
    """Says how it goes, until cancelled."""
    while True:
        say(progress())
        await asyncio.sleep(_REPORT_SECONDS)


def say(progress: Progress) -> None:
    """Says how it goes, once."""
    sys.stdout.buffer.write(encode(progress))
    sys.stdout.buffer.flush()
