"""Runs `send`, `tail`, `history` and `health`; each returns the exit code."""

import sys
from contextlib import aclosing

import grpc

from notecast.v1 import chat_pb2, event_pb2, note_pb2
from notecast_client.cli_options import HistoryOptions, SendOptions, Server, TailOptions
from notecast_client.client import Client
from notecast_client.connection_news import ConnectionNews
from notecast_client.cursors import Position, format_position
from notecast_client.errors import (
    NotConnectedError,
    RequestRefusedError,
    ServerFaultError,
    ServerUnavailableError,
)
from notecast_client.input_lines import decoded
from notecast_client.rendering import (
    LONG_TIME,
    as_json,
    discontinuity_as_json,
    discontinuity_words,
    note_line,
)
from notecast_client.terminal import OK, REFUSED, UNAVAILABLE, CommandError, Output, describe, say

MAX_INPUT_BYTES = 1024 * 1024
"""Bound on standard input: more than any server accepts as one note."""

_NOTHING_DONE = {"OVERLOADED", "WRITES_REFUSED"}
"""Reasons of errors after which no note can have been stored (docs/protocol.md, Errors)."""


def client_for(server: Server) -> Client:
    """Makes a client of the server that the command line names."""
    return Client(
        server.address,
        connect_timeout=min(3.0, server.timeout),
        timeout=server.timeout,
        proxy=server.proxy,
    )


async def send(server: Server, options: SendOptions) -> int:
    """Sends one note and prints its position, or the whole answer as JSON."""
    output = Output()
    text = _standard_input() if options.text is None else options.text
    async with client_for(server) as client:
        try:
            answer = await client.send(
                options.room,
                options.name,
                text,
                note_id=options.note_id,
                labels=options.labels,
            )
        except NotConnectedError:
            raise
        except (ServerUnavailableError, ServerFaultError) as error:
            code = UNAVAILABLE if isinstance(error, ServerUnavailableError) else REFUSED
            told = describe(error)
            if getattr(error, "reason", "") not in _NOTHING_DONE:
                told += f"; the note may have been stored: see `notecast history {options.room}`"
            raise CommandError(told, code) from None
    output.write_line(as_json(answer) if options.json else format_position(answer.cursor))
    return OK


async def tail(server: Server, options: TailOptions) -> int:
    """Prints notes until interrupted, or until all rooms have caught up."""
    printer = _Printer(options)
    news = ConnectionNews(say)
    behind = set(options.rooms)
    async with (
        client_for(server) as client,
        aclosing(
            client.subscribe(
                *_starts(options),
                patience=None if options.follow else server.timeout,
                on_lost=news.lost,
            )
        ) as events,
    ):
        async for event in events:
            news.received()
            printer.show(event)
            behind.discard(event.caught_up.room)
            if not (behind or options.follow):
                break
    return OK


async def history(server: Server, options: HistoryOptions) -> int:
    """Prints the newest notes, oldest first; reports on standard error if there are none."""
    printed = Output()
    async with client_for(server) as client:
        notes = await client.newest_notes(
            options.room, options.last, options.before and _cursor(options.before)
        )
    if not (notes or options.json):
        where = f" before {format_position(options.before)}" if options.before else ""
        say(f"no notes in {options.room}{where}")
    for note in notes:
        printed.write_line(as_json(note) if options.json else note_line(note, LONG_TIME))
    return OK


async def health(server: Server, service: str) -> int:
    """Prints a service's health."""
    output = Output()
    async with client_for(server) as client:
        try:
            status = await client.health(service)
        except RequestRefusedError as error:
            if error.code is not grpc.StatusCode.NOT_FOUND:
                raise
            hint = "liveness and readiness always exist"
            raise CommandError(f"the server has no service {service!r}; {hint}") from None
    output.write_line(status)
    return OK if status == "SERVING" else REFUSED


class _Printer:
    """Writes events in the format of `tail`'s options."""

    def __init__(self, options: TailOptions) -> None:
        self._output = Output()
        self._json = options.json
        self._with_room = len(options.rooms) > 1

    def show(self, event: event_pb2.Event) -> None:
        """Writes notes to standard output, and breaks to standard error and into the JSON."""
        match event.WhichOneof("kind"):
            case "note" if self._json:
                self._output.write_line(as_json(event.note))
            case "note":
                self._output.write_line(note_line(event.note, LONG_TIME, with_room=self._with_room))
            case "discontinuity":
                say(discontinuity_words(event.discontinuity))
                if self._json:
                    self._output.write_line(discontinuity_as_json(event.discontinuity))


def _starts(options: TailOptions) -> list[chat_pb2.RoomSubscription]:
    starts = [chat_pb2.RoomSubscription(room=room) for room in options.rooms]
    for start in starts:
        if options.last is not None:
            start.last = options.last
        elif options.from_start:
            start.from_start = True
        elif options.after is not None:
            start.after.CopyFrom(_cursor(options.after))
    return starts


def _cursor(position: Position) -> note_pb2.Cursor:
    return note_pb2.Cursor(epoch=position.epoch, sequence=position.sequence)


def _standard_input() -> str:
    """Reads all of standard input, without the line break at its end."""
    try:
        read = sys.stdin.buffer.read(MAX_INPUT_BYTES + 1)
    except OSError as error:
        raise CommandError(f"can't read standard input: {error.strerror or error}") from None
    if len(read) > MAX_INPUT_BYTES:
        raise CommandError(f"standard input is longer than {MAX_INPUT_BYTES} bytes; send less")
    try:
        return decoded(read).removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise CommandError("standard input is not valid UTF-8") from None
