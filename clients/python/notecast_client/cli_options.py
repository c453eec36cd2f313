"""Arguments and options of the command, as values. Light to import: no gRPC, no protobuf."""

import getpass
import re
from collections.abc import Sequence
from dataclasses import dataclass

import typer

from notecast_client.cursors import Position, parse_position
from notecast_text.names import composed

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(\d{1,5})")


@dataclass(frozen=True)
class Server:
    """The server to use, and how long to wait for its answers, in seconds."""

    address: str
    timeout: float
    proxy: bool = False


@dataclass(frozen=True)
class SendOptions:
    """Options of `notecast send`; `text` is None: read standard input."""

    room: str
    name: str
    text: str | None
    note_id: str | None
    labels: dict[str, str]
    json: bool


@dataclass(frozen=True)
class TailOptions:
    """Options of `notecast tail`; at most one of `last`, `from_start` and `after` is given."""

    rooms: tuple[str, ...]
    last: int | None
    from_start: bool
    after: Position | None
    json: bool
    follow: bool


@dataclass(frozen=True)
class HistoryOptions:
    """Options of `notecast history`; `last` is None for all notes."""

    room: str
    last: int | None
    before: Position | None
    json: bool


@dataclass(frozen=True)
class ChatOptions:
    """Options of `notecast chat`."""

    room: str
    name: str


def login_name() -> str:
    """The default author: the user's login name.

    Raises:
        typer.BadParameter: the system has no name for this user.
    """
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):
        raise typer.BadParameter("you have no login name here; give one with --name") from None


def is_utf8(text: str) -> bool:
    """Whether a text was read from UTF-8; Python marks other bytes with lone surrogates."""
    return text.isascii() or text.encode(errors="replace").decode() == text


def words(text: str) -> str:
    """Accepts any text.

    Raises:
        typer.BadParameter: it is not valid UTF-8.
    """
    if not is_utf8(text):
        shown = text.encode(errors="surrogateescape")
        raise typer.BadParameter(f"{shown!r} is not valid UTF-8")
    return text


def name(text: str) -> str:
    """Accepts the name of a room or an author, and composes it as servers require (names.composed).

    Raises:
        typer.BadParameter: it is not valid UTF-8.
    """
    return composed(words(text))


def server_address(text: str) -> str:
    """Accepts HOST:PORT; HOST may be an IPv6 address in brackets.

    Raises:
        typer.BadParameter: it has another form.
    """
    match = _ADDRESS.fullmatch(words(text))
    if match is None or not 1 <= int(match[2]) <= 65535:
        raise typer.BadParameter(f"{text!r} is not HOST:PORT, as in localhost:8080")
    return text


def position(text: str) -> Position:
    """Accepts EPOCH:SEQUENCE.

    Raises:
        typer.BadParameter: it has another form.
    """
    try:
        return parse_position(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def labels(pairs: Sequence[str]) -> dict[str, str]:
    """Accepts KEY=VALUE pairs; the last value of a key counts.

    Raises:
        typer.BadParameter: one has another form.
    """
    taken: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = words(pair).partition("=")
        if not (key and equals):
            raise typer.BadParameter(f"--label {pair!r} is not KEY=VALUE")
        taken[key] = value
    return taken
