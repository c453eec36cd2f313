"""The command goes on where its output, its input or the way out of the machine is odd."""

import os

import pytest

from tests.cases.inputs import ROOT, needs_inputs, run_input
from tests.cases.reading import line, section
from tests.support.local_stack import LocalStack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180), needs_inputs]


def test_output_that_cannot_show_a_character_shows_a_sign(door: str) -> None:
    output = run_input("output_encoding.sh", str(ROOT), door, seconds=90)
    for part, end in (("history:", "tail:"), ("tail:", "chat in a pipe:"), ("chat in a pipe:", "")):
        said = section(part, end, output)
        assert "exit 0" in said, output
        assert " a: after" in said, output
        assert "<U+1F469>" in said, output


def test_a_refused_line_is_named_and_the_others_are_sent(door: str) -> None:
    output = run_input("pipe_bad_line.sh", str(ROOT), door, seconds=90)
    stored = section("stored:", "a byte order mark", output)
    assert " a: one" in stored, output
    assert " a: three" in stored, output
    before = section("", "stored:", output)
    assert "line 2" in before, output
    assert "exit 0" not in before, output
    assert '"text":"from Notepad"' in output, output


def test_a_proxy_for_the_way_out_comes_between_nothing_here(stack: LocalStack) -> None:
    (gateway, *_) = [child for child in stack.children if "chat_gateway" in child.cmdline()]
    redis = gateway.environ()["NOTECAST_REDIS_URL"].rpartition(":")[2].partition("/")[0]
    history = gateway.environ()["NOTECAST_HISTORY_TARGET"].rpartition(":")[2]
    clean = {name: "" for name in os.environ if name.lower().endswith("_proxy")}
    output = run_input(
        "http_proxy.sh", str(ROOT), stack.target, redis, history, seconds=90, **clean
    )
    command = section("1. the command:", "2. ", output)
    assert "exit 0" in command, output
    assert "exit 0" in section("2. ", "3. ", output), output
    assert line("1. the command:", output) == ""
    assert "UNAVAILABLE" not in output, output
    assert "does not answer" not in output, output
