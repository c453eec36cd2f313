"""The glossary is short enough to be read, and is found."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"


def test_each_word_is_there_once_with_one_sentence() -> None:
    rows = re.findall(
        r"^\| \*\*(.+?)\*\* \| (.+) \|$", (DOCS / "glossary.md").read_text(), re.MULTILINE
    )
    words = [word for word, _ in rows]
    assert 20 <= len(words) <= 35
    assert len(set(words)) == len(words)
    assert [word for word, meaning in rows if not re.fullmatch(r"[^.]+\.", meaning)] == []


def test_a_reader_of_readme_and_architecture_is_led_to_it() -> None:
    assert "(docs/glossary.md)" in (ROOT / "README.md").read_text()
    assert "(glossary.md)" in (DOCS / "architecture.md").read_text()
