"""Notes and events as people and programs read them."""

import json
import zlib
from datetime import datetime

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.text import Text

from notecast.v1 import event_pb2, note_pb2
from notecast_client.cursors import format_position
from notecast_text.invisible import replace_invisible

SHORT_TIME = "%H:%M"
LONG_TIME = "%Y-%m-%d %H:%M:%S"

_COLOURS = (
    *("cyan", "green", "yellow", "magenta", "blue", "red"),
    *("bright_cyan", "bright_green", "bright_yellow", "bright_magenta", "bright_blue"),
)
_REASONS = {
    event_pb2.Discontinuity.REASON_RETENTION: "older notes were removed by retention",
    event_pb2.Discontinuity.REASON_EPOCH: "the server lost notes of this room",
}


def neutralise(text: str) -> str:
    """Makes one line of text safe to show on a terminal.

    Replaces with visible signs: control characters (escape sequences begin with one), line breaks,
    characters that change the direction of writing, and invisible ones, which could disguise one
    name as another. Characters that join emoji or letters stay where they do so.
    """
    return replace_invisible(text, _sign_for)


def _sign_for(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    return f"<U+{code:04X}>"


def neutralise_lines(text: str, indent: str) -> str:
    """Makes several lines safe to show; tabs become spaces. See `neutralise`.

    Every line but the first is indented, so that a text can't look like another note.
    """
    lines = text.replace("\r\n", "\n").expandtabs(4).split("\n")
    return f"\n{indent}".join(map(neutralise, lines))


def colour_of(name: str) -> str:
    """Returns the colour of a name: always the same, in each room and on each machine."""
    return _COLOURS[zlib.crc32(name.encode()) % len(_COLOURS)]


def note_line(note: note_pb2.Note, time_format: str, *, with_room: bool = False) -> Text:
    """Formats a note for a terminal: local time, room if asked for, author in colour, text."""
    moment = datetime.fromtimestamp(note.create_time.seconds).astimezone()
    author = neutralise(note.author)
    line = Text(moment.strftime(time_format), style="dim")
    if with_room:
        line.append(f" {neutralise(note.room)}", style="dim")
    line.append(f" {author}", style=f"not dim bold {colour_of(note.author)}")
    line.append(": ", style="not dim")
    line.append(neutralise_lines(note.text, indent="    "), style="not dim")
    return line


def discontinuity_words(broken: event_pb2.Discontinuity) -> str:
    """Describes a break in a room's log for people."""
    reason = _REASONS.get(broken.reason, "the log does not continue where you were")
    words = f"{neutralise(broken.room)}: {reason}"
    if broken.HasField("after"):
        words += f"; you were at {format_position(broken.after)}"
    if broken.HasField("resumes_at"):
        return f"{words}, it continues at {format_position(broken.resumes_at)}"
    return f"{words}, it begins again with the oldest note there is"


def as_json(message: Message) -> str:
    """Formats a message as one line of JSON.

    Field names are those of the contract, 64-bit numbers are strings (as in protobuf's JSON), and
    all but ASCII is escaped: exact for programs, harmless for a terminal.
    """
    return _json_line(_fields(message))


def discontinuity_as_json(broken: event_pb2.Discontinuity) -> str:
    """Formats a break as one line of JSON; its only key, `discontinuity`, tells it from a note."""
    return _json_line({"discontinuity": _fields(broken)})


def _fields(message: Message) -> dict[str, object]:
    fields: dict[str, object] = MessageToDict(message, preserving_proto_field_name=True)
    return fields


def _json_line(fields: dict[str, object]) -> str:
    return json.dumps(fields, separators=(",", ":"))
