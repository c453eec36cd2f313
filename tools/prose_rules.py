"""The rules of `CONTRIBUTING.md` for prose, as far as a program can see that one is broken."""

import re
from collections.abc import Callable, Iterator, Mapping

from tools.prose_texts import Prose

MOST_WORDS = 35
"""A longer sentence has more than one idea."""

_AS = re.compile(r"As `?(?:(?P<of>\w+)\.)*(?P<name>\w+)(?:\(\))?`?\.?")
_QUESTION = re.compile(r"(?:Who|Whose|Whom|What|How|Where|Which|When|Why)\b")
_NOUNLESS = re.compile(r"(?:Who|Whose|Whom|What)\b")
_PLACES = (
    r"(?:\W+\w+){0,4}?\W+(?:Envoy|prox(?:y|ies)|NAT|load balancers?|address(?:es)?|interfaces?|edge"
    r"|ports?|firewalls?|front|handles?|timers?|sockets?)\b"
)
_LAGS = r"\b(?:fall|falls|fell|fallen|falling|stays?|stayed|lags?) "
_LEFT = r"\b(?:leave|leaves|left|leaving)\b(?:\W+\w+){0,5}?\W+"
_BEHIND = re.compile(
    rf"(?:{_LEFT}|{_LAGS})behind\b(?! the (?:last|newest|oldest))|(?P<hit>\bbehind\b(?!{_PLACES}))",
    re.IGNORECASE,
)
_WHO = re.compile(
    r"(?:(?:^|[.:;]\s+)Who\s(?![^.]*\?)|\b(?:to|for|of|by|from|with|than|at|on)\s+who\b)",
    re.MULTILINE,
)
_PITFALL = re.compile(r"\bpitfalls? \d", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?;])[*)]*(?:\s+|$)|\s\|\s|\n\n")
_WORD = re.compile(r"\w[\w'.-]*")
_CODE = re.compile(r"`[^`]*`|\"[^\"\n]*\"")


def _found(pattern: re.Pattern[str], prose: Prose) -> Iterator[int]:
    for found in pattern.finditer(_without_code(prose.text)):
        if "hit" in pattern.groupindex and not found["hit"]:
            continue
        yield prose.line + prose.text.count("\n", 0, found.start())


def _without_code(text: str) -> str:
    return _CODE.sub(lambda found: "x" * len(found[0]) if "\n" not in found[0] else found[0], text)


def refers_only(prose: Prose) -> Iterator[int]:
    """Finds a docstring that only names another, and does not override it."""
    if prose.kind != "docstring":
        return
    found = _AS.fullmatch(prose.text.strip())
    if found and not (found["of"] in prose.bases and found["name"] == prose.name):
        yield prose.line


def asks(prose: Prose) -> Iterator[int]:
    """Finds a public docstring that begins with a question word instead of a verb or a noun."""
    if not prose.public or prose.path.startswith("tests/"):
        return
    pattern = _QUESTION if prose.owner == "function" else _NOUNLESS
    if pattern.match(prose.text.lstrip()):
        yield prose.line


def has_done(prose: Prose) -> Iterator[int]:
    """Finds a docstring that begins with `Has`: "Has `x` called" is "Calls `x`"."""
    if prose.kind == "docstring" and prose.owner == "function" and prose.text.startswith("Has "):
        yield prose.line


def behind(prose: Prose) -> Iterator[int]:
    """Finds "behind" for an order in time or in a log; "behind Envoy" is a place, and fine."""
    yield from _found(_BEHIND, prose)


def who(prose: Prose) -> Iterator[int]:
    """Finds "who" without the noun of people or parts: "to who joins", "Who takes bytes has"."""
    yield from _found(_WHO, prose)


def pitfall(prose: Prose) -> Iterator[int]:
    """Finds a reference to a list of pitfalls, which is not in the repository."""
    yield from _found(_PITFALL, prose)


def long_sentence(prose: Prose) -> Iterator[int]:
    """Finds sentences of a document with more than `MOST_WORDS` words."""
    if prose.kind != "document":
        return
    start, text = 0, _without_code(prose.text)
    ends = [found.start() for found in _SENTENCE_END.finditer(text)]
    for end in [*ends, len(text)]:
        if len(_WORD.findall(text[start:end])) > MOST_WORDS:
            yield prose.line + text.count("\n", 0, start)
        start = end


RULES: Mapping[str, Callable[[Prose], Iterator[int]]] = {
    "a docstring that only refers": refers_only,
    "a question word before the verb": asks,
    "has something done": has_done,
    "behind for after": behind,
    "who without a noun": who,
    "a pitfall by number": pitfall,
    "a sentence that is too long": long_sentence,
}
"""By name; each yields the lines at which a text breaks it."""
