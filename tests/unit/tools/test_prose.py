"""The check of prose sees what it is made to see, and its counts go down only."""

import json
from pathlib import Path

import pytest

from tools import check_prose
from tools.check_prose import Breach, counted, grown, lowered
from tools.prose_rules import MOST_WORDS, RULES
from tools.prose_texts import prose_in


def broken(rule: str, text: str, name: str = "libs/shop/till.py") -> list[int]:
    """The lines of a file at which a rule is broken."""
    return [line for prose in prose_in(name, text) for line in RULES[rule](prose)]


CLASS = '''
class Till(Counter):
    """Takes money."""

    def add(self):
        """As {0}."""
'''


def test_a_docstring_that_only_refers_is_found_unless_it_overrides() -> None:
    rule = "a docstring that only refers"
    assert broken(rule, CLASS.format("Ring.add")) == [6]
    assert broken(rule, CLASS.format("Counter.subtract")) == [6]
    assert broken(rule, CLASS.format("Counter.add")) == []
    assert broken(rule, CLASS.format("Ring.add, but never more than a hundred")) == []


@pytest.mark.parametrize(
    ("docstring", "lines"),
    [
        ("What is to be paid.", [2]),
        ("Who takes money.", [2]),
        ("How much there is.", [2]),
        ("Whether it is open.", []),
        ("Takes money.", []),
    ],
)
def test_a_public_function_does_not_begin_with_a_question_word(
    docstring: str, lines: list[int]
) -> None:
    rule = "a question word before the verb"
    assert broken(rule, f'def pay():\n    """{docstring}"""\n') == lines
    assert broken(rule, f'def _pay():\n    """{docstring}"""\n') == []


def test_a_docstring_says_what_it_does_and_not_what_it_has_done() -> None:
    rule = "has something done"
    assert broken(rule, 'def pay():\n    """Has `deliver` called."""\n') == [2]
    assert broken(rule, 'class Pay:\n    """Has a till."""\n') == []


@pytest.mark.parametrize(
    ("comment", "lines"),
    [
        ("the note behind that place", [1]),
        ("first this\n# and then what is behind it", [2]),
        ("a client behind Envoy", []),
        ("clients behind one and the same address", []),
        ("a reader that falls behind", []),
        ("it leaves nothing of its own behind", []),
        ("`behind` is the name of it", []),
    ],
)
def test_behind_is_found_where_it_means_after(comment: str, lines: list[int]) -> None:
    assert broken("behind for after", f"# {comment}\n") == lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("What is told to who joins.", [1]),
        ("Who takes bytes has them.", [1]),
        ("A client who joins asks who is there.", []),
        ("Who is there?", []),
    ],
)
def test_people_and_parts_have_a_noun(text: str, lines: list[int]) -> None:
    assert broken("who without a noun", f"# {text}\n") == lines


def test_a_pitfall_has_no_number() -> None:
    assert broken("a pitfall by number", 'def test():\n    """Pitfall 7: it waits."""\n') == [2]
    assert broken("a pitfall by number", 'def test():\n    """A pitfall: it waits."""\n') == []


def test_a_sentence_of_a_document_is_not_too_long() -> None:
    rule, name = "a sentence that is too long", "docs/page.md"
    fits = " ".join(["word"] * MOST_WORDS)
    assert broken(rule, f"# Title\n\n{fits}.\n{fits}.\n", name) == []
    assert broken(rule, f"# Title\n\n{fits} more.\n", name) == [3]
    assert broken(rule, f"# Title\n\n**{fits}.** {fits}.\n", name) == []
    assert broken(rule, f"| {fits} | {fits} |\n", name) == []
    assert broken(rule, f"```\n{fits} more\n```\n", name) == []
    assert broken(rule, f"<!-- table of x -->\n{fits} more\n<!-- end of table -->\n", name) == []


def test_the_name_of_a_test_is_read_as_a_sentence() -> None:
    text = "def test_who_takes_a_part_goes_on_behind_that_part():\n    assert True\n"
    assert broken("who without a noun", text, "tests/test_till.py") == [1]
    assert broken("behind for after", text, "tests/test_till.py") == [1]
    text = "def test_a_client_behind_a_proxy_pays_for_itself():\n    assert True\n"
    assert broken("behind for after", text, "tests/test_till.py") == []


def test_comments_of_lua_and_of_contracts_are_read() -> None:
    rule = "behind for after"
    assert broken(rule, "local a = 1\n-- behind it\n", "services/a/b.lua") == [2]
    assert broken(rule, "message A {\n  // Behind it.\n}\n", "proto/a.proto") == [2]


def test_docstrings_of_attributes_have_their_names() -> None:
    text = 'LIMIT = 1\n"""What fits."""\n\n_SECRET = 2\n"""What is hidden."""\n'
    (limit, secret) = prose_in("libs/shop/till.py", text)
    assert (limit.owner, limit.name, limit.public) == ("attribute", "LIMIT", True)
    assert (secret.name, secret.public) == ("_SECRET", False)


def test_a_count_may_fall_and_not_grow() -> None:
    rule, other = list(RULES)[:2]
    before = {rule: {"docs": 2, "libs/shop": 1}}
    found = [Breach(rule, "docs/a.md", 1), Breach(other, "libs/shop/a.py", 1)]
    assert grown(counted(found), before) == [(other, "libs/shop")]
    assert lowered(counted(found), before)[rule] == {"docs": 1}
    assert lowered(counted(found), before)[other] == {}


def test_the_command_fails_and_names_the_place_where_a_count_has_grown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rule = "behind for after"
    (tmp_path / "docs").mkdir()
    (tmp_path / "tools").mkdir()
    page, counts = tmp_path / "docs" / "page.md", tmp_path / check_prose.COUNTS
    page.write_text("The note behind it.\n\nThe note behind that.\n")
    counts.write_text(json.dumps({rule: {"docs": 2}}))
    assert check_prose.main([], tmp_path) == 0
    page.write_text("The note behind it.\n")
    assert check_prose.main(["--lower"], tmp_path) == 0
    assert json.loads(counts.read_text())[rule] == {"docs": 1}
    page.write_text("The note behind it.\n\nThe note behind that.\n")
    assert check_prose.main([], tmp_path) == 1
    assert f"docs/page.md:3: {rule}" in capsys.readouterr().err
    assert check_prose.main(["--lower"], tmp_path) == 1
    assert json.loads(counts.read_text())[rule] == {"docs": 1}
