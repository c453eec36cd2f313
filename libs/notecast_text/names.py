"""Rules for names of rooms and authors: one spelling, of characters that show.

A room is found by the bytes of its name, so two spellings that look alike would be two rooms. A
name in another spelling is refused rather than changed: what is stored is what was sent.
"""

import re
import unicodedata
from enum import Enum

from notecast_text.invisible import character_name, invisible_at

_BLANKS = re.compile(r"[\u00a0\u1680\u2000-\u200a\u202f\u205f]")
"""White space that looks like a blank and is another; U+3000 is wide, and usual in names."""


class NameKind(Enum):
    """The thing that is named."""

    ROOM = "room"
    """One name, one string: no joiners or variation selectors at all, also not in emoji."""

    PERSON = "person"
    """Shown, and never looked up: joiners and variation selectors are taken where they show."""


def name_fault(name: str, kind: NameKind) -> str | None:
    """Finds what is wrong with a name, with the character and its index; None: nothing.

    Its length is not looked at.
    """
    if name.isascii() and name.isprintable():  # nearly all are, and every note has two of them
        return None if name == name.strip(" ") else _blank_fault(name)
    for index in invisible_at(name, keep_joined=kind is NameKind.PERSON):
        return f"has {character_name(name[index])} at {index}, which does not show; leave it out"
    if name != name.strip():
        return _blank_fault(name)
    if found := _BLANKS.search(name):
        fault = f"has the blank {character_name(found[0])} at {found.start()}"
        return f"{fault}; only U+0020 and U+3000 are allowed"
    if not unicodedata.is_normalized("NFC", name):
        return _spelling_fault(name)
    return None


def composed(name: str) -> str:
    """A name in Unicode's normal form C, which is how most systems write it."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def mended(name: str, kind: NameKind) -> str:
    """A name like the one given, in which `name_fault` finds nothing; it may be empty."""
    if name_fault(name, kind) is None:
        return name
    name = _BLANKS.sub(" ", composed(name))
    while name_fault(name, kind) is not None:  # what is left out may have stood between others
        hidden = set(invisible_at(name, keep_joined=kind is NameKind.PERSON))
        name = "".join(each for index, each in enumerate(name) if index not in hidden)
        name = composed(name).strip()
    return name


def _blank_fault(name: str) -> str:
    index = 0 if name[0].isspace() else len(name) - 1
    where = "begins" if index == 0 else "ends"
    return f"{where} with the blank {character_name(name[index])}; leave it out"


def _spelling_fault(name: str) -> str:
    other = composed(name)
    index = next(
        (i for i, (a, b) in enumerate(zip(name, other, strict=False)) if a != b),
        min(len(name), len(other)),
    )
    at = f"{character_name(name[index])} at {index}" if index < len(name) else f"its end at {index}"
    return f"is not in Unicode's normal form C, by {at}; send it composed (NFC)"
