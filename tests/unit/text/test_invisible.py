"""The characters that don't show, against what Python knows of Unicode."""

import sys
import unicodedata

from notecast_text.invisible import invisible_at, replace_invisible

# Format characters that have a shape of their own, or give one to a whole cluster.
VISIBLE_FORMATS = ("ARABIC", "SYRIAC", "KAITHI", "EGYPTIAN")


def is_invisible(character: str) -> bool:
    return list(invisible_at(character, keep_joined=True)) == [0]


def test_every_control_and_format_character_is_known() -> None:
    missed = [
        unicodedata.name(character, hex(ord(character)))
        for character in map(chr, range(sys.maxunicode + 1))
        if unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp"}
        and not is_invisible(character)
    ]
    assert not [name for name in missed if not name.startswith(VISIBLE_FORMATS)]
    assert len(missed) < 60


def test_nothing_that_shows_is_taken_for_invisible() -> None:
    wrong = [
        unicodedata.name(character, hex(ord(character)))
        for character in map(chr, range(sys.maxunicode + 1))
        if unicodedata.category(character)[0] in "LNPS" and is_invisible(character)
    ]
    assert all("FILLER" in name or name == "BRAILLE PATTERN BLANK" for name in wrong)


def test_each_is_replaced_in_its_place_and_joined_emoji_are_not() -> None:
    astronaut = "\U0001f469\u200d\U0001f680"
    text = f"a\u202eb{astronaut}\u200d"
    assert replace_invisible(text, lambda each: f"<{ord(each):x}>") == f"a<202e>b{astronaut}<200d>"


def test_a_joiner_is_no_place_to_hide_things_in() -> None:
    for text in ("a\u200d\u200db", "\U0001f469\u200d\u200d\U0001f680", "\u2764\ufe0f\ufe0f"):
        assert list(invisible_at(text, keep_joined=True))
