"""Figures and events out of what an input printed."""

import ast
import re

Event = tuple[object, ...]


def number(pattern: str, output: str) -> float:
    """The number in the first group of the pattern; AssertionError where it does not match."""
    return numbers(pattern, output)[0]


def numbers(pattern: str, output: str) -> list[float]:
    """The number in the first group of each match, in order; at least one."""
    found = [float(text) for text in re.findall(pattern, output)]
    assert found, f"nothing like {pattern!r} in:\n{output}"
    return found


def line(beginning: str, output: str) -> str:
    """The first line that begins so, without that; AssertionError where none does."""
    for each in output.splitlines():
        if each.strip().startswith(beginning):
            return each.strip().removeprefix(beginning)
    raise AssertionError(f"no line begins with {beginning!r}:\n{output}")


def events(beginning: str, output: str) -> list[Event]:
    """The list of events in the line that begins so."""
    text = line(beginning, output)
    start = text.index("[")
    depth = 0
    for end, character in enumerate(text[start:], start):
        depth += {"[": 1, "]": -1}.get(character, 0)
        if not depth:
            found: list[Event] = ast.literal_eval(text[start : end + 1])
            return found
    raise AssertionError(f"a list without an end: {text}")


def section(beginning: str, end: str, output: str) -> str:
    """What was printed between two texts; "" stands for the output's beginning, or its end."""
    _, found, after = output.partition(beginning) if beginning else ("", "start", output)
    assert found, f"no {beginning!r} in:\n{output}"
    return after.partition(end)[0] if end else after
