"""Piped input: whichever way it is cut, each line comes once, with its number."""

import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notecast_client.input_lines import InputLine, _Lines, decoded, input_lines


def cut(*chunks: bytes, longest: int = 5) -> list[InputLine]:
    lines = _Lines(longest)
    return [*(line for chunk in chunks for line in lines.add(chunk)), *lines.end()]


@given(st.lists(st.binary(max_size=8).map(lambda data: data.replace(b"x", b"\n"))))
def test_how_the_input_is_cut_makes_no_difference(chunks: list[bytes]) -> None:
    assert cut(*chunks) == cut(b"".join(chunks))


def test_a_byte_order_mark_and_the_line_breaks_of_windows_are_no_text() -> None:
    lines = cut(b"\xef\xbb\xbfone\r\ntwo\r\n", longest=10)
    assert lines == [InputLine(1, "one"), InputLine(2, "two")]
    assert decoded(b"\xef\xbb\xbfone") == "one"


def test_a_mark_that_is_not_at_the_beginning_stays() -> None:
    assert cut(b"1\n\xef\xbb\xbf2\n")[1].text == "\ufeff2"


def test_a_line_at_fault_is_told_with_its_number_and_the_others_are_taken() -> None:
    too_long, no_text = "it is longer than 5 bytes", "it is not valid UTF-8"
    assert cut(b"one\n123", b"456", b"789\ntwo\n\xff\nthree\nlonger still") == [
        InputLine(1, "one"),
        InputLine(2, "", too_long),
        InputLine(3, "two"),
        InputLine(4, "", no_text),
        InputLine(5, "three"),
        InputLine(6, "", too_long),
    ]


def test_of_a_line_without_an_end_no_more_is_kept_than_the_bound() -> None:
    lines = _Lines(longest=5)
    for _ in range(100):
        lines.add(b"12345678")
        assert len(lines._rest) <= 5


async def test_input_that_can_not_be_read_is_no_end_of_input(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(IsADirectoryError):
            async for _ in input_lines(folder, 10):
                pass
    finally:
        with suppress(OSError):
            os.close(folder)
