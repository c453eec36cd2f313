"""Characters that leave no mark on a screen, or change how their neighbours are shown.

Two texts that differ only in such characters look the same, and one that turns the direction of
writing looks like another ("Trojan Source", CVE-2021-42574). The set does not depend on Python's
version of Unicode: it holds the property Default_Ignorable_Code_Point of Unicode 16 (UAX #44, with
the code points reserved for it), controls (Cc, Zl, Zp), annotation marks and the Braille blank.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator

_INVISIBLE = (
    r"\x00-\x1f\x7f-\x9f"  # controls
    r"\u00ad\u034f"  # soft hyphen, grapheme joiner
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction
    r"\u115f\u1160\u3164\uffa0\u17b4\u17b5\u2800"  # fillers and blanks
    r"\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef"  # variation selectors
    r"\u200b-\u200d\u2060-\u2065\u206a-\u206f\ufeff"  # zero width
    r"\u2028\u2029"  # line and paragraph breaks
    r"\ufff0-\ufffb"  # annotation marks
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # of shorthand and musical notation
    r"\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"  # tags, and what is reserved
)
_ANY = re.compile(f"[{_INVISIBLE}]")
_FLAGS = re.compile(
    # The flags of England, Scotland and Wales, the only emoji that are spelt with tags.
    "\U0001f3f4\U000e0067\U000e0062"
    "(?:\U000e0065\U000e006e\U000e0067|\U000e0073\U000e0063\U000e0074|\U000e0077\U000e006c\U000e0073)"
    "\U000e007f"
)

_ZWNJ, _ZWJ = "\u200c", "\u200d"
_EMOJI_STYLE = "\ufe0f"
_PICTURES_THAT_ARE_NO_SYMBOLS = frozenset("\u203c\u2049\u2194\u3030\u303d")
_KEYCAP = re.compile("[0-9#*]\ufe0f\u20e3")
_VIRAMA = 9
_ENDS_ITS_SHAPE = frozenset(
    "\u0622\u0623\u0624\u0625\u0627\u0629\u062f\u0630\u0631\u0632\u0648\u0698"
)
"""Arabic letters that never join the next one (Joining_Type R), so that a ZWNJ does nothing."""


def invisible_at(text: str, *, keep_joined: bool) -> Iterator[int]:
    """The indexes of the characters that don't show, in order.

    Args:
        text: any text.
        keep_joined: pass over joiners and variation selectors where they show, by the shape that
            they give to what is around them: in emoji of several parts, after a virama,
            between letters of Arabic script, after an ideograph or a Mongolian letter.
    """
    if text.isascii() and text.isprintable():
        return
    flags = [match.span() for match in _FLAGS.finditer(text)] if keep_joined else []
    for match in _ANY.finditer(text):
        index = match.start()
        if not (
            keep_joined
            and (_shapes(text, index) or any(start < index < end for start, end in flags))
        ):
            yield index


def replace_invisible(text: str, sign_for: Callable[[str], str]) -> str:
    """The text with a sign for each character that does not show; see `invisible_at`."""
    parts: list[str] = []
    done = 0
    for index in invisible_at(text, keep_joined=True):
        parts += (text[done:index], sign_for(text[index]))
        done = index + 1
    parts.append(text[done:])
    return "".join(parts)


def character_name(character: str) -> str:
    """A character for people, as `U+202E (RIGHT-TO-LEFT OVERRIDE)`."""
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X}" + (f" ({name})" if name else "")


def _shapes(text: str, index: int) -> bool:
    """Whether the character at an index shows by what it makes of its neighbours."""
    character, before, after = text[index], text[index - 1 : index], text[index + 1 : index + 2]
    if not before:
        return False
    if character == _ZWJ:
        return unicodedata.combining(before) == _VIRAMA or (
            _ends_picture(before) and _is_picture(after)
        )
    if character == _ZWNJ:
        return unicodedata.combining(before) == _VIRAMA or (
            _is_arabic(before) and before not in _ENDS_ITS_SHAPE and _is_arabic(after)
        )
    if character in {_EMOJI_STYLE, "\ufe0e"}:
        return _is_picture(before) or _KEYCAP.match(text, index - 1) is not None
    if "\U000e0100" <= character <= "\U000e01ef":
        return unicodedata.name(before, "").startswith("CJK UNIFIED IDEOGRAPH")
    return character in "\u180b\u180c\u180d\u180f" and "\u1820" <= before <= "\u18aa"


def _is_picture(character: str) -> bool:
    return character > "\x7f" and (
        unicodedata.category(character) == "So"
        or character in _PICTURES_THAT_ARE_NO_SYMBOLS
        or "\U0001f000" <= character <= "\U0001faff"  # also those that this Python doesn't know yet
    )


def _ends_picture(character: str) -> bool:
    return character == _EMOJI_STYLE or _is_picture(character)


def _is_arabic(character: str) -> bool:
    return bool(character) and unicodedata.bidirectional(character) == "AL"
