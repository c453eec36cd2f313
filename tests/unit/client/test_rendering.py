"""What reaches a terminal obeys nobody but us, and what reaches a program is exact."""

import json
import unicodedata

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from notecast.v1 import event_pb2, note_pb2
from notecast_client.rendering import (
    LONG_TIME,
    as_json,
    colour_of,
    discontinuity_as_json,
    discontinuity_words,
    neutralise,
    note_line,
)


def a_note(text: str = "hello", author: str = "ann") -> note_pb2.Note:
    return note_pb2.Note(
        room="lobby",
        epoch=7,
        sequence=5,
        author=author,
        text=text,
        create_time=Timestamp(seconds=1),
    )


@given(st.text())
def test_no_control_character_survives(text: str) -> None:
    assert not [c for c in neutralise(text) if unicodedata.category(c) in {"Cc", "Zl", "Zp"}]


@given(text=st.text(), author=st.text())
def test_a_note_on_a_terminal_has_no_control_character_but_line_breaks(
    text: str, author: str
) -> None:
    line = note_line(a_note(text=text, author=author), LONG_TIME).plain
    assert not [c for c in line if unicodedata.category(c) == "Cc" and c != "\n"]


def test_an_escape_sequence_is_shown_and_not_obeyed() -> None:
    assert neutralise("\x1b[2J\x9b1m\x7f") == "␛[2J<U+009B>1m␡"


def test_the_direction_of_writing_can_not_be_turned() -> None:
    assert neutralise("user\u202ennA") == "user<U+202E>nnA"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("safe\u202ecod.exe", "safe<U+202E>cod.exe"),
        ("a\u2066b\u2069", "a<U+2066>b<U+2069>"),
        ("ann\u200b", "ann<U+200B>"),
        ("an\u200dn", "an<U+200D>n"),
        ("ann\ufe0f", "ann<U+FE0F>"),
        ("\ufeffann", "<U+FEFF>ann"),
        ("ann\u200e\u061c", "ann<U+200E><U+061C>"),
        ("a\u3164b", "a<U+3164>b"),
        ("ann\U000e0041", "ann<U+E0041>"),
        ("a\u2028b", "a<U+2028>b"),
    ],
)
def test_what_does_not_show_is_shown(text: str, shown: str) -> None:
    assert neutralise(text) == shown
    line = note_line(a_note(text=text, author=text), LONG_TIME).plain
    assert line.endswith(f" {shown}: {shown}")


def test_letters_of_all_scripts_and_joined_emoji_stay_as_they_are() -> None:
    joined = ("\U0001f469\u200d\U0001f680", "\u2764\ufe0f", "\u0645\u06cc\u200c\u062e\u0648")
    for text in ("Grüße", "日本語", "שלום", *joined):
        assert neutralise(text) == text


def test_a_carriage_return_can_not_write_over_the_line() -> None:
    assert note_line(a_note(text="good\rbad"), LONG_TIME).plain.endswith("ann: good␍bad")


def test_a_second_line_is_indented_so_that_it_can_not_pass_for_a_note() -> None:
    text = "first\r\n2030-01-01 00:00:00 bob: forged"
    lines = note_line(a_note(text=text), LONG_TIME).plain.split("\n")
    assert lines[1] == "    2030-01-01 00:00:00 bob: forged"


def test_an_author_has_the_same_colour_every_time() -> None:
    assert (colour_of("ann"), colour_of("bob")) == ("bright_yellow", "bright_cyan")
    assert len({colour_of(f"name {number}") for number in range(100)}) > 5


def test_the_room_is_shown_where_there_are_several() -> None:
    assert " lobby ann: hello" in note_line(a_note(), LONG_TIME, with_room=True).plain
    assert "lobby" not in note_line(a_note(), LONG_TIME).plain


@given(text=st.text(), author=st.text())
def test_json_is_one_harmless_line_and_keeps_every_character(text: str, author: str) -> None:
    line = as_json(a_note(text=text, author=author))
    assert line.isascii()
    assert line.isprintable()
    read = json.loads(line)
    assert (read.get("text", ""), read.get("author", "")) == (text, author)
    assert (read["epoch"], read["sequence"]) == ("7", "5")
    assert "create_time" in read


def test_a_break_is_told_apart_by_its_only_key() -> None:
    broken = event_pb2.Discontinuity(
        room="lobby",
        reason=event_pb2.Discontinuity.REASON_RETENTION,
        after=note_pb2.Cursor(epoch=7, sequence=2),
        resumes_at=note_pb2.Cursor(epoch=7, sequence=9),
    )
    assert json.loads(discontinuity_as_json(broken)) == {
        "discontinuity": {
            "room": "lobby",
            "reason": "REASON_RETENTION",
            "after": {"epoch": "7", "sequence": "2"},
            "resumes_at": {"epoch": "7", "sequence": "9"},
        }
    }
    assert discontinuity_words(broken) == (
        "lobby: older notes were removed by retention; you were at 7:2, it continues at 7:9"
    )
