"""A name has one spelling: what looks the same is the same name, or none."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from notecast_text.names import NameKind, composed, mended, name_fault

ASTRONAUT = "\U0001f469\u200d\U0001f680"
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"


@pytest.mark.parametrize("kind", NameKind)
@pytest.mark.parametrize(
    "name",
    [
        "lobby",
        "a room",
        "Grüße",
        "日本語",
        "山田\u3000太郎",
        "שלום",
        "علي",
        "\U0001f600",
        "\U0001f44b\U0001f3fd",
    ],
)
def test_words_of_all_scripts_and_plain_emoji_are_names(name: str, kind: NameKind) -> None:
    assert name_fault(name, kind) is None


@pytest.mark.parametrize("kind", NameKind)
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        (" lobby", "begins with the blank U+0020 (SPACE)"),
        ("lobby\u3000", "ends with the blank U+3000 (IDEOGRAPHIC SPACE)"),
        ("the\u00a0lobby", "the blank U+00A0 (NO-BREAK SPACE) at 3; only U+0020 and U+3000"),
        ("cafe\u0301", "normal form C, by U+0065 (LATIN SMALL LETTER E) at 3; send it composed"),
        ("\u212b", "normal form C, by U+212B (ANGSTROM SIGN) at 0"),
        ("lobby\n", "U+000A at 5, which does not show"),
        ("lob\u200bby", "U+200B (ZERO WIDTH SPACE) at 3"),
        ("\ufefflobby", "U+FEFF (ZERO WIDTH NO-BREAK SPACE) at 0"),
        ("lob\u00adby", "U+00AD (SOFT HYPHEN) at 3"),
        ("lob\u2067by", "U+2067 (RIGHT-TO-LEFT ISOLATE) at 3"),
        ("lobby\u200e", "U+200E (LEFT-TO-RIGHT MARK) at 5"),
        ("\u3164", "U+3164 (HANGUL FILLER) at 0"),
        ("\u2800", "U+2800 (BRAILLE PATTERN BLANK) at 0"),
        ("lobby\U000e0041", "U+E0041 (TAG LATIN CAPITAL LETTER A) at 5"),
        ("lobby\ufe0f", "U+FE0F (VARIATION SELECTOR-16) at 5"),
        ("lob\u200dby", "U+200D (ZERO WIDTH JOINER) at 3"),
        ("\u0631\u0627\u200c\u0647", "U+200C (ZERO WIDTH NON-JOINER) at 2"),
    ],
)
def test_a_look_alike_is_named_with_its_character(name: str, kind: NameKind, fault: str) -> None:
    assert fault in (name_fault(name, kind) or "")


@pytest.mark.parametrize(
    "name",
    [
        ASTRONAUT,
        SCOTLAND,
        "\u2764\ufe0f",
        "1\ufe0f\u20e3",
        "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627",
        "\u0915\u094d\u200d\u0937",
        "\u845b\U000e0100",
    ],
)
def test_joiners_that_show_are_taken_of_persons_and_not_of_rooms(name: str) -> None:
    assert name_fault(name, NameKind.PERSON) is None
    assert "does not show" in (name_fault(name, NameKind.ROOM) or "")


@given(st.text())
def test_names_in_another_normal_form_are_composed(name: str) -> None:
    assert composed(unicodedata.normalize("NFD", name)) == composed(name)
    assert "normal form" not in (name_fault(composed(name), NameKind.ROOM) or "")


@given(
    st.text(
        st.sampled_from(
            "a e\u0301\u200d\u200c\ufe0f\u3000\u00a0\u2000\u202e\u2764\U0001f3f4\U000e0067"
        )
    )
    | st.text(),
    st.sampled_from(NameKind),
)
@example(" \u200d ", NameKind.PERSON)
def test_a_mended_name_has_no_fault_and_a_good_one_is_left_alone(name: str, kind: NameKind) -> None:
    assert name_fault(mended(name, kind), kind) is None
    if name_fault(name, kind) is None:
        assert mended(name, kind) == name
